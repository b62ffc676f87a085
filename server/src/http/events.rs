//! What pages hear: that something was changed, and that callers report. A stream hands out bytes
//! that were made once for all; it asks no database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;

use crate::http::error::Problem;
use crate::http::extract::{Query, Staying, Viewer};
use crate::http::streams::{BEAT, HEARTBEAT, spread};
use crate::http::{App, Counted};
use crate::publish::Head;

/// The most streams of pages on one node.
const MOST_PAGES: usize = 1_000;

/// Whoever listens: what they were let in by, and until when.
pub(crate) struct Listener {
    /// The identity of their token: revoking it ends the stream.
    pub(crate) jti: String,
    /// When the stream ends in any case.
    pub(crate) until: DateTime<Utc>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// What the reader has seen, where they cannot send `Last-Event-ID`: a place in the record.
    #[param(example = 1234)]
    pub(crate) after: Option<u64>,
}

/// What changes, as server-sent events: `change` for every entry of the record, with `EPOCH.SEQ` as
/// its id and `{seq, at, action, route, environment, by, reason}`; `telemetry` `{at}`, at most every
/// 5 s, while callers report; `reset` `{seq}` when what was missed is not kept any more: read
/// everything again. `Last-Event-ID` resumes.
#[utoipa::path(
    tag = "audit",
    params(EventsQuery),
    responses((status = 200, description = "Events `change`, `telemetry` and `reset`", content_type = "text/event-stream")),
    security(("token" = ["viewer"]))
)]
#[get("/events")]
pub(crate) async fn stream(
    app: Data<Arc<App>>,
    by: Staying<Viewer>,
    query: Query<EventsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let listener = Listener {
        jti: by.jti,
        until: by.until,
    };
    open(&app, listener, &request, query.0.after).await
}

/// Opens a stream for somebody who was let in. `after` is the place up to which they have seen
/// everything; what the header `Last-Event-ID` says comes first.
pub(crate) async fn open(
    app: &Arc<App>,
    listener: Listener,
    request: &HttpRequest,
    after: Option<u64>,
) -> Result<HttpResponse, Problem> {
    if *app.stopping.borrow() || app.contact.lost_for().is_some() {
        return Err(Problem::unavailable(
            "this node is leaving: connect again",
            1,
        ));
    }
    let counted = (Counted::one(&app.streams), Counted::one(&app.pages));
    if app.pages.load(Ordering::Relaxed) > MOST_PAGES {
        return Err(Problem::unavailable(
            "this node has as many pages open as it takes",
            30,
        ));
    }
    let last_id = request.headers().get("last-event-id");
    let last_id = last_id.map(|value| value.to_str().unwrap_or_default().to_owned());
    let heads = app.blocking(|services| services.listen()).await?;
    let at = last_id.map(|id| heads.borrow().place(&id)).or(after);
    let events = events(Arc::clone(app), listener, heads, at, counted);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A compressor would hold events back until it has enough of them.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events))
}

fn events(
    app: Arc<App>,
    listener: Listener,
    mut heads: watch::Receiver<Head>,
    at: Option<u64>,
    counted: (Counted, Counted),
) -> impl futures_core::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    async_stream::stream! {
        let _counted = counted;
        let mut stopping = app.stopping.clone();
        let ends = Instant::now() + left(&listener);
        let alarm = sleep(HEARTBEAT.min(left(&listener)));
        tokio::pin!(alarm);
        let mut is_ending = false;
        let mut seen = heads.borrow_and_update().clone();
        match at {
            // An event without data is not told to the page, but it is where the browser resumes.
            None => yield Ok(Bytes::from(format!("id: {}\n\n", seen.id()))),
            Some(at) => {
                yield Ok(BEAT);
                for event in app.services.feed().missed(at, &seen) {
                    yield Ok(event);
                }
            }
        }
        loop {
            tokio::select! {
                changed = heads.changed() => {
                    if changed.is_err() || may_not_stay(&app, &listener) {
                        return;
                    }
                    let head = heads.borrow_and_update().clone();
                    let missed = if head.continues(&seen) {
                        app.services.feed().missed(seen.seq(), &head)
                    } else {
                        vec![head.reset()]
                    };
                    for event in missed {
                        yield Ok(event);
                    }
                    if let Some(event) = head.telemetry_since(&seen) {
                        yield Ok(event);
                    }
                    seen = head;
                }
                _ = stopping.changed(), if !is_ending => {
                    is_ending = true;
                    alarm.as_mut().reset(Instant::now() + spread());
                }
                () = alarm.as_mut() => {
                    if is_ending || Instant::now() >= ends || may_not_stay(&app, &listener) {
                        return;
                    }
                    alarm.as_mut().reset(ends.min(Instant::now() + HEARTBEAT));
                    yield Ok(BEAT);
                }
            }
        }
    }
}

/// How long somebody may stay, by the clock that tokens go by.
fn left(listener: &Listener) -> Duration {
    let left = listener.until.signed_duration_since(Utc::now());
    left.to_std().unwrap_or_default()
}

fn may_not_stay(app: &App, listener: &Listener) -> bool {
    app.services.access().is_revoked(&listener.jti)
        || left(listener).is_zero()
        || app.contact.lost_for().is_some()
}
