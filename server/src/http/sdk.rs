//! What SDKs ask for: the snapshot, and the stream of what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ETAG};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, get};
use switchover::Version;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::http::error::Problem;
use crate::http::extract::SdkCaller;
use crate::http::respond::has;
use crate::http::{App, Counted};

/// How often a stream with nothing to say shows that it lives.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a connection may leave what was sent to it unread, or unacknowledged: two beats.
pub const UNREAD: Duration = Duration::from_secs(20);
/// How long the streams of a stopping server take to end, spread evenly, so that their readers do
/// not all come back at once.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);
/// The most streams of one node.
const MOST_STREAMS: usize = 20_000;

pub(super) const BEAT: Bytes = Bytes::from_static(b":\n\n");

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
    if *app.stopping.borrow() || app.contact.lost_for().is_some() {
        return Err(Problem::unavailable(
            "this node is leaving: connect again",
            1,
        ));
    }
    let open = Counted::one(&app.streams);
    if app.streams.load(Ordering::Relaxed) > MOST_STREAMS {
        return Err(Problem::unavailable(
            "this node has as many streams as it takes",
            30,
        ));
    }
    let at = request
        .headers()
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<Version>().ok());
    let follow = app
        .services
        .hub()
        .follow(&caller.environment)
        .ok_or_else(not_published)?;
    let events = events(Arc::clone(&app), caller.key.into(), follow, at, open);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Proxies that buffer answers hold events back; this one listens to the hint.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events))
}

type States = tokio::sync::watch::Receiver<Option<Arc<crate::publish::Published>>>;

fn events(
    app: Arc<App>,
    key: Box<str>,
    mut states: States,
    mut at: Option<Version>,
    open: Counted,
) -> impl futures_core::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    async_stream::stream! {
        let _open = open;
        let mut stopping = app.stopping.clone();
        // One timer a stream, for the next beat or for the end: timers are what streams are made of.
        let alarm = sleep(HEARTBEAT);
        tokio::pin!(alarm);
        let mut is_ending = false;
        let mut is_first = true;
        loop {
            let state = states.borrow_and_update().clone();
            let event = state.as_ref().and_then(|state| state.event_from(at.as_ref()));
            at = state.map(|state| state.version().clone()).or(at);
            match event {
                Some(mut event) => {
                    let slice = slice_of(event.len());
                    while event.len() > slice {
                        yield Ok(event.split_to(slice));
                        yield_now().await;
                    }
                    yield Ok(event);
                }
                // Who is up to date learns at once that the stream works.
                None if is_first => yield Ok(BEAT),
                None => {}
            }
            is_first = false;
            loop {
                tokio::select! {
                    changed = states.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        break;
                    }
                    _ = stopping.changed(), if !is_ending => {
                        is_ending = true;
                        alarm.as_mut().reset(Instant::now() + spread());
                    }
                    () = alarm.as_mut() => {
                        let revoked = app.services.access().environment_of(&key).is_none();
                        if is_ending || revoked || app.contact.lost_for().is_some() {
                            return;
                        }
                        alarm.as_mut().reset(Instant::now() + HEARTBEAT);
                        yield Ok(BEAT);
                    }
                }
            }
        }
    }
}

/// A connection's buffer keeps the memory that its largest write before a flush has touched, as long
/// as the stream lives. Small slices keep 10,000 streams within their budget; large snapshots go out
/// in larger ones.
fn slice_of(event: usize) -> usize {
    if event <= 64 * 1024 { 512 } else { 16 * 1024 }
}

/// A moment within the drain, another one for every stream.
pub(super) fn spread() -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let parts = u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or(0);
    DRAIN * parts / 1_000
}

fn not_published() -> Problem {
    Problem::unavailable("the environment is not published yet: try again", 1)
}
