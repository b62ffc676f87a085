//! The report of a route's whole migration.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use switchover::RouteKey;

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Viewer, in_path};

/// The whole migration of a route, as Markdown: stages with dates, who and why, durations, acceptance
/// windows, halts with numbers, settings, evidence, approvals, plan, releases, and whatever else is on
/// record.
#[utoipa::path(
    tag = "audit",
    params(("route" = String, Path, example = "count_commits")),
    responses((status = 200, body = String, content_type = "text/markdown")),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/report")]
pub(crate) async fn report(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let report = app.blocking(move |services| services.report(&key)).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(report))
}
