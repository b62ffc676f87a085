//! The preparation of a route, and the days on which it is to reach its stages.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use switchover::{RouteKey, Stage};
use utoipa::ToSchema;

use crate::domain::estimate::{Estimate, checked};
use crate::domain::field::FieldError;
use crate::domain::preparation::{Command, Decision, Mark, Phase, Preparation};
use crate::domain::route::Route;
use crate::domain::schedule::Milestone;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, Operator, in_path};
use crate::http::respond::answer;
use crate::http::rollouts::read_reason;
use crate::http::routes::{RouteBody, shown};
use crate::service::Failure;

/// Roughly how much work it is: a number of days, or words.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "an estimate is a number of days, or words")]
#[schema(as = Estimate)]
enum EstimateBody {
    Days(u32),
    Words(String),
}

/// A route that is not ready at once is prepared first. What is not known yet is left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPreparation)]
pub(super) struct NewPreparationBody {
    estimate: Option<EstimateBody>,
    /// Its place in the backlog: 1 comes first, none comes last.
    #[schema(example = 10, minimum = 1, maximum = 1_000_000)]
    priority: Option<u32>,
    /// Whether an endpoint that exists serves: then only the client is left to implement.
    #[serde(default)]
    existing_endpoint: bool,
}

/// How far the preparation of a route is.
#[derive(Serialize, ToSchema)]
#[schema(as = Preparation)]
pub(super) struct PreparationBody {
    /// What it is at: phases, of which two may be worked on at once, or `shelved`, or `ready`.
    #[schema(example = json!(["server_implementation", "client_implementation"]))]
    at: Vec<&'static str>,
    estimate: Option<EstimateBody>,
    pub(super) priority: Option<u32>,
    existing_endpoint: bool,
    /// Null during the analysis.
    decision: Option<DecisionBody>,
    /// By phase; the analysis is completed by the decision.
    completed: Vec<CompletedBody>,
    /// What is to be done next; empty when it is ready.
    next_step: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
struct DecisionBody {
    /// `ahead` or `shelved`.
    #[schema(example = "ahead")]
    decision: &'static str,
    by: String,
    at: DateTime<Utc>,
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompletedPhase)]
struct CompletedBody {
    #[schema(example = "rpc_design")]
    phase: &'static str,
    by: String,
    at: DateTime<Utc>,
    reason: String,
}

/// When a route is to reach a stage in an environment, and when it did.
#[derive(Serialize, ToSchema)]
#[schema(as = Milestone)]
pub(super) struct MilestoneBody {
    #[schema(example = "production")]
    environment: String,
    stage: Stage,
    /// The day planned, in UTC.
    planned: Option<NaiveDate>,
    /// Since when it has had this stage, or a later one, without a break.
    actual: Option<DateTime<Utc>>,
}

/// What somebody does to a preparation.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PreparationAction)]
enum Action {
    /// Says estimate, priority, or whether an existing endpoint serves.
    Estimate,
    /// Decides to do it; needs an estimate.
    MoveAhead,
    /// Completes `phase`.
    Complete,
    /// Decides not to do it for now.
    Shelve,
    /// Takes what was shelved back into analysis.
    TakeUp,
}

/// A phase that somebody completes.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Phase)]
enum PhaseBody {
    RpcDesign,
    ServerImplementation,
    ClientImplementation,
}

