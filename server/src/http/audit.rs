//! The record: of one route, of everything, and whether it is whole.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchover::RouteKey;
use utoipa::{IntoParams, ToSchema};

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Query, Viewer, in_path};
use crate::http::respond::{self, Page};
use crate::store::{AuditFilter, StoredEntry};

/// Who changed what, when and why.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct AuditBody {
    /// Its place in the chain.
    seq: u64,
    at: DateTime<Utc>,
    #[schema(example = "ann@example.com")]
    by: String,
    #[schema(example = "operator")]
    role: String,
    #[schema(example = "promote")]
    action: String,
    route: Option<String>,
    environment: Option<String>,
    reason: String,
    /// As it was; null where there was nothing.
    before: Value,
    /// As it is.
    after: Value,
    /// SHA-256 over the hash before it and its bytes.
    hash: String,
}

impl From<StoredEntry> for AuditBody {
    fn from(stored: StoredEntry) -> AuditBody {
        let entry = stored.entry;
        AuditBody {
            seq: entry.seq,
            at: entry.at,
            by: entry.actor.subject,
            role: entry.actor.role.name().to_owned(),
            action: entry.action,
            route: entry.route,
            environment: entry.environment,
            reason: entry.reason,
            before: entry.before,
            after: entry.after,
            hash: stored.hash,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only on this route.
    route: Option<String>,
    /// Only in this environment.
    environment: Option<String>,
    /// Only by this person.
    by: Option<String>,
    /// Only of this kind, such as `halt`.
    action: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Only in this environment.
    environment: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The history of a route, newest first.
#[utoipa::path(
    tag = "audit",
    params(("route" = String, Path, example = "count_commits"), HistoryQuery),
    responses((status = 200, body = Page<AuditBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/history")]
pub(crate) async fn history(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<HistoryQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let query = query.0;
    let filter = AuditFilter {
        route: Some(key.to_string()),
        environment: query.environment,
        ..AuditFilter::default()
    };
    let known = key.clone();
    app.blocking(move |services| services.route(&known)).await?;
    page(&app, &request, filter, query.limit, query.cursor).await
}

/// Everything that was changed, newest first.
#[utoipa::path(
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, body = Page<AuditBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/audit")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<AuditQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let filter = AuditFilter {
        route: query.route,
        environment: query.environment,
        subject: query.by,
        action: query.action,
        ..AuditFilter::default()
    };
    page(&app, &request, filter, query.limit, query.cursor).await
}

async fn page(
    app: &Data<Arc<App>>,
    request: &HttpRequest,
    mut filter: AuditFilter,
    limit: Option<usize>,
    cursor: Option<String>,
) -> Result<HttpResponse, Problem> {
    let limit = respond::read_limit(limit)?;
    filter.before = respond::read_place(cursor.as_ref())?;
    let found = app
        .blocking(move |services| services.audit(&filter, limit + 1))
        .await?;
    let bodies = found.into_iter().map(AuditBody::from).collect();
    let page = Page::of(bodies, limit, |entry: &AuditBody| entry.seq.to_string());
    Ok(respond::resource(request, None, &page))
}
