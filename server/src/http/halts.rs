//! The kill switch: halt, resume, and many at once.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::domain::environment::EnvironmentKey;
use crate::domain::lifecycle::Command;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, OfRollout, Operator, without_tag};
use crate::http::respond::{self, answer};
use crate::http::rollouts::{TransitionBody, change_rollout, read_reason};
use crate::service::{self, Failure, HaltSelection, Services, Switched, Target};
use crate::store::Receipt;

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReasonOnly)]
pub(crate) struct ReasonBody {
    #[schema(
        example = "error rate of the new path",
        min_length = 1,
        max_length = 1000
    )]
    pub(super) reason: String,
}

/// A halt to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HaltRequest)]
pub(crate) struct HaltBody {
    #[schema(
        example = "error rate of the new path",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
    /// What becomes of the mirror: it goes on, unless you say `off`; then a resume needs a backfill.
    #[serde(default)]
    mirror: MirrorAtHalt,
    /// Said after a look at what going back to an old store costs (`loss_risk`): it is accepted.
    #[serde(default)]
    accept_loss: bool,
}

impl ReasonBody {
    /// What it asks for, of what needs a reason and nothing else.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target, command: Command) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command,
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

impl HaltBody {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command: match self.mirror {
                MirrorAtHalt::Keep => Command::Halt,
                MirrorAtHalt::Off => Command::HaltWithoutMirror,
            },
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

/// What becomes of the mirror at a halt.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MirrorAtHalt {
    #[default]
    Keep,
    Off,
}

/// Which rollouts; with no route, owner or label, all of the environment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Selection)]
pub(crate) struct HaltManyBody {
    #[schema(example = "production")]
    pub(crate) environment: String,
    /// Only routes of this owner.
    #[schema(example = "gitaly")]
    pub(crate) owner: Option<String>,
    /// Only routes with this label: `name` or `name=value`.
    pub(crate) label: Option<String>,
    /// Only these routes; at least one.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1)]
    pub(crate) routes: Option<Vec<String>>,
    #[schema(example = "Gitaly is down", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
    /// Said after a look at what going back to an old store costs (`loss_risk`): it is accepted. Without it, what would
    /// lose data is not halted, and named.
    #[serde(default)]
    pub(crate) accept_loss: bool,
}

/// What a halt of many did.
#[derive(Serialize, ToSchema)]
#[schema(as = HaltedMany)]
struct HaltedBody {
    environment: String,
    /// These take the old path now.
    halted: Vec<String>,
    /// These did already.
    already_halted: Vec<String>,
    /// A halt has no effect on these: they are mandatory.
    mandatory: Vec<String>,
    /// A halt of these would lose data, which nobody has accepted: they go on.
    at_risk: Vec<AtRisk>,
    version: String,
}

/// What a resume of many did.
#[derive(Serialize, ToSchema)]
#[schema(as = ResumedMany)]
struct ResumedBody {
    environment: String,
    /// These are as before their halt.
    resumed: Vec<String>,
    /// Keys of these move between two stores: it is announced, and within two seconds they are resumed,
    /// or not (`last_flip` of each says so).
    announced: Vec<String>,
    /// These were not halted.
    not_halted: Vec<String>,
    /// The rules do not let these resume.
    still_halted: Vec<StillHalted>,
    version: String,
}

/// A rollout that was not halted.
#[derive(Serialize, ToSchema)]
struct AtRisk {
    route: String,
    /// What would be lost, and what to do.
    detail: String,
}

/// A rollout that stays halted.
#[derive(Serialize, ToSchema)]
struct StillHalted {
    route: String,
    /// Why, and what would let it resume.
    detail: String,
}

/// Halts a rollout: everything takes the old path until it is resumed. Needs no gate and ignores
/// `If-Match`; halting what is halted changes nothing. Where going back to an old store would lose data,
/// it needs `accept_loss`.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = HaltBody,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/halt")]
pub(crate) async fn halt(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, HaltBody>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    let ctx = change.ctx.accepting_loss(body.accept_loss);
    change_rollout(&app, ctx, StatusCode::OK, move || body.read(target.0)).await
}

/// Resumes a halted rollout.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = ReasonBody,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/resume")]
pub(crate) async fn resume(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
) -> Result<HttpResponse, Problem> {
    switch(app, target, change, Command::Resume).await
}

/// Halts many rollouts of an environment in one step. A selection that no route is in halts nothing,
/// and says so.
#[utoipa::path(
    tag = "rollouts",
    request_body = HaltManyBody,
    responses((status = 200, body = HaltedBody)),
    security(("token" = ["operator"]))
)]
#[post("/halts")]
pub(crate) async fn halt_many(
    app: Data<Arc<App>>,
    change: Change<Operator, HaltManyBody>,
) -> Result<HttpResponse, Problem> {
    let ctx = change.ctx.accepting_loss(change.body.accept_loss);
    app.blocking(move |services| {
        let (environment, selection, reason) = read_selection(change.body)?;
        services.halt_many(&ctx, &environment, &selection, &reason, &halted)
    })
    .await
    .map(answer)
}

