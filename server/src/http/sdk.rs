//! What SDKs ask for: the snapshot, and the stream of what follows.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, ETAG};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, get};
use switchover::Version;

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::SdkCaller;
use crate::http::respond::has;
use crate::http::streams::{self, Reader, last_version, not_published};
use crate::publish::Published;

/// The environment's snapshot, for the first load and for polling. Its tag is its version.
#[utoipa::path(
    tag = "sdk",
    responses((status = 200, description = "The snapshot", content_type = "application/json"), (status = 304, description = "You have it")),
    security(("sdk_key" = []))
)]
#[get("/sdk/v1/snapshot")]
pub(crate) async fn snapshot(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let published = app
        .services
        .hub()
        .current(&caller.environment)
        .ok_or_else(not_published)?;
    let is_known = has(&request, published.etag());
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((ETAG, published.etag()));
    response.insert_header((CACHE_CONTROL, "no-cache"));
    if let Some(away) = app.contact.lost_for() {
        response.insert_header(("Switchover-Stale", away.as_secs().to_string()));
    }
    if is_known {
        return Ok(response.finish());
    }
    Ok(response
        .content_type("application/json")
        .body(published.snapshot()))
}

/// The environment's snapshots and deltas as server-sent events. `Last-Event-ID` resumes; a reader
/// that is slow skips to the latest state.
#[utoipa::path(
    tag = "sdk",
    responses((status = 200, description = "Events `snapshot` and `delta`", content_type = "text/event-stream")),
    security(("sdk_key" = []))
)]
#[get("/sdk/v1/stream")]
pub(crate) async fn stream(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reader = Sdk {
        key: caller.key.into(),
        at: last_version(&request),
    };
    streams::open(&app, &caller.environment, reader)
}

/// An SDK, and the version that it has.
struct Sdk {
    key: Box<str>,
    at: Option<Version>,
}

impl Reader for Sdk {
    fn news(&mut self, state: &Published) -> Option<Bytes> {
        let event = state.event_from(self.at.as_ref());
        self.at = Some(state.version().clone());
        event
    }

    fn may_stay(&self, app: &App) -> bool {
        app.services.access().environment_of(&self.key).is_some()
    }
}
