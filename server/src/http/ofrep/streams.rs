//! Where clients hear that something has changed: nothing more is told, they ask for all flags again.

use std::sync::Arc;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde_json::json;
use switchover::Version;

use super::refused::Refused;
use super::room::{Full, Place};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::streams::{self, Reader, last_version};
use crate::publish::Published;
use crate::service::{Clock, KnownKey};
use crate::token::StreamTicket;

/// After how many seconds in the background a client hangs up.
pub(super) const IDLE_SECONDS: u32 = 120;

const TICKET: &str = "ticket";

/// Where this caller hears of changes. The same on every node and for hours: clients connect anew when
/// it changes.
pub(super) fn address(app: &App, caller: &KnownKey) -> String {
    let ticket = app.keys.stream_ticket(&caller.id, app.services.now());
    let address = format!("/ofrep/v1/streams?{TICKET}={ticket}");
    app.front.prefix.before(&address)
}

/// Says, as server-sent events, that flags may have changed: `message` with
/// `{"type": "refetchEvaluation", "etag", "lastModified"}`, at once where `Last-Event-ID` is not the
/// present version. Its address is in the answer for all flags. It ends with the ticket in it, or with
/// the SDK key; then the client asks for all flags, and is given the next one.
#[utoipa::path(
    operation_id = "ofrep_stream",
    tag = "openfeature",
    responses((status = 200, description = "Events `message`", content_type = "text/event-stream")),
    security(("stream_ticket" = []))
)]
#[get("/streams")]
pub(crate) async fn stream(
    app: Data<Arc<App>>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let ticket = ticket(&app, request.query_string()).ok_or_else(|| {
        Refused::unauthenticated(
            "the ticket in the address is not good any more: ask for all flags, whose answer has a new one",
        )
    })?;
    let access = app.services.access();
    let environment = access.environment_of_id(&ticket.key).ok_or_else(|| {
        Refused::unauthenticated("the SDK key of this ticket is revoked: use another")
    })?;
    let place = app.listeners.enter(&ticket.key).map_err(|full| {
        let why = match full {
            Full::Node => "this node has as many listeners as it takes",
            Full::Key => "this node has as many listeners with this SDK key as it takes",
        };
        Problem::unavailable(why, 30)
    })?;
    let listener = Listener {
        _place: place,
        ticket,
        at: last_version(&request),
        clock: app.services.clock(),
    };
    Ok(streams::open(&app, &environment, listener)?)
}

fn ticket(app: &App, query: &str) -> Option<StreamTicket> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, ticket) = pairs.find(|(name, _)| name == TICKET)?;
    app.keys.read_stream_ticket(&ticket, app.services.now())
}

/// A client that listens, and the version that it was told of.
struct Listener {
    _place: Place,
    ticket: StreamTicket,
    at: Option<Version>,
    clock: Clock,
}

impl Reader for Listener {
    fn news(&mut self, state: &Published) -> Option<Bytes> {
        let version = state.version();
        if self.at.as_ref() == Some(version) {
            return None;
        }
        self.at = Some(version.clone());
        Some(event(version, (self.clock)()))
    }

    fn may_stay(&self, app: &App) -> bool {
        let access = app.services.access();
        (self.clock)() < self.ticket.ends_at && access.environment_of_id(&self.ticket.key).is_some()
    }
}

fn event(version: &Version, now: DateTime<Utc>) -> Bytes {
    let version = version.to_string();
    let data = json!({
        "type": "refetchEvaluation",
        "etag": version,
        "lastModified": now.timestamp(),
    });
    Bytes::from(format!("event: message\nid: {version}\ndata: {data}\n\n"))
}
