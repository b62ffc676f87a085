//! Stages, forward and back: gates, promotions, demotions, acceptance windows.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Percent, Stage};
use utoipa::{IntoParams, ToSchema};

use crate::domain::gate::{GateReport, GateState};
use crate::domain::lifecycle::Command;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, OfRollout, Operator, Order, Query, Viewer};
use crate::http::respond;
use crate::http::rollouts::{
    TransitionBody, change_rollout, read_cohort, read_moment, read_reason, reason_or,
};
use crate::service::{self, Failure, Target};

/// A promotion to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Promotion)]
pub(crate) struct PromotionBody {
    /// The next stage.
    to: Stage,
    #[schema(
        example = "a week at 100 % in staging without an error",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
    /// Said on purpose by an admin: gates that ask for proof are passed over, and the record shows it.
    #[serde(default)]
    break_glass: bool,
    /// Promote the routes that it requires too, where they are one stage behind.
    #[serde(default)]
    cascade: bool,
}

/// A demotion to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Demotion)]
pub(crate) struct DemotionBody {
    /// An earlier stage.
    to: Stage,
    #[schema(example = "the new path loses tags", min_length = 1, max_length = 1000)]
    reason: String,
    /// Said on purpose by an admin: also out of mandatory.
    #[serde(default)]
    break_glass: bool,
    /// Halt it in the same step.
    #[serde(default)]
    halt: bool,
    /// Said after a look at what going back to an old store costs (`loss_risk`): it is accepted.
    #[serde(default)]
    accept_loss: bool,
    /// Demote the routes that require it too.
    #[serde(default)]
    cascade: bool,
}

/// An acceptance window to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Acceptance)]
pub(crate) struct AcceptanceRequest {
    /// When it closes by itself; at most 30 days ahead.
    until: DateTime<Utc>,
    /// The largest share of the keys in no cohort; 0 when left out, and then a cohort is needed.
    #[serde(default)]
    #[schema(value_type = Option<f64>, example = 5, minimum = 0, maximum = 100)]
    percent: Option<Percent>,
    /// Keys that take the new path.
    #[serde(default)]
    cohort: Vec<String>,
    #[schema(
        example = "acceptance test, issue 385",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

impl PromotionBody {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command: Command::Promote {
                to: self.to,
                break_glass: self.break_glass,
            },
            reason: read_reason(&self.reason)?,
            cascade: self.cascade,
        })
    }
}

impl DemotionBody {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command: Command::Demote {
                to: self.to,
                break_glass: self.break_glass,
                halt: self.halt,
            },
            reason: read_reason(&self.reason)?,
            cascade: self.cascade,
        })
    }
}

impl AcceptanceRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason, or a value cannot be.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command: Command::OpenWindow {
                until: read_moment("until", self.until)?,
                // A window for nobody is refused, so that nobody opens one for all by leaving both out.
                percent: self.percent.unwrap_or(Percent::ZERO),
                cohort: read_cohort("cohort", self.cohort)?,
            },
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

/// The end of an acceptance window; it has a reason of its own when none is given.
///
/// # Errors
/// When the reason cannot be one.
pub(crate) fn closing(target: Target, reason: Option<&str>) -> Result<service::Change, Failure> {
    Ok(service::Change {
        target,
        command: Command::CloseWindow,
        reason: reason_or(reason, "closed by hand")?,
        cascade: false,
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GatesQuery {
    /// The stage that a promotion would lead to; the next one when nothing is said.
    to: Option<Stage>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReasonQuery {
    /// Why.
    reason: Option<String>,
}

/// What a promotion needs.
#[derive(Serialize, ToSchema)]
#[schema(as = Gates)]
struct GatesBody {
    to: Stage,
    /// Whether all of them pass for you, and it is not halted.
    met: bool,
    /// Whether it is halted: nothing is promoted until it is resumed.
    halted: bool,
    gates: Vec<GateBody>,
}

/// One gate's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Gate)]
struct GateBody {
    #[schema(example = "approval")]
    gate: String,
    state: GateStateBody,
    /// The facts that it answers from.
    #[schema(example = "0 of 1 approvals by maintainers other than ann@example.com")]
    detail: String,
    /// The numbers among them, and the limits; their names say the units.
    #[schema(value_type = Object, example = json!({ "given": 0, "required": 1 }))]
    numbers: serde_json::Map<String, serde_json::Value>,
    /// What would satisfy it; empty when it passes.
    remedy: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GateState)]
enum GateStateBody {
    Pass,
    Fail,
    Insufficient,
}

impl From<GateReport> for GateBody {
    fn from(report: GateReport) -> GateBody {
        GateBody {
            gate: report.gate.to_owned(),
            state: match report.state {
                GateState::Pass => GateStateBody::Pass,
                GateState::Fail => GateStateBody::Fail,
                GateState::Insufficient => GateStateBody::Insufficient,
            },
            detail: report.detail,
            numbers: report.numbers,
            remedy: report.remedy,
        }
    }
}

/// What a promotion needs, gate by gate, when you ask for it.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production"), GatesQuery),
    responses((status = 200, body = GatesBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/gates")]
pub(crate) async fn gates(
    app: Data<Arc<App>>,
    by: By<Viewer>,
    target: OfRollout,
    query: Query<GatesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (rollout, to, reports) = app
        .blocking(move |services| services.gates(&by.actor, &target.0, query.0.to))
        .await?;
    let halted = rollout.halt.is_some();
    let passed = reports.iter().all(|report| report.state == GateState::Pass);
    let body = GatesBody {
        to,
        met: passed && !halted,
        halted,
        gates: reports.into_iter().map(GateBody::from).collect(),
    };
    Ok(respond::resource(&request, None, &body))
}

/// Promotes a rollout to its next stage, when every gate passes. In production and on premises this
/// needs a maintainer.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = PromotionBody,
    responses((status = 201, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/promotions")]
pub(crate) async fn promote(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, PromotionBody>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::CREATED, move || {
        body.read(target.0)
    })
    .await
}

/// Demotes a rollout to an earlier stage.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = DemotionBody,
    responses((status = 201, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/demotions")]
pub(crate) async fn demote(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, DemotionBody>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    let ctx = change.ctx.accepting_loss(body.accept_loss);
    change_rollout(&app, ctx, StatusCode::CREATED, move || body.read(target.0)).await
}

/// Opens an acceptance window: the route is tested here, up to a share and a time.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = AcceptanceRequest,
    responses((status = 201, body = TransitionBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/routes/{route}/environments/{environment}/acceptance")]
pub(crate) async fn open_window(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Maintainer, AcceptanceRequest>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::CREATED, move || {
        body.read(target.0)
    })
    .await
}

/// Closes the acceptance window and takes the setting back.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production"), ReasonQuery),
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[delete("/routes/{route}/environments/{environment}/acceptance")]
pub(crate) async fn close_window(
    app: Data<Arc<App>>,
    target: OfRollout,
    order: Order<Operator>,
    query: Query<ReasonQuery>,
) -> Result<HttpResponse, Problem> {
    change_rollout(&app, order.ctx, StatusCode::OK, move || {
        closing(target.0, query.0.reason.as_deref())
    })
    .await
}
