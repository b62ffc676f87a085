//! Ramps: exposure raised step by step.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::Percent;
use utoipa::ToSchema;

use crate::domain::guard::GuardState;
use crate::domain::lifecycle::Command;
use crate::domain::ramp::{Hold, Move, Outlook, Ramp, RampState, Step, Wait};
use crate::domain::rollout::Rollout;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, OfRollout, Operator};
use crate::http::halts::{ReasonBody, switch};
use crate::http::rollouts::{TransitionBody, change_rollout, read_reason};
use crate::service::{self, Failure, Target};

/// A step of a ramp.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RampStep)]
struct StepBody {
    /// The share of the keys: above 0, and above the step before.
    #[schema(value_type = f64, example = 10, minimum = 0, maximum = 100)]
    percent: Percent,
    /// How long it is held before the next: `10s`, `30m`, `24h`, `7d`; 90 days at most.
    #[schema(value_type = String, example = "24h")]
    hold: Hold,
}

/// A ramp to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RampChange)]
pub(crate) struct RampRequest {
    /// 1 to 50 steps, rising.
    steps: Vec<StepBody>,
    #[schema(
        example = "a week, with a weekend in it",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

impl RampRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        let steps = self.steps.into_iter().map(|step| Step {
            percent: step.percent,
            hold: step.hold,
        });
        Ok(service::Change {
            target,
            command: Command::PlanRamp(steps.collect()),
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

/// A ramp, and how far it has come.
#[derive(Serialize, ToSchema)]
#[schema(as = Ramp)]
pub(crate) struct RampBody {
    /// `ready`, `running`, `paused` or `finished`.
    #[schema(example = "running")]
    state: &'static str,
    steps: Vec<StepBody>,
    /// The present step, from 1; null before the first.
    #[schema(example = 1)]
    step: Option<usize>,
    /// When the present step was entered, or when the ramp was finished.
    since: Option<DateTime<Utc>>,
    /// By whom it is paused, and why.
    paused: Option<PausedBody>,
    /// How long the present step has been held, in seconds: time in which it was neither paused nor
    /// halted, and no freeze was open.
    #[schema(example = 3600)]
    held_s: Option<i64>,
    /// The share of the next step; null after the last.
    #[schema(value_type = Option<f64>, example = 30)]
    next_percent: Option<Percent>,
    /// When the next step is due, or the end after the last; null when somebody has to do something
    /// first. In lists, freezes are not looked at.
    next_step_at: Option<DateTime<Utc>>,
    /// What holds it back now, all of it. Not said in lists.
    waits_for: Vec<WaitBody>,
}

/// Why a ramp is paused.
#[derive(Serialize, ToSchema)]
#[schema(as = RampPause)]
struct PausedBody {
    by: String,
    reason: String,
    since: DateTime<Utc>,
}

/// What holds a ramp back.
#[derive(Serialize, ToSchema)]
#[schema(as = RampWait)]
struct WaitBody {
    /// `start`, `resume`, `halt`, `freeze`, `setting`, `flip` or `guard`.
    #[schema(example = "guard")]
    what: &'static str,
    /// Which guard.
    #[schema(example = "errors")]
    guard: Option<String>,
    /// What the guard answers; null when it has not.
    #[schema(value_type = Option<String>, example = "insufficient")]
    state: Option<GuardState>,
    detail: String,
}

impl RampBody {
    pub(crate) fn of(rollout: &Rollout, outlook: Option<&Outlook>) -> Option<RampBody> {
        let ramp = rollout.ramp.as_ref()?;
        let step = ramp.step();
        let next = outlook.map_or_else(|| ramp.next(), |outlook| outlook.next);
        Some(RampBody {
            state: ramp.name(),
            steps: ramp.steps.iter().map(StepBody::from).collect(),
            step: step.map(|step| step + 1),
            since: since(ramp),
            paused: paused(ramp),
            held_s: outlook.and_then(|outlook| Some(outlook.held?.num_seconds())),
            next_percent: match next {
                Some(Move::Enter(step)) => ramp.steps.get(step).map(|step| step.percent),
                _ => None,
            },
            next_step_at: match outlook {
                Some(outlook) => outlook.due,
                None => rollout.ramp_due(),
            },
            waits_for: outlook
                .map(|outlook| outlook.waits.iter().map(WaitBody::from).collect())
                .unwrap_or_default(),
        })
    }
}

fn since(ramp: &Ramp) -> Option<DateTime<Utc>> {
    match &ramp.state {
        RampState::Finished { since } => Some(*since),
        _ => ramp.position().map(|at| at.since),
    }
}

fn paused(ramp: &Ramp) -> Option<PausedBody> {
    match &ramp.state {
        RampState::Paused {
            by, reason, since, ..
        } => Some(PausedBody {
            by: by.clone(),
            reason: reason.clone(),
            since: *since,
        }),
        _ => None,
    }
}

impl From<&Step> for StepBody {
    fn from(step: &Step) -> StepBody {
        StepBody {
            percent: step.percent,
            hold: step.hold,
        }
    }
}

impl From<&Wait> for WaitBody {
    fn from(wait: &Wait) -> WaitBody {
        let body = |what, detail: &str| WaitBody {
            what,
            guard: None,
            state: None,
            detail: detail.to_owned(),
        };
        match wait {
            Wait::NotStarted => body("start", "nobody has started it"),
            Wait::Paused { by, reason } => body("resume", &format!("paused by {by}: {reason}")),
            Wait::Halted => body("halt", "the rollout is halted"),
            Wait::Frozen { detail } => body("freeze", detail),
            Wait::Flip { detail } => body("flip", detail),
            Wait::SetOtherwise => body("setting", "the setting is not the one of its step"),
            Wait::Guard {
                name,
                state,
                detail,
            } => WaitBody {
                guard: Some(name.clone()),
                state: *state,
                ..body("guard", detail)
            },
        }
    }
}

/// Puts the steps by which exposure is to go up in the place of those that are set; a ramp that runs
/// is paused first. Exposes nothing. Under a policy with a ramp, other steps than its own need a
/// maintainer.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = RampRequest,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/environments/{environment}/ramp")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, RampRequest>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::OK, move || {
        body.read(target.0)
    })
    .await
}

/// Starts a ramp: its first step is entered at once, and the server goes on by itself.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = ReasonBody,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/ramp/start")]
pub(crate) async fn start(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
) -> Result<HttpResponse, Problem> {
    switch(app, target, change, Command::StartRamp).await
}

/// Pauses a ramp at its present step. Ignores `If-Match`; pausing what is paused changes nothing.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = ReasonBody,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/ramp/pause")]
pub(crate) async fn pause(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
) -> Result<HttpResponse, Problem> {
    switch(app, target, change, Command::PauseRamp).await
}

/// Resumes a paused ramp at its present step, whatever was set by hand in the meantime.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = ReasonBody,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/ramp/resume")]
pub(crate) async fn resume(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
) -> Result<HttpResponse, Problem> {
    switch(app, target, change, Command::ResumeRamp).await
}
