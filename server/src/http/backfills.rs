//! Backfills: how far they are; paused, resumed, reset.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::backfill::{Act, Backfill, Standing};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{
    By, Change, OfRollout, Operator, Query, Viewer, id_in_path, without_tag,
};
use crate::http::halts::ReasonBody;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::Ctx;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LatestQuery {
    /// 1 to 1,000; 50 when nothing is said.
    pub(super) limit: Option<usize>,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// A backfill: every row is copied once.
#[derive(Serialize, ToSchema)]
#[schema(as = Backfill)]
pub(super) struct BackfillBody {
    id: String,
    state: StandingBody,
    /// The process that runs it, by the id of its telemetry.
    #[schema(example = "7f3c0c6e")]
    runner: String,
    /// When that one was last heard of.
    heard_at: DateTime<Utc>,
    /// How many keys a batch has.
    #[schema(example = 1000)]
    batch: u32,
    /// The last key that is done.
    cursor: Option<String>,
    /// Keys that were looked at.
    keys: u64,
    /// Those that were copied.
    copied: u64,
    /// Those that could not be: they are repairs.
    failed: u64,
    /// How many there are, about, if known.
    total: Option<u64>,
    /// Keys per second over the last minute.
    keys_per_second: Option<f64>,
    /// In how many seconds it is done if it goes on like that.
    seconds_left: Option<f64>,
    begun_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    said: Option<SaidBody>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BackfillStanding)]
enum StandingBody {
    Running,
    Paused,
    Complete,
    Reset,
}

/// Who paused, resumed or reset it, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = BackfillSaid)]
struct SaidBody {
    at: DateTime<Utc>,
    by: String,
    reason: String,
}

impl BackfillBody {
    pub(super) fn of(backfill: &Backfill, now: DateTime<Utc>) -> BackfillBody {
        BackfillBody {
            id: backfill.id.clone(),
            state: match backfill.state {
                Standing::Running => StandingBody::Running,
                Standing::Paused => StandingBody::Paused,
                Standing::Complete => StandingBody::Complete,
                Standing::Reset => StandingBody::Reset,
            },
            runner: backfill.runner.clone(),
            heard_at: backfill.heard_at,
            batch: backfill.batch,
            cursor: backfill.cursor.clone(),
            keys: backfill.keys,
            copied: backfill.copied,
            failed: backfill.failed,
            total: backfill.total,
            keys_per_second: backfill.rate(now),
            seconds_left: backfill.seconds_left(now),
            begun_at: backfill.begun_at,
            ended_at: backfill.ended_at,
            said: backfill.said.as_ref().map(|said| SaidBody {
                at: said.at,
                by: said.by.clone(),
                reason: said.reason.clone(),
            }),
        }
    }
}

/// The backfills of a rollout, the latest first.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), LatestQuery),
    responses((status = 200, body = Page<BackfillBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/backfills")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<LatestQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let before = respond::read_cursor(query.cursor.as_ref())?;
    let (found, now) = app
        .blocking(move |services| {
            let found = services.backfills(&target.0, before.as_deref(), limit + 1)?;
            Ok((found, services.now()))
        })
        .await?;
    let bodies = found.iter().map(|found| BackfillBody::of(found, now));
    let page = Page::of(bodies.collect(), limit, |body: &BackfillBody| {
        body.id.clone()
    });
    Ok(respond::resource(&request, None, &page))
}

/// Pauses a backfill: the batch that is under way counts, and no other begins.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), ("id" = String, Path, example = "0199b1c2-0000-7000-8000-000000000000")),
    request_body = ReasonBody,
    responses((status = 200, body = BackfillBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/backfills/{id}/pause")]
pub(crate) async fn pause(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    order(
        &app,
        target,
        (change.ctx, change.body),
        &request,
        Act::Pause,
    )
    .await
}

/// Lets a backfill go on.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), ("id" = String, Path, example = "0199b1c2-0000-7000-8000-000000000000")),
    request_body = ReasonBody,
    responses((status = 200, body = BackfillBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/backfills/{id}/resume")]
pub(crate) async fn resume(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    order(
        &app,
        target,
        (change.ctx, change.body),
        &request,
        Act::Resume,
    )
    .await
}

/// Makes a backfill void: it has to be run again, from the first key. One that runs begins anew.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), ("id" = String, Path, example = "0199b1c2-0000-7000-8000-000000000000")),
    request_body = ReasonBody,
    responses((status = 200, body = BackfillBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/backfills/{id}/reset")]
pub(crate) async fn reset(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    order(
        &app,
        target,
        (change.ctx, change.body),
        &request,
        Act::Reset,
    )
    .await
}

async fn order(
    app: &Arc<App>,
    target: OfRollout,
    (ctx, body): (Ctx, ReasonBody),
    request: &HttpRequest,
    act: Act,
) -> Result<HttpResponse, Problem> {
    without_tag(&ctx)?;
    let id = id_in_path(request, "backfill")?;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let now = services.now();
        services.order_backfill(&ctx, (&target.0, &id), (act, &reason), &|backfill| {
            respond::receipt(StatusCode::OK, None, &BackfillBody::of(backfill, now))
        })
    })
    .await
    .map(answer)
}
