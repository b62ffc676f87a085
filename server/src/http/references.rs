//! Where the code speaks of routes, as scans of repositories have found.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::RouteKey;
use utoipa::{IntoParams, ToSchema};

use crate::domain::actor::Role;
use crate::domain::references::{Began, Place, RepositoryName, Scan, ScanOfRoute, Uses};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{
    By, Change, MinRole, Operator, Order, Query, Viewer, in_path, without_tag,
};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::{read_moment, read_reason};
use crate::service::{Failure, NewScan, References};

/// What a scan took longer for shows too little.
const LONGEST_SCAN: Duration = Duration::days(1);

/// An operator with what was found in a repository.
struct Scanner;

impl MinRole for Scanner {
    const ROLE: Role = Role::Operator;
    const LARGEST_BODY: usize = 4 * 1024 * 1024;
}

/// What was found in a repository, as `switchover refs --post` sends it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewScan)]
struct NewScanBody {
    #[schema(example = "gitlab-org/gitlab", pattern = "^[!-~]{1,200}$")]
    repository: String,
    /// What was scanned.
    #[schema(example = "4f1c2d9", min_length = 1, max_length = 100)]
    revision: String,
    /// When that began; now where it is left out, or less than a minute ahead of the server's clock. What is
    /// before the last change of a route's stage says nothing of that route.
    scanned_at: Option<DateTime<Utc>>,
    /// How long before now that began, in milliseconds, from whoever has another clock than the server: instead
    /// of `scanned_at`.
    #[schema(example = 390, minimum = 0, maximum = 86_400_000)]
    took_ms: Option<u64>,
    /// How many files were searched.
    #[schema(example = 812, minimum = 1, maximum = 1_000_000_000)]
    files: u64,
    /// How many uses there are of each route that was looked for, also of those without any: at most
    /// 1,000,000,000, and no fewer than the route has places.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({ "count_commits": 1, "find_commit": 0 }))]
    routes: BTreeMap<RouteKey, u64>,
    /// Where the first of them are: at most 20 of a route, and 2,000 in all.
    #[serde(default)]
    places: Vec<NewPlaceBody>,
}

/// A use of a route.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPlace)]
struct NewPlaceBody {
    #[schema(value_type = String, example = "count_commits")]
    route: RouteKey,
    /// Path from the root of the repository.
    #[schema(example = "lib/gitlab/git/repository.rb")]
    file: String,
    #[schema(example = 412, minimum = 1, maximum = 1_000_000_000)]
    line: u64,
    /// In characters.
    #[schema(example = 17, minimum = 1, maximum = 1_000_000_000)]
    column: u64,
    /// The flag or the key, as it stands there.
    #[schema(example = "GITALY_COUNT_COMMITS")]
    name: String,
}

/// The last scan of a repository.
#[derive(Serialize, ToSchema)]
#[schema(as = Scan)]
struct ScanBody {
    #[schema(example = "gitlab-org/gitlab")]
    repository: String,
    #[schema(example = "4f1c2d9")]
    revision: String,
    scanned_at: DateTime<Utc>,
    posted_at: DateTime<Utc>,
    posted_by: String,
    files: u64,
    /// How many routes were looked for.
    routes: u64,
    /// How many uses of them were found.
    uses: u64,
}

/// A use of the route.
#[derive(Serialize, ToSchema)]
#[schema(as = Place)]
struct PlaceBody {
    #[schema(example = "lib/gitlab/git/repository.rb")]
    file: String,
    #[schema(example = 412)]
    line: u64,
    #[schema(example = 17)]
    column: u64,
    #[schema(example = "GITALY_COUNT_COMMITS")]
    name: String,
}

/// What the last scan of a repository says of the route.
#[derive(Serialize, ToSchema)]
#[schema(as = ReferencesOfRepository)]
struct RepositoryBody {
    #[schema(example = "gitlab-org/gitlab")]
    repository: String,
    #[schema(example = "4f1c2d9")]
    revision: String,
    scanned_at: DateTime<Utc>,
    /// How many uses there are; null where the route was not looked for.
    uses: Option<u64>,
    /// The first of them.
    places: Vec<PlaceBody>,
}

