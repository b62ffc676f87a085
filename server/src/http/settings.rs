//! What is set on top of the stage: setting and cohorts.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, put};
use serde::Deserialize;
use switchover::Percent;
use utoipa::ToSchema;

use crate::domain::cohort::{Name, Side, Uses};
use crate::domain::lifecycle::Command;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::cohorts::read_name;
use crate::http::error::Problem;
use crate::http::extract::{Change, OfRollout, Operator};
use crate::http::respond::answer;
use crate::http::rollouts::{
    SettingBody, SettingMode, TransitionBody, change_rollout, read_cohort, read_reason, transition,
};
use crate::service::{self, Failure, Target};

/// The most cohorts that one side of a rollout uses.
const MOST_NAMES: usize = 50;

/// A setting to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettingChange)]
pub(crate) struct SettingRequest {
    mode: SettingMode,
    /// The share of a ramp: 0 to 100 with up to three decimals.
    #[serde(default)]
    #[schema(value_type = Option<f64>, example = 12.5, minimum = 0, maximum = 100)]
    percent: Option<Percent>,
    #[schema(example = "first step of the ramp", min_length = 1, max_length = 1000)]
    reason: String,
    /// Said after a look at what going back to an old store costs (`loss_risk`): it is accepted.
    #[serde(default)]
    accept_loss: bool,
}

/// Cohorts to be. They replace those that are set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CohortsChange)]
pub(crate) struct CohortsRequest {
    /// Keys that take the new path whatever the ramp says; at most 1,000, 1 to 256 bytes each.
    include: Vec<String>,
    /// Keys that take the old path whatever the ramp says; stronger than `include`.
    exclude: Vec<String>,
    /// Cohorts whose keys are included too, by name.
    #[serde(default)]
    #[schema(example = json!(["beta_testers"]))]
    include_cohorts: Vec<String>,
    /// Cohorts whose keys are excluded too, by name.
    #[serde(default)]
    exclude_cohorts: Vec<String>,
    #[schema(example = "our own project first", min_length = 1, max_length = 1000)]
    reason: String,
}

impl SettingRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason, or a share where none belongs.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        let wanted = SettingBody {
            mode: self.mode,
            percent: self.percent,
        };
        Ok(service::Change {
            target,
            command: Command::Set(wanted.try_into()?),
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

impl CohortsRequest {
    /// What it asks for, and why.
    ///
    /// # Errors
    /// When there is no reason, or a key or a name cannot be.
    pub(crate) fn read(self) -> Result<(Uses, Reason), Failure> {
        let uses = Uses {
            include: Side {
                keys: read_cohort("include", self.include)?,
                cohorts: read_names("include_cohorts", &self.include_cohorts)?,
            },
            exclude: Side {
                keys: read_cohort("exclude", self.exclude)?,
                cohorts: read_names("exclude_cohorts", &self.exclude_cohorts)?,
            },
        };
        Ok((uses, read_reason(&self.reason)?))
    }
}

fn read_names(field: &'static str, names: &[String]) -> Result<BTreeSet<Name>, Failure> {
    if names.len() > MOST_NAMES {
        return Err(Failure::invalid(
            field,
            format!("has at most {MOST_NAMES} cohorts"),
        ));
    }
    names.iter().map(|name| read_name(field, name)).collect()
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
    let ctx = change.ctx.accepting_loss(body.accept_loss);
    change_rollout(&app, ctx, StatusCode::OK, move || body.read(target.0)).await
}

/// Names the keys that are treated apart from the ramp, one by one and by cohorts. An edit of such a
/// cohort changes this rollout with it.
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
    app.blocking(move |services| {
        let (uses, reason) = body.read()?;
        services.use_cohorts(&change.ctx, &target.0, &uses, &reason, &|changed| {
            transition(StatusCode::OK, changed)
        })
    })
    .await
    .map(answer)
}
