//! Releases of on-prem environments: frozen, published, handed out.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::ETAG;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use switchover::ReleaseName;
use utoipa::{IntoParams, ToSchema};

use crate::domain::approval::hex;
use crate::domain::environment::EnvironmentKey;
use crate::domain::release::{Release, ReleaseState};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, Order, Query, Viewer, in_path};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, Freeze, release_tag};
use crate::store::Receipt;

/// A release to be frozen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRelease)]
pub(crate) struct NewReleaseBody {
    /// Its name. A draft that is there already is frozen again.
    #[schema(example = "17.5.0", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) name: String,
    /// An environment of the kind `on_prem`.
    #[schema(example = "on-prem")]
    pub(crate) environment: String,
    /// The release that it comes after. A draft keeps the one it has, a patch comes after what it is
    /// based on.
    #[schema(example = "17.4.0")]
    pub(crate) after: Option<String>,
    /// The published release whose stages a patch keeps.
    pub(crate) based_on: Option<String>,
    #[schema(example = "feature freeze of 17.5", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

impl NewReleaseBody {
    /// What is asked for.
    pub(crate) fn read(&self) -> Result<Freeze, Failure> {
        Ok(Freeze {
            environment: read_environment(&self.environment)?,
            name: read_name("name", &self.name)?,
            after: read_optional("after", self.after.as_deref())?,
            based_on: read_optional("based_on", self.based_on.as_deref())?,
            reason: read_reason(&self.reason)?,
        })
    }
}

/// Why a release is published.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Publication)]
struct PublishBody {
    #[schema(example = "17.5.0 is out", min_length = 1, max_length = 1000)]
    reason: String,
}

/// A version of the product that installations run, with the stages that it froze.
#[derive(Serialize, ToSchema)]
#[schema(as = Release)]
struct ReleaseBody {
    #[schema(example = "17.5.0")]
    name: String,
    #[schema(example = "on-prem")]
    environment: String,
    /// Counts how often it was frozen.
    build: u64,
    #[schema(example = "published", pattern = "^(draft|published)$")]
    state: &'static str,
    /// The release that it comes after.
    after: Option<String>,
    /// The release whose stages it keeps.
    based_on: Option<String>,
    /// How many routes its manifest has.
    routes: u64,
    /// SHA-256 of what the manifest's signatures cover.
    digest: String,
    /// When its stages were frozen: those of a patch, when those it is based on were.
    frozen_at: DateTime<Utc>,
    built_at: DateTime<Utc>,
    built_by: String,
    published_at: Option<DateTime<Utc>>,
    published_by: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReleaseQuery {
    /// Only of this environment.
    environment: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl From<&Release> for ReleaseBody {
    fn from(release: &Release) -> ReleaseBody {
        let (state, published_at, published_by) = match &release.state {
            ReleaseState::Draft => ("draft", None, None),
            ReleaseState::Published { at, by } => ("published", Some(*at), Some(by.clone())),
        };
        ReleaseBody {
            name: release.name.to_string(),
            environment: release.environment.to_string(),
            build: release.build,
            state,
            after: release.after.as_ref().map(ToString::to_string),
            based_on: release.based_on.as_ref().map(ToString::to_string),
            routes: release.routes,
            digest: release.digest.clone(),
            frozen_at: release.frozen_at,
            built_at: release.built_at,
            built_by: release.built_by.clone(),
            published_at,
            published_by,
        }
    }
}

/// Freezes the stages of an on-prem environment into a draft; one that is there is frozen again.
#[utoipa::path(
    tag = "releases",
    request_body = NewReleaseBody,
    responses((status = 201, body = ReleaseBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/releases")]
pub(crate) async fn freeze(
    app: Data<Arc<App>>,
    change: Change<Maintainer, NewReleaseBody>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    app.blocking(move |services| {
        let request = body.read()?;
        services.freeze_release(&change.ctx, &request, &|release| {
            shown(StatusCode::CREATED, release)
        })
    })
    .await
    .map(answer)
}

/// Lists releases, drafts included, by environment and name.
#[utoipa::path(
    tag = "releases",
    params(ReleaseQuery),
    responses((status = 200, body = Page<ReleaseBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/releases")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<ReleaseQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let after = read_place(query.cursor.as_ref())?;
    let found = app
        .blocking(move |services| {
            let environment = query.environment.as_deref().map(read_environment);
            services.releases(environment.transpose()?.as_ref(), after.as_ref(), limit + 1)
        })
        .await?;
    let bodies = found.iter().map(ReleaseBody::from).collect();
    let page = Page::of(bodies, limit, |release: &ReleaseBody| {
        format!("{}/{}", release.environment, release.name)
    });
    Ok(respond::resource(&request, None, &page))
}

/// One release.
#[utoipa::path(
    tag = "releases",
    params(("environment" = String, Path, example = "on-prem"), ("release" = String, Path, example = "17.5.0")),
    responses((status = 200, body = ReleaseBody)),
    security(("token" = ["viewer"]))
)]
#[get("/releases/{environment}/{release}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (environment, name) = named(&request)?;
    let (found, tag) = app
        .blocking(move |services| services.release(&environment, &name))
        .await?;
    let body = ReleaseBody::from(&found);
    Ok(respond::resource(&request, Some(tag), &body))
}

/// The signed manifest that builds embed, to be kept byte for byte.
#[utoipa::path(
    tag = "releases",
    params(("environment" = String, Path, example = "on-prem"), ("release" = String, Path, example = "17.5.0")),
    responses((status = 200, body = Object, description = "The manifest: `manifest` and its `signatures`")),
    security(("token" = ["viewer"]))
)]
#[get("/releases/{environment}/{release}/manifest")]
pub(crate) async fn manifest(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (environment, name) = named(&request)?;
    let manifest = app
        .blocking(move |services| services.manifest(&environment, &name))
        .await?;
    let etag = format!("\"{}\"", hex(&Sha256::digest(&manifest)));
    if respond::has(&request, &etag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, etag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, etag))
        .content_type("application/json")
        .body(manifest))
}

