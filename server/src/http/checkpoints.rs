//! Signed checkpoints of the record.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Operator, Order, Query, Viewer, without_tag};
use crate::http::respond::{self, Page};
use crate::store::StoredCheckpoint;

/// A signed statement that the record had this hash at this place.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkpoint)]
struct CheckpointBody {
    /// The place of the last entry at that time.
    seq: u64,
    /// Its hash, which vouches for all entries before it.
    hash: String,
    at: DateTime<Utc>,
    /// The statement, signed. Keep it where nobody who can change the record can change it.
    #[schema(example = "eyJ0eXAiOiJzd2l0Y2hvdmVyLWNoZWNrcG9pbnQi…")]
    signed: String,
}

impl From<&StoredCheckpoint> for CheckpointBody {
    fn from(stored: &StoredCheckpoint) -> CheckpointBody {
        CheckpointBody {
            seq: stored.seq,
            hash: stored.hash.clone(),
            at: stored.at,
            signed: stored.signed.clone(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The signed checkpoints of the record, newest first.
#[utoipa::path(
    tag = "audit",
    params(ListQuery),
    responses((status = 200, body = Page<CheckpointBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/audit/checkpoints")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let limit = respond::read_limit(query.0.limit)?;
    let before = respond::read_place(query.0.cursor.as_ref())?;
    let found = app
        .blocking(move |services| services.checkpoints(before, limit + 1))
        .await?;
    let bodies = found.iter().map(CheckpointBody::from).collect();
    let page = Page::of(bodies, limit, |checkpoint: &CheckpointBody| {
        checkpoint.seq.to_string()
    });
    Ok(respond::resource(&request, None, &page))
}

/// Signs the record as it is now. When nothing is new since the last checkpoint, the answer is that
/// one. The server does this by itself too: every hour and every 1,000 entries, when there are any.
#[utoipa::path(
    tag = "audit",
    responses((status = 201, body = CheckpointBody)),
    security(("token" = ["operator"]))
)]
#[post("/audit/checkpoints")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    order: Order<Operator>,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let keys = Arc::clone(&app.keys);
    let made = app
        .blocking(move |services| {
            services.make_checkpoint(&order.ctx, &keys, &|made| {
                respond::receipt(StatusCode::CREATED, None, &CheckpointBody::from(made))
            })
        })
        .await?;
    Ok(respond::answer(made))
}