/// A step of the preparation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreparationStep)]
pub(crate) struct StepBody {
    action: Action,
    /// With `complete`.
    phase: Option<PhaseBody>,
    /// With `estimate`.
    estimate: Option<EstimateBody>,
    /// With `estimate`: 1 comes first.
    #[schema(example = 10, minimum = 1, maximum = 1_000_000)]
    priority: Option<u32>,
    /// With `estimate`, during the analysis.
    existing_endpoint: Option<bool>,
    #[schema(
        example = "profiled: a third of all calls",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

impl From<EstimateBody> for Estimate {
    fn from(body: EstimateBody) -> Estimate {
        match body {
            EstimateBody::Days(days) => Estimate::Days(days),
            EstimateBody::Words(words) => Estimate::Words(words),
        }
    }
}

impl From<Estimate> for EstimateBody {
    fn from(estimate: Estimate) -> EstimateBody {
        match estimate {
            Estimate::Days(days) => EstimateBody::Days(days),
            Estimate::Words(words) => EstimateBody::Words(words),
        }
    }
}

impl From<PhaseBody> for Phase {
    fn from(body: PhaseBody) -> Phase {
        match body {
            PhaseBody::RpcDesign => Phase::RpcDesign,
            PhaseBody::ServerImplementation => Phase::ServerImplementation,
            PhaseBody::ClientImplementation => Phase::ClientImplementation,
        }
    }
}

impl NewPreparationBody {
    pub(super) fn begin(self) -> Result<Preparation, Vec<FieldError>> {
        let estimate = self.estimate.map(Estimate::from);
        Preparation::begin(estimate, self.priority, self.existing_endpoint).map_err(|errors| {
            let below = |error: FieldError| {
                FieldError::new(format!("preparation.{}", error.field), error.detail)
            };
            errors.into_iter().map(below).collect()
        })
    }
}

impl PreparationBody {
    pub(super) fn of(route: &Route) -> Option<PreparationBody> {
        let preparation = route.preparation.clone()?;
        Some(PreparationBody {
            at: preparation.at(),
            next_step: preparation.next_step(&route.spec.key),
            estimate: preparation.estimate.map(EstimateBody::from),
            priority: preparation.priority,
            existing_endpoint: preparation.existing_endpoint,
            decision: preparation.decision.map(DecisionBody::from),
            completed: preparation
                .completed
                .into_iter()
                .map(|(phase, Mark { by, at, reason })| CompletedBody {
                    phase: phase.name(),
                    by,
                    at,
                    reason,
                })
                .collect(),
        })
    }
}

impl From<Decision> for DecisionBody {
    fn from(decision: Decision) -> DecisionBody {
        let (decision, Mark { by, at, reason }) = match decision {
            Decision::Ahead(mark) => ("ahead", mark),
            Decision::Shelved(mark) => ("shelved", mark),
        };
        DecisionBody {
            decision,
            by,
            at,
            reason,
        }
    }
}

impl From<&Milestone> for MilestoneBody {
    fn from(milestone: &Milestone) -> MilestoneBody {
        MilestoneBody {
            environment: milestone.environment.to_string(),
            stage: milestone.stage,
            planned: milestone.planned,
            actual: milestone.actual,
        }
    }
}

impl StepBody {
    /// What it asks for, and why.
    ///
    /// # Errors
    /// When there is no reason, or fields do not fit together.
    pub(crate) fn read(self) -> Result<(Command, Reason), Failure> {
        let reason = read_reason(&self.reason)?;
        Ok((self.try_into()?, reason))
    }
}

impl TryFrom<StepBody> for Command {
    type Error = Failure;

    fn try_from(body: StepBody) -> Result<Command, Failure> {
        let says =
            body.estimate.is_some() || body.priority.is_some() || body.existing_endpoint.is_some();
        if says && body.action != Action::Estimate {
            let detail = "estimate, priority and existing_endpoint go with the action `estimate`";
            return Err(Failure::invalid("action", detail));
        }
        if body.phase.is_some() && body.action != Action::Complete {
            return Err(Failure::invalid("phase", "goes with the action `complete`"));
        }
        match body.action {
            Action::Estimate if !says => Err(Failure::invalid(
                "estimate",
                "say estimate, priority or existing_endpoint, or several of them",
            )),
            Action::Estimate => {
                let estimate = body.estimate.map(Estimate::from);
                let (estimate, priority) =
                    checked(estimate, body.priority).map_err(Failure::Invalid)?;
                Ok(Command::Estimate {
                    estimate,
                    priority,
                    existing_endpoint: body.existing_endpoint,
                })
            }
            Action::MoveAhead => Ok(Command::MoveAhead),
            Action::Complete => match body.phase {
                Some(phase) => Ok(Command::Complete(phase.into())),
                None => Err(Failure::invalid(
                    "phase",
                    "say which: rpc_design, server_implementation or client_implementation",
                )),
            },
            Action::Shelve => Ok(Command::Shelve),
            Action::TakeUp => Ok(Command::TakeUp),
        }
    }
}

/// Takes the preparation of a route a step further. With the last step it is published.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    request_body = StepBody,
    responses((status = 200, body = RouteBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/preparation")]
pub(crate) async fn prepare(
    app: Data<Arc<App>>,
    change: Change<Operator, StepBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let (command, reason) = change.body.read()?;
        services.prepare_route(&change.ctx, &key, &command, &reason, &|found| {
            shown(StatusCode::OK, found)
        })
    })
    .await
    .map(answer)
}
