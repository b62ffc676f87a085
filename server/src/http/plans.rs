//! Plans: a Markdown checklist of a route, given, ticked, bound, taken away.

mod body;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ETAG, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, put};
use serde::{Deserialize, Deserializer};
use switchover::{RouteKey, Stage};
use utoipa::{IntoParams, ToSchema};

use crate::domain::plan::{self, LONGEST_PLAN};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Operator, Order, Query, Viewer, in_path};
use crate::http::markdown::{Markdown, ReasonQuery};
use crate::http::respond::{self, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, PlanView, StepPatch};
use crate::store::Receipt;

use body::PlanBody;

/// How a plan is shown.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PlanFormat)]
enum Format {
    Markdown,
    Json,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PlanQuery {
    /// What the header `Accept` says, else Markdown.
    #[param(inline)]
    format: Option<Format>,
}

/// Whether the steps of a plan are done one after the other.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanOrder)]
struct OrderBody {
    ordered: bool,
    #[schema(
        example = "the steps depend on each other",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

/// What is to be different about a step; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanStepChange)]
struct StepPatchBody {
    done: Option<bool>,
    /// An empty note takes the one before away.
    #[schema(example = "took 40 minutes", max_length = 2000)]
    note: Option<String>,
    /// The steps that have to be done before, by their ids; at most 16.
    after: Option<Vec<String>>,
    #[schema(
        example = "done in the night of Monday",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

/// What a section is bound to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanSectionBinding)]
struct BindingBody {
    /// The stage whose promotion waits for its steps; null binds it to none.
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    gate: Option<Stage>,
    #[schema(
        example = "these come before opt-in",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

/// The plan of a route: Markdown with the present ticks, or JSON with who ticked what and when.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits"), PlanQuery),
    responses((status = 200, content((PlanBody = "application/json"), (String = "text/markdown")))),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/plan")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<PlanQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let view = app.blocking(move |services| services.plan(&key)).await?;
    let accepted = request.headers().get(ACCEPT);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    let format = query.0.format.unwrap_or(match accepted {
        Some(accepted) if accepted.contains("application/json") => Format::Json,
        _ => Format::Markdown,
    });
    let mut response = if respond::has(&request, &view.tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((ETAG, view.tag.clone()));
    response.insert_header((VARY, "Accept"));
    if respond::has(&request, &view.tag) {
        return Ok(response.finish());
    }
    Ok(match format {
        Format::Json => response.json(PlanBody::of(&view)),
        Format::Markdown => response
            .content_type("text/markdown; charset=utf-8")
            .body(view.plan.render()),
    })
}

/// Gives a route its plan, or another text for it: Markdown of at most 1 MiB. Steps that are still
/// there keep their ticks and notes.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits"), ReasonQuery),
    request_body(
        content = String,
        content_type = "text/markdown",
        example = "## Before opt-in\n<!-- gate: opt_in -->\n\n- [ ] [DevOps] Back up the database\n"
    ),
    responses((status = 200, body = PlanBody), (status = 201, body = PlanBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/plan")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    change: Markdown<Operator, LONGEST_PLAN>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.put_plan(&change.ctx, &key, &change.text, &reason, &shown)
    })
    .await
    .map(answer)
}

/// Says whether the steps of a plan are done one after the other.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits")),
    request_body = OrderBody,
    responses((status = 200, body = PlanBody)),
    security(("token" = ["operator"]))
)]
#[patch("/routes/{route}/plan")]
pub(crate) async fn set_order(
    app: Data<Arc<App>>,
    change: Change<Operator, OrderBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        services.order_plan(&change.ctx, &key, body.ordered, &reason, &shown)
    })
    .await
    .map(answer)
}

/// Takes the plan of a route away, with its ticks and notes.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits"), ReasonQuery),
    responses((status = 204, description = "Taken away")),
    security(("token" = ["operator"]))
)]
#[delete("/routes/{route}/plan")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.delete_plan(&order.ctx, &key, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}

/// Ticks a step or takes the tick away, notes something, or has the step wait for others.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits"), ("step" = String, Path, example = "0c1f22d9ab")),
    request_body = StepPatchBody,
    responses((status = 200, body = PlanBody)),
    security(("token" = ["operator"]))
)]
#[patch("/routes/{route}/plan/steps/{step}")]
pub(crate) async fn change_step(
    app: Data<Arc<App>>,
    change: Change<Operator, StepPatchBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let step: String = in_path(&request, "step", "step")?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let patch = StepPatch {
            done: body.done,
            note: body.note,
            after: body.after,
        };
        services.patch_plan_step(&change.ctx, &key, &step, &patch, &reason, &shown)
    })
    .await
    .map(answer)
}

/// Binds a section to the stage whose promotion waits for its steps, or to none.
#[utoipa::path(
    tag = "plans",
    params(("route" = String, Path, example = "count_commits"), ("section" = String, Path, example = "8be2f0a91c")),
    request_body = BindingBody,
    responses((status = 200, body = PlanBody)),
    security(("token" = ["operator"]))
)]
#[patch("/routes/{route}/plan/sections/{section}")]
pub(crate) async fn bind_section(
    app: Data<Arc<App>>,
    change: Change<Operator, BindingBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let section: String = in_path(&request, "section", "section")?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let gate = body.gate.map(|gate| plan::gate(gate.name())).transpose();
        let gate = gate.map_err(|detail| Failure::invalid("gate", detail))?;
        services.bind_plan_section(&change.ctx, &key, &section, gate, &reason, &shown)
    })
    .await
    .map(answer)
}

fn shown(view: &PlanView) -> Receipt {
    let status = if view.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    respond::receipt(status, Some(view.tag.clone()), &PlanBody::of(view))
}

/// A field that has to be there, and may be null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Stage>, D::Error> {
    Option::deserialize(deserializer)
}