/// Resumes many halted rollouts of an environment in one step. What the rules do not let resume stays
/// halted, and is named with the reason.
#[utoipa::path(
    tag = "rollouts",
    request_body = HaltManyBody,
    responses((status = 200, body = ResumedBody)),
    security(("token" = ["operator"]))
)]
#[post("/resumes")]
pub(crate) async fn resume_many(
    app: Data<Arc<App>>,
    change: Change<Operator, HaltManyBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    app.blocking(move |services: &Services| {
        let (environment, selection, reason) = read_selection(change.body)?;
        services.resume_many(&change.ctx, &environment, &selection, &reason, &resumed)
    })
    .await
    .map(answer)
}

pub(crate) fn read_selection(
    body: HaltManyBody,
) -> Result<(EnvironmentKey, HaltSelection, Reason), Failure> {
    let environment: EnvironmentKey = body
        .environment
        .parse()
        .map_err(|detail: &str| Failure::invalid("environment", detail))?;
    // Nothing named is everything, but an empty list was meant to name something.
    if body.routes.as_ref().is_some_and(Vec::is_empty) {
        let detail = "name at least one route, or leave it out to mean all of the environment";
        return Err(Failure::invalid("routes", detail));
    }
    let mut routes = Vec::new();
    for (index, route) in body.routes.iter().flatten().enumerate() {
        let route = route.parse().map_err(|error: switchover::InvalidName| {
            Failure::invalid(format!("routes[{index}]"), error.to_string())
        })?;
        routes.push(route);
    }
    let selection = HaltSelection {
        owner: body.owner,
        label: body.label,
        routes,
    };
    Ok((environment, selection, read_reason(&body.reason)?))
}

/// Does what needs a reason and nothing else.
pub(super) async fn switch(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ReasonBody>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    change_rollout(&app, change.ctx, StatusCode::OK, move || {
        change.body.read(target.0, command)
    })
    .await
}

/// A field that can be left out, but not be null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

fn halted(done: &Switched) -> Receipt {
    let body = HaltedBody {
        environment: done.environment.to_string(),
        halted: names(&done.changed),
        already_halted: names(&done.already),
        mandatory: names(&done.mandatory),
        at_risk: refused(done, |route, detail| AtRisk { route, detail }),
        version: done.version.to_string(),
    };
    respond::receipt(StatusCode::OK, None, &body)
}

fn resumed(done: &Switched) -> Receipt {
    let body = ResumedBody {
        environment: done.environment.to_string(),
        resumed: names(&done.changed),
        announced: names(&done.announced),
        not_halted: names(&done.already),
        still_halted: refused(done, |route, detail| StillHalted { route, detail }),
        version: done.version.to_string(),
    };
    respond::receipt(StatusCode::OK, None, &body)
}

fn refused<T>(done: &Switched, told: fn(String, String) -> T) -> Vec<T> {
    let refused = done.refused.iter();
    refused
        .map(|(route, why)| told(route.to_string(), why.to_string()))
        .collect()
}

fn names(keys: &[switchover::RouteKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
