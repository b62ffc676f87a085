//! Runbooks kept here.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ETAG, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use chrono::{DateTime, Utc};
use serde::Serialize;
use switchover::RouteKey;
use utoipa::ToSchema;

use crate::domain::runbook::LARGEST_RUNBOOK;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Operator, Order, Query, Viewer, in_path};
use crate::http::markdown::{Markdown, ReasonQuery};
use crate::http::respond::{self, answer};
use crate::service::RunbookView;

/// A runbook that is kept here.
#[derive(Serialize, ToSchema)]
#[schema(as = Runbook)]
struct RunbookBody {
    #[schema(example = "count_commits")]
    route: String,
    /// Its Markdown.
    #[schema(example = "# GITALY_COUNT_COMMITS\n\nswitchover halt count_commits production")]
    text: String,
    put_by: String,
    put_at: DateTime<Utc>,
    /// Of the text, in hexadecimal.
    sha256: String,
    /// What it must still say: the flag's name, and how to turn it off.
    lacks: Vec<String>,
}

impl RunbookBody {
    fn of(route: &RouteKey, view: &RunbookView) -> RunbookBody {
        RunbookBody {
            route: route.to_string(),
            text: view.runbook.text.clone(),
            put_by: view.runbook.put_by.clone(),
            put_at: view.runbook.put_at,
            sha256: view.runbook.digest(),
            lacks: view.lacks.clone(),
        }
    }
}

/// The runbook of a route: Markdown, or with `Accept: application/json` what is known of it too.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    responses((status = 200, content((RunbookBody = "application/json"), (String = "text/markdown")))),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/runbook")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let asked = key.clone();
    let view = app
        .blocking(move |services| services.runbook(&asked))
        .await?;
    let as_json = request
        .headers()
        .get(ACCEPT)
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.contains("application/json"));
    if as_json {
        let body = RunbookBody::of(&key, &view);
        return Ok(respond::resource(&request, Some(view.tag), &body));
    }
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
    Ok(response
        .content_type("text/markdown; charset=utf-8")
        .body(view.runbook.text))
}

/// Keeps a runbook here, in the place of the one before.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ReasonQuery),
    request_body(content = String, content_type = "text/markdown", example = "# GITALY_COUNT_COMMITS"),
    responses((status = 200, body = RunbookBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/runbook")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    change: Markdown<Operator, LARGEST_RUNBOOK>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.put_runbook(&change.ctx, &key, &change.text, &reason, &|view| {
            let body = RunbookBody::of(&key, view);
            respond::receipt(StatusCode::OK, Some(view.tag.clone()), &body)
        })
    })
    .await
    .map(answer)
}

/// Removes the runbook that is kept here; a link to one elsewhere stays.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ReasonQuery),
    responses((status = 204, description = "Removed")),
    security(("token" = ["operator"]))
)]
#[delete("/routes/{route}/runbook")]
pub(crate) async fn remove(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.remove_runbook(&order.ctx, &key, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}
