//! What every stream of an environment's states does, whoever reads it: it is counted, it beats, it
//! ends when its reader may not stay or the node leaves, and it skips to the latest state.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use switchover::Version;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::domain::environment::EnvironmentKey;
use crate::http::error::Problem;
use crate::http::{App, Counted};
use crate::publish::Published;

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

/// Somebody who follows an environment.
pub(super) trait Reader: 'static {
    /// What there is to tell them of this state; nothing when they know.
    fn news(&mut self, state: &Published) -> Option<Bytes>;

    /// Whether they still may read.
    fn may_stay(&self, app: &App) -> bool;
}

/// Opens a stream of what is published in an environment.
pub(super) fn open(
    app: &Arc<App>,
    environment: &EnvironmentKey,
    reader: impl Reader,
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
    let states = app
        .services
        .hub()
        .follow(environment)
        .ok_or_else(not_published)?;
    let events = events(Arc::clone(app), reader, states, open);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Proxies that buffer answers hold events back; this one listens to the hint.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events))
}

/// The version that a reader who comes back has.
pub(super) fn last_version(request: &HttpRequest) -> Option<Version> {
    let id = request.headers().get("last-event-id")?;
    id.to_str().ok()?.parse().ok()
}

pub(super) fn not_published() -> Problem {
    Problem::unavailable("the environment is not published yet: try again", 1)
}

/// A moment within the drain, another one for every stream.
pub(super) fn spread() -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let parts = u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or(0);
    DRAIN * parts / 1_000
}

type States = watch::Receiver<Option<Arc<Published>>>;

fn events(
    app: Arc<App>,
    mut reader: impl Reader,
    mut states: States,
    open: Counted,
) -> impl futures_core::Stream<Item = Result<Bytes, Infallible>> {
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
            let event = state.as_deref().and_then(|state| reader.news(state));
            drop(state);
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
                        let may_stay = reader.may_stay(&app) && app.contact.lost_for().is_none();
                        if is_ending || !may_stay {
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
