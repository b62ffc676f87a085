//! Environments: listed, added, changed.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, patch, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::EnvironmentKind;
use utoipa::ToSchema;

use crate::domain::environment::{Environment, EnvironmentKey, NewEnvironment};
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Admin, By, Change, Viewer, in_path, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{EnvironmentPatch, Failure, Services};
use crate::store::Receipt;

/// An environment: where callers run.
#[derive(Serialize, ToSchema)]
#[schema(as = Environment)]
struct EnvironmentBody {
    #[schema(example = "production")]
    key: String,
    kind: EnvironmentKind,
    /// Routes reach a stage in lower positions first.
    position: i32,
    /// Whether real users depend on it: only maintainers promote there.
    production: bool,
    /// Rises with every commit that changes what it publishes.
    revision: u64,
    created_at: DateTime<Utc>,
}

/// An environment to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEnvironment)]
pub(crate) struct NewEnvironmentBody {
    #[schema(example = "canary", pattern = "^[a-z][a-z0-9-]{0,31}$")]
    pub(crate) key: String,
    pub(crate) kind: EnvironmentKind,
    #[schema(minimum = 0, maximum = 1000000)]
    pub(crate) position: i32,
    /// When nothing is said, so is a hosted one that comes after a production environment.
    pub(crate) production: Option<bool>,
}

impl NewEnvironmentBody {
    /// What is asked for.
    pub(crate) fn read(&self, services: &Services) -> Result<NewEnvironment, Failure> {
        let key: EnvironmentKey = self
            .key
            .parse()
            .map_err(|detail: &str| Failure::invalid("key", detail))?;
        let hosted = self.kind == EnvironmentKind::Hosted;
        if self.production == Some(true) && !hosted {
            return Err(Failure::invalid("production", "is for hosted environments"));
        }
        let behind_production = services
            .environments()?
            .iter()
            .any(|(other, _)| other.production && other.position < self.position);
        Ok(NewEnvironment {
            key,
            kind: self.kind,
            position: read_position(self.position)?,
            production: self.production.unwrap_or(hosted && behind_production),
        })
    }
}

/// What is to be different about an environment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnvironmentChange)]
pub(crate) struct EnvironmentPatchBody {
    #[schema(minimum = 0, maximum = 1000000)]
    pub(crate) position: Option<i32>,
    pub(crate) production: Option<bool>,
    #[schema(
        example = "canary comes before production",
        min_length = 1,
        max_length = 1000
    )]
    pub(crate) reason: String,
}

impl EnvironmentPatchBody {
    /// What is asked for, and why.
    pub(crate) fn read(&self) -> Result<(EnvironmentPatch, Reason), Failure> {
        let reason = read_reason(&self.reason)?;
        let asked = EnvironmentPatch {
            position: self.position.map(read_position).transpose()?,
            production: self.production,
        };
        Ok((asked, reason))
    }
}

impl From<&Environment> for EnvironmentBody {
    fn from(environment: &Environment) -> EnvironmentBody {
        EnvironmentBody {
            key: environment.key.to_string(),
            kind: environment.kind,
            position: environment.position,
            production: environment.production,
            revision: environment.revision,
            created_at: environment.created_at,
        }
    }
}

/// Lists environments by position.
#[utoipa::path(
    tag = "environments",
    responses((status = 200, body = Page<EnvironmentBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/environments")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.environments()).await?;
    let page = Page {
        items: found
            .iter()
            .map(|(found, _)| EnvironmentBody::from(found))
            .collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// One environment.
#[utoipa::path(
    tag = "environments",
    params(("environment" = String, Path, example = "production")),
    responses((status = 200, body = EnvironmentBody)),
    security(("token" = ["viewer"]))
)]
#[get("/environments/{environment}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: EnvironmentKey = in_path(&request, "environment", "environment")?;
    let (found, tag) = app
        .blocking(move |services| services.environment(&key))
        .await?;
    let body = EnvironmentBody::from(&found);
    Ok(respond::resource(&request, Some(tag), &body))
}

/// Adds an environment. Each route starts there at the latest stage that a later environment has.
#[utoipa::path(
    tag = "environments",
    request_body = NewEnvironmentBody,
    responses((status = 201, body = EnvironmentBody)),
    security(("token" = ["admin"]))
)]
#[post("/environments")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    change: Change<Admin, NewEnvironmentBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let new = body.read(services)?;
        services.create_environment(&change.ctx, &new, &|(made, tag)| {
            shown(StatusCode::CREATED, made, tag)
        })
    })
    .await
    .map(answer)
}

/// Changes an environment's position, or whether it is production.
#[utoipa::path(
    tag = "environments",
    params(("environment" = String, Path, example = "production")),
    request_body = EnvironmentPatchBody,
    responses((status = 200, body = EnvironmentBody)),
    security(("token" = ["admin"]))
)]
#[patch("/environments/{environment}")]
pub(crate) async fn patch(
    app: Data<Arc<App>>,
    change: Change<Admin, EnvironmentPatchBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: EnvironmentKey = in_path(&request, "environment", "environment")?;
    let body = change.body;
    app.blocking(move |services| {
        let (asked, reason) = body.read()?;
        services.patch_environment(&change.ctx, &key, asked, &reason, &|(made, tag)| {
            shown(StatusCode::OK, made, tag)
        })
    })
    .await
    .map(answer)
}

fn read_position(position: i32) -> Result<i32, Failure> {
    if (0..=1_000_000).contains(&position) {
        Ok(position)
    } else {
        Err(Failure::invalid("position", "is 0 to 1,000,000"))
    }
}

fn shown(status: StatusCode, environment: &Environment, tag: &str) -> Receipt {
    let body = EnvironmentBody::from(environment);
    respond::receipt(status, Some(tag.to_owned()), &body)
}
