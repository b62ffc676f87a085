//! Whether the server lives, and whether it should be sent requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::error::Problem;

/// How long the database may be away before the node says that it is not ready, in seconds.
const PATIENCE: i64 = 5;

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
    /// For how many seconds the database has been out of reach; `None` while it is not, or only
    /// for a moment.
    pub(crate) fn cut_off_for(&self) -> Option<i64> {
        let since = self.cut_off_since.load(Ordering::Relaxed);
        if since == 0 {
            return None;
        }
        let seconds = (Utc::now().timestamp_millis() - since) / 1_000;
        (seconds >= PATIENCE).then_some(seconds)
    }

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
    HttpResponse::Ok().json(app.health())
}

/// Whether it should be sent requests: not when it is stopping or cut off from its database.
#[utoipa::path(tag = "health", responses((status = 200, body = HealthBody)))]
#[get("/readyz")]
pub(crate) async fn readyz(app: Data<Arc<App>>) -> Result<HttpResponse, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("the server is stopping", 1));
    }
    match app.cut_off_for() {
        Some(seconds) => Err(Problem::unavailable(
            format!(
                "the database has been out of reach for {seconds} s; snapshots are still served"
            ),
            5,
        )),
        None => Ok(HttpResponse::Ok().json(app.health())),
    }
}
