//! Whether the server lives, and whether it should be sent requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::error::Problem;

/// How long the database may be away before the node says that it is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the database was last seen to be there. Counted from then, and not from the first error, so
/// that a look which hangs counts too; by a clock that nobody sets.
pub(crate) struct Contact {
    started: Instant,
    /// Milliseconds after `started`.
    seen: AtomicU64,
}

impl Contact {
    pub(crate) fn now() -> Contact {
        Contact {
            started: Instant::now(),
            seen: AtomicU64::new(0),
        }
    }

    /// The database is there. Says for how long it had been lost, if it had.
    pub(crate) fn made(&self) -> Option<Duration> {
        let lost = self.lost_for();
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.seen.store(elapsed, Ordering::Relaxed);
        lost
    }

    /// How long ago the database was last seen to be there.
    pub(crate) fn age(&self) -> Duration {
        let seen = Duration::from_millis(self.seen.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(seen)
    }

    /// For how long the database has been out of reach; `None` while it is not, or only for a moment.
    pub(crate) fn lost_for(&self) -> Option<Duration> {
        let away = self.age();
        (away >= PATIENCE).then_some(away)
    }
}

/// The server's state.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    #[schema(example = "ok")]
    status: String,
    #[schema(example = "0.1.0")]
    version: String,
    /// How many streams are open here.
    streams: usize,
}

impl App {
    fn health(&self) -> HealthBody {
        HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            streams: self.streams.load(Ordering::Relaxed),
        }
    }
}

/// Whether the process lives.
#[utoipa::path(tag = "health", responses((status = 200, body = HealthBody)))]
#[get("/healthz")]
pub(crate) async fn healthz(app: Data<Arc<App>>) -> HttpResponse {
    alive(app).await
}

/// Whether it should be sent requests: not when it is stopping or cut off from its database.
#[utoipa::path(tag = "health", responses((status = 200, body = HealthBody)))]
#[get("/readyz")]
pub(crate) async fn readyz(app: Data<Arc<App>>) -> Result<HttpResponse, Problem> {
    ready(app).await
}

pub(crate) async fn alive(app: Data<Arc<App>>) -> HttpResponse {
    HttpResponse::Ok().json(app.health())
}

pub(crate) async fn ready(app: Data<Arc<App>>) -> Result<HttpResponse, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("the server is stopping", 1));
    }
    match app.contact.lost_for() {
        Some(away) => Err(Problem::unavailable(
            format!(
                "the database has been out of reach for {} s; snapshots are still served",
                away.as_secs()
            ),
            5,
        )),
        None => Ok(HttpResponse::Ok().json(app.health())),
    }
}
