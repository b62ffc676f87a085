//! What is set on top of the stage: setting and cohorts.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, put};
use serde::Deserialize;
use switchover::Percent;
use utoipa::ToSchema;

use crate::domain::lifecycle::Command;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, OfRollout, Operator};
use crate::http::rollouts::{
    SettingBody, SettingMode, TransitionBody, change_rollout, read_cohort, read_reason,
};
use crate::service;

/// A setting to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettingChange)]
struct SettingRequest {
    mode: SettingMode,
    /// The share of a ramp: 0 to 100 with up to three decimals.
    #[serde(default)]
    #[schema(value_type = Option<f64>, example = 12.5, minimum = 0, maximum = 100)]
    percent: Option<Percent>,
    #[schema(example = "first step of the ramp", min_length = 1, max_length = 1000)]
    reason: String,
}

/// Cohorts to be. They replace those that are set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CohortsChange)]
struct CohortsRequest {
    /// Keys that take the new path whatever the ramp says; at most 1,000, 1 to 256 bytes each.
    include: Vec<String>,
    /// Keys that take the old path whatever the ramp says; stronger than `include`.
    exclude: Vec<String>,
    #[schema(example = "our own project first", min_length = 1, max_length = 1000)]
    reason: String,
}

/// Sets what is on top of the stage. Before opt-in, production needs an acceptance window to raise
/// exposure.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = SettingRequest,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/environments/{environment}/setting")]
pub(crate) async fn setting(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, SettingRequest>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::OK, move || {
        let setting = SettingBody {
            mode: body.mode,
            percent: body.percent,
        };
        Ok(service::Change {
            target: target.0,
            command: Command::Set(setting.try_into()?),
            reason: read_reason(&body.reason)?,
            cascade: false,
        })
    })
    .await
}

/// Names the keys that are treated apart from the ramp.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = CohortsRequest,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/environments/{environment}/cohorts")]
pub(crate) async fn cohorts(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, CohortsRequest>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::OK, move || {
        Ok(service::Change {
            target: target.0,
            command: Command::SetCohorts {
                include: read_cohort("include", body.include)?,
                exclude: read_cohort("exclude", body.exclude)?,
            },
            reason: read_reason(&body.reason)?,
            cascade: false,
        })
    })
    .await
}