/// Publishes a draft: from then on it stays as it is.
#[utoipa::path(
    tag = "releases",
    params(("environment" = String, Path, example = "on-prem"), ("release" = String, Path, example = "17.5.0")),
    request_body = PublishBody,
    responses((status = 200, body = ReleaseBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/releases/{environment}/{release}/publish")]
pub(crate) async fn publish(
    app: Data<Arc<App>>,
    change: Change<Maintainer, PublishBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (environment, name) = named(&request)?;
    app.blocking(move |services| {
        let reason = read_reason(&change.body.reason)?;
        let release = (&environment, &name);
        services.publish_release(&change.ctx, release, &reason, &|release| {
            shown(StatusCode::OK, release)
        })
    })
    .await
    .map(answer)
}

/// Deletes a draft. What is published stays.
#[utoipa::path(
    tag = "releases",
    params(("environment" = String, Path, example = "on-prem"), ("release" = String, Path, example = "17.5.0")),
    responses((status = 204, description = "Deleted")),
    security(("token" = ["maintainer"]))
)]
#[delete("/releases/{environment}/{release}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (environment, name) = named(&request)?;
    app.blocking(move |services| {
        let release = (&environment, &name);
        services.delete_release(&order.ctx, release, "deleted", &|()| {
            respond::empty_receipt()
        })
    })
    .await
    .map(answer)
}

/// The environment that a body or a query names.
pub(crate) fn read_environment(text: &str) -> Result<EnvironmentKey, Failure> {
    text.parse()
        .map_err(|detail: &str| Failure::invalid("environment", detail))
}

/// A release that a body names, where it does.
pub(crate) fn read_optional(
    field: &str,
    text: Option<&str>,
) -> Result<Option<ReleaseName>, Failure> {
    text.map(|text| read_name(field, text)).transpose()
}

/// The place of the last item of the page before.
pub(crate) fn read_place(cursor: Option<&String>) -> Result<Option<(String, String)>, Problem> {
    respond::read_cursor(cursor)?
        .map(|cursor| {
            let place = cursor.split_once('/');
            place
                .map(|(environment, name)| (environment.to_owned(), name.to_owned()))
                .ok_or_else(|| {
                    Problem::malformed("`cursor` is not one that this list gave: leave it out")
                })
        })
        .transpose()
}

fn read_name(field: &str, text: &str) -> Result<ReleaseName, Failure> {
    text.parse()
        .map_err(|error: switchover::InvalidName| Failure::invalid(field, error.to_string()))
}

/// The release that the path names.
pub(crate) fn named(request: &HttpRequest) -> Result<(EnvironmentKey, ReleaseName), Problem> {
    let environment = in_path(request, "environment", "environment")?;
    Ok((environment, in_path(request, "release", "release")?))
}

fn shown(status: StatusCode, release: &Release) -> Receipt {
    let tag = Some(release_tag(release));
    respond::receipt(status, tag, &ReleaseBody::from(release))
}
