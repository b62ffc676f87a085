//! The record as a file.

use std::io;
use std::sync::Arc;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use chrono::DateTime;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Query, Viewer};
use crate::service::{Bound, Export, ExportFilter, Failure, Services};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// The place of the first entry, or a moment (RFC 3339) from which on.
    #[param(example = "2026-01-01T00:00:00Z")]
    from: Option<String>,
    /// The place of the last entry, or a moment (RFC 3339) before which.
    to: Option<String>,
    /// Only on this route.
    route: Option<String>,
    /// Only in this environment.
    environment: Option<String>,
    /// Only by this person.
    by: Option<String>,
    /// Only of this kind, such as `halt`.
    action: Option<String>,
}

/// The record as JSON lines, oldest first. Each line has the place, the hash before, the hash, and the
/// entry byte for byte as it is sealed: `switchover audit verify --file` checks it without a server.
#[utoipa::path(
    tag = "audit",
    params(ExportQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
    security(("token" = ["viewer"]))
)]
#[get("/audit/export")]
pub(crate) async fn export(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    lines(&app, query.0).await
}

/// The record as it is handed out, to whoever was let in.
pub(crate) async fn lines(app: &Arc<App>, query: ExportQuery) -> Result<HttpResponse, Problem> {
    let filter = ExportFilter {
        from: bound("from", query.from.as_deref())?,
        to: bound("to", query.to.as_deref())?,
        route: query.route,
        environment: query.environment,
        subject: query.by,
        action: query.action,
    };
    let app = Arc::clone(app);
    // What cannot be read at all is told as a problem, before the answer has begun.
    let (mut at, mut page) = app
        .blocking(move |services| next(services.export(filter)?, services))
        .await?;
    let lines = async_stream::stream! {
        while let Some(lines) = page.take() {
            if !lines.is_empty() {
                yield Ok(Bytes::from(lines));
            }
            let here = at.clone();
            match app.blocking(move |services| next(here, services)).await {
                Ok((then, more)) => (at, page) = (then, more),
                // Whoever reads sees that the answer broke off.
                Err(_) => yield Err(io::Error::other("the database is out of reach")),
            }
        }
    };
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(lines))
}

fn next(mut at: Export, services: &Services) -> Result<(Export, Option<String>), Failure> {
    let lines = services.export_next(&mut at)?;
    Ok((at, lines))
}

fn bound(name: &str, text: Option<&str>) -> Result<Option<Bound>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    if let Ok(place) = text.parse() {
        return Ok(Some(Bound::Place(place)));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(moment) => Ok(Some(Bound::Moment(moment.to_utc()))),
        Err(_) => Err(Problem::malformed(format!(
            "`{name}` is the place of an entry or a moment such as 2026-01-01T00:00:00Z"
        ))),
    }
}
