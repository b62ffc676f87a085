//! Censuses: which overrides are in force at sites that the server cannot ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use switchover::FlagName;
use utoipa::{IntoParams, ToSchema};

use crate::domain::census::{Census, SiteName};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{
    By, Change, Importer, Operator, Order, Query, Viewer, in_path, without_tag,
};
use crate::http::releases::{read_environment, read_optional, read_place};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::Failure;

/// A page has no more, whatever is asked for: each may name a thousand variables.
const LARGEST_PAGE: usize = 100;

/// A census to be imported, as `switchover census` writes it at a site.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCensus)]
struct NewCensusBody {
    #[schema(example = "on-prem")]
    environment: String,
    /// Which installation. Its latest census counts.
    #[schema(example = "acme-berlin", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    site: String,
    /// The release that it runs.
    #[schema(example = "17.5.0")]
    release: Option<String>,
    /// When it was taken.
    taken_at: DateTime<Utc>,
    /// Flags, and variables `<PREFIX>_FEATURE_DEFAULT_ON`, that are set to exactly `1` (true) or `0`
    /// (false).
    #[schema(value_type = BTreeMap<String, bool>, example = json!({ "GITALY_COUNT_COMMITS": false }))]
    overrides: BTreeMap<FlagName, bool>,
    /// Those that are set to something else, which counts as not set.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    ignored: BTreeSet<FlagName>,
    #[schema(example = "quarterly round", min_length = 1, max_length = 1000)]
    reason: String,
}

/// The latest census of a site.
#[derive(Serialize, ToSchema)]
#[schema(as = Census)]
struct CensusBody {
    environment: String,
    site: String,
    release: Option<String>,
    taken_at: DateTime<Utc>,
    imported_at: DateTime<Utc>,
    imported_by: String,
    /// The variables that are in force.
    #[schema(value_type = BTreeMap<String, bool>)]
    overrides: BTreeMap<FlagName, bool>,
    /// The variables that are set to no legal value.
    #[schema(value_type = Vec<String>)]
    ignored: BTreeSet<FlagName>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CensusQuery {
    /// Only of this environment.
    environment: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl From<&Census> for CensusBody {
    fn from(census: &Census) -> CensusBody {
        CensusBody {
            environment: census.environment.to_string(),
            site: census.site.to_string(),
            release: census.release.as_ref().map(ToString::to_string),
            taken_at: census.taken_at,
            imported_at: census.imported_at,
            imported_by: census.imported_by.clone(),
            overrides: census.overrides.clone(),
            ignored: census.ignored.clone(),
        }
    }
}

/// Puts a site's census on record, in the place of an earlier one.
#[utoipa::path(
    tag = "releases",
    request_body = NewCensusBody,
    responses((status = 201, body = CensusBody)),
    security(("token" = ["operator"]))
)]
#[post("/censuses")]
pub(crate) async fn import(
    app: Data<Arc<App>>,
    change: Change<Importer, NewCensusBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let environment = read_environment(&body.environment)?;
        let site: SiteName = body
            .site
            .parse()
            .map_err(|detail: &str| Failure::invalid("site", detail))?;
        let release = read_optional("release", body.release.as_deref())?;
        let census = |imported_by: &str, imported_at: DateTime<Utc>| Census {
            environment: environment.clone(),
            site: site.clone(),
            release: release.clone(),
            taken_at: body.taken_at.trunc_subsecs(6),
            imported_at,
            imported_by: imported_by.to_owned(),
            overrides: body.overrides.clone(),
            ignored: body.ignored.clone(),
        };
        services.import_census(&change.ctx, census, &reason, &|census| {
            respond::receipt(StatusCode::CREATED, None, &CensusBody::from(census))
        })
    })
    .await
    .map(answer)
}

/// Lists the latest census of each site, by environment and site.
#[utoipa::path(
    tag = "releases",
    params(CensusQuery),
    responses((status = 200, body = Page<CensusBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/censuses")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<CensusQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?.min(LARGEST_PAGE);
    let after = read_place(query.cursor.as_ref())?;
    let found = app
        .blocking(move |services| {
            let environment = query.environment.as_deref().map(read_environment);
            services.censuses(environment.transpose()?.as_ref(), after.as_ref(), limit + 1)
        })
        .await?;
    let bodies = found.iter().map(CensusBody::from).collect();
    let page = Page::of(bodies, limit, |census: &CensusBody| {
        format!("{}/{}", census.environment, census.site)
    });
    Ok(respond::resource(&request, None, &page))
}

/// Forgets the census of a site that is gone.
#[utoipa::path(
    tag = "releases",
    params(("environment" = String, Path, example = "on-prem"), ("site" = String, Path, example = "acme-berlin")),
    responses((status = 204, description = "Forgotten")),
    security(("token" = ["operator"]))
)]
#[delete("/censuses/{environment}/{site}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let environment = in_path(&request, "environment", "environment")?;
    let site = in_path(&request, "site", "site")?;
    app.blocking(move |services| {
        let census = (&environment, &site);
        services.delete_census(&order.ctx, census, "deleted", &|()| {
            respond::empty_receipt()
        })
    })
    .await
    .map(answer)
}