/// Where the code speaks of a route.
#[derive(Serialize, ToSchema)]
#[schema(as = References)]
struct ReferencesBody {
    #[schema(example = "count_commits")]
    route: String,
    repositories: Vec<RepositoryBody>,
    /// What the code lacks before the route may be retired; empty when nothing is.
    #[schema(example = json!(["gitlab-org/gitlab uses it once (lib/gitlab/git/repository.rb:412): take that out, and run `switchover refs --post` there"]))]
    lacking: Vec<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ForgetQuery {
    #[param(example = "gitlab-org/gitlab")]
    repository: String,
    /// Why.
    #[param(example = "it is archived", min_length = 1, max_length = 1000)]
    reason: String,
}

impl NewScanBody {
    fn read(self) -> Result<NewScan, Failure> {
        let mut places: BTreeMap<RouteKey, Vec<Place>> = BTreeMap::new();
        for place in self.places {
            if !self.routes.contains_key(&place.route) {
                let detail = format!("{} is not among the routes", place.route);
                return Err(Failure::invalid("places", detail));
            }
            places.entry(place.route).or_default().push(Place {
                file: place.file,
                line: place.line,
                column: place.column,
                name: place.name,
            });
        }
        let began = match (self.scanned_at, self.took_ms) {
            (Some(at), None) => Began::At(read_moment("scanned_at", at)?),
            (None, took) => Began::Ago(read_took(took.unwrap_or_default())?),
            (Some(_), Some(_)) => {
                return Err(Failure::invalid("took_ms", "stands in place of scanned_at"));
            }
        };
        Ok(NewScan {
            repository: read_repository(&self.repository)?,
            revision: self.revision,
            began,
            files: self.files,
            found: self
                .routes
                .into_iter()
                .map(|(route, count)| {
                    let places = places.remove(&route).unwrap_or_default();
                    (route, Uses { count, places })
                })
                .collect(),
        })
    }
}

impl From<&Scan> for ScanBody {
    fn from(scan: &Scan) -> ScanBody {
        ScanBody {
            repository: scan.repository.to_string(),
            revision: scan.revision.clone(),
            scanned_at: scan.scanned_at,
            posted_at: scan.posted_at,
            posted_by: scan.posted_by.clone(),
            files: scan.files,
            routes: scan.routes,
            uses: scan.uses,
        }
    }
}

impl From<ScanOfRoute> for RepositoryBody {
    fn from(ScanOfRoute { scan, uses }: ScanOfRoute) -> RepositoryBody {
        RepositoryBody {
            repository: scan.repository.to_string(),
            revision: scan.revision,
            scanned_at: scan.scanned_at,
            uses: uses.as_ref().map(|uses| uses.count),
            places: uses
                .into_iter()
                .flat_map(|uses| uses.places)
                .map(|place| PlaceBody {
                    file: place.file,
                    line: place.line,
                    column: place.column,
                    name: place.name,
                })
                .collect(),
        }
    }
}

fn read_took(ms: u64) -> Result<Duration, Failure> {
    let took = i64::try_from(ms).ok().map(Duration::milliseconds);
    took.filter(|took| *took <= LONGEST_SCAN)
        .ok_or_else(|| Failure::invalid("took_ms", "is a day at most: scan again"))
}

fn read_repository(text: &str) -> Result<RepositoryName, Failure> {
    text.parse()
        .map_err(|detail: &str| Failure::invalid("repository", detail))
}

/// Puts what was found in a repository on record, in the place of what was found there before.
#[utoipa::path(
    tag = "routes",
    request_body = NewScanBody,
    responses((status = 201, body = ScanBody)),
    security(("token" = ["operator"]))
)]
#[post("/references")]
pub(crate) async fn post(
    app: Data<Arc<App>>,
    change: Change<Scanner, NewScanBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        services.post_scan(&change.ctx, &body.read()?, &|scan| {
            respond::receipt(StatusCode::CREATED, None, &ScanBody::from(scan))
        })
    })
    .await
    .map(answer)
}

/// Lists the last scan of every repository, by its name.
#[utoipa::path(
    tag = "routes",
    responses((status = 200, body = Page<ScanBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/references")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.scans()).await?;
    let page = Page {
        items: found.iter().map(ScanBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// Forgets what is on record of a repository that is gone.
#[utoipa::path(
    tag = "routes",
    params(ForgetQuery),
    responses((status = 204, description = "Forgotten")),
    security(("token" = ["operator"]))
)]
#[delete("/references")]
pub(crate) async fn forget(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    query: Query<ForgetQuery>,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let ForgetQuery { repository, reason } = query.0;
    app.blocking(move |services| {
        let (repository, reason) = (read_repository(&repository)?, read_reason(&reason)?);
        services.forget_scan(&order.ctx, &repository, &reason, &|()| {
            respond::empty_receipt()
        })
    })
    .await
    .map(answer)
}

/// Shows where the code speaks of a route, and what it lacks before the route may be retired.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    responses((status = 200, body = ReferencesBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/references")]
pub(crate) async fn of_route(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let asked = key.clone();
    let References { scans, lacking } = app
        .blocking(move |services| services.references(&asked))
        .await?;
    let body = ReferencesBody {
        route: key.to_string(),
        repositories: scans.into_iter().map(RepositoryBody::from).collect(),
        lacking,
    };
    Ok(respond::resource(&request, None, &body))
}
