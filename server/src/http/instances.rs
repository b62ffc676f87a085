//! The processes that report, and how they drift.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Registered, RouteKey, Source, Version};
use utoipa::{IntoParams, ToSchema};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::Process;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, OfRollout, Query, Viewer, in_path};
use crate::http::respond::{self, Page};
use crate::service::Instances;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InstancesQuery {
    /// Those too that ended, or were not heard of for ten minutes.
    #[serde(default)]
    all: bool,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How an instance differs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Drift {
    /// It decides by an older revision than the published one.
    Behind,
    /// What it decides by does not come from the server.
    NotLive,
    /// An environment variable of it overrides a route.
    Override,
    /// Its code does not ask for the route.
    LacksCode,
    /// Its own breaker keeps it off the new path.
    BreakerOpen,
}

/// A route's environment variable, as an instance has it.
#[derive(Serialize, ToSchema)]
#[schema(as = InstanceOverride)]
pub(crate) struct OverrideBody {
    #[schema(example = "count_commits")]
    pub(crate) route: String,
    /// `1` is true, `0` is false.
    pub(crate) on: bool,
}

/// A process with the SDK in it, as it last described itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceBody {
    #[schema(example = "7f3c0c6e")]
    pub(crate) id: String,
    #[schema(example = "web-3:4711")]
    pub(crate) name: String,
    #[schema(example = "web")]
    pub(crate) application: String,
    #[schema(example = "1.4.0")]
    pub(crate) version: String,
    #[schema(example = "rust/0.1.0")]
    pub(crate) sdk: String,
    /// The version of the snapshot that it decides by.
    #[schema(example = "k3v9.41")]
    pub(crate) snapshot: Option<String>,
    /// Where that came from.
    #[schema(value_type = Option<String>, example = "live")]
    pub(crate) source: Option<Source>,
    /// By how many revisions it is behind the published one; null where they cannot be compared.
    pub(crate) behind: Option<u64>,
    /// Everything that is not as it should be.
    pub(crate) drift: Vec<Drift>,
    /// Whether its code asks for the route; null where no route is named, or it has not said yet.
    pub(crate) has_code: Option<bool>,
    /// Environment variables in force.
    pub(crate) overrides: Vec<OverrideBody>,
    /// Routes whose breaker is open in it.
    pub(crate) open_breakers: Vec<String>,
    /// Whether it was heard of in the last ten minutes, and has not ended.
    pub(crate) running: bool,
    pub(crate) first_seen: DateTime<Utc>,
    pub(crate) last_seen: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// The CPU time that it has used.
    pub(crate) cpu_ms: Option<u64>,
    /// Its resident memory.
    pub(crate) memory_bytes: Option<u64>,
}

impl InstanceBody {
    pub(crate) fn new(
        process: &Process,
        found: &Instances,
        route: Option<&RouteKey>,
    ) -> InstanceBody {
        let registered: Vec<&Registered> = process
            .routes
            .iter()
            .flat_map(|routes| routes.iter())
            .filter(|registered| route.is_none_or(|route| registered.route == *route))
            .collect();
        let has_code = match (route, &process.routes) {
            (Some(route), Some(_)) => Some(process.has(route)),
            _ => None,
        };
        let overrides: Vec<OverrideBody> = registered
            .iter()
            .filter_map(|registered| {
                Some(OverrideBody {
                    route: registered.route.to_string(),
                    on: registered.flag?,
                })
            })
            .collect();
        let open_breakers: Vec<String> = registered
            .iter()
            .filter(|registered| registered.breaker_open)
            .map(|registered| registered.route.to_string())
            .collect();
        let behind = behind(process.snapshot.as_ref(), found.published.as_ref());
        let drift = [
            (behind.is_some_and(|behind| behind > 0), Drift::Behind),
            (process.source != Some(Source::Live), Drift::NotLive),
            (!overrides.is_empty(), Drift::Override),
            (has_code == Some(false), Drift::LacksCode),
            (!open_breakers.is_empty(), Drift::BreakerOpen),
        ];
        InstanceBody {
            id: process.reporter.id.clone(),
            name: process.reporter.name.clone(),
            application: process.reporter.application.clone(),
            version: process.reporter.version.clone(),
            sdk: process.sdk.clone(),
            snapshot: process.snapshot.as_ref().map(ToString::to_string),
            source: process.source,
            behind,
            drift: drift
                .into_iter()
                .filter_map(|(holds, drift)| holds.then_some(drift))
                .collect(),
            has_code,
            overrides,
            open_breakers,
            running: process.is_live(found.now),
            first_seen: process.first_seen,
            last_seen: process.last_seen,
            ended_at: process.ended_at,
            cpu_ms: process.cpu_ms,
            memory_bytes: process.memory_bytes,
        }
    }
}

/// Revisions of different epochs cannot be compared.
fn behind(snapshot: Option<&Version>, published: Option<&Version>) -> Option<u64> {
    let (snapshot, published) = (snapshot?, published?);
    (snapshot.epoch == published.epoch)
        .then(|| published.revision.saturating_sub(snapshot.revision))
}

fn page(found: &Instances, route: Option<&RouteKey>, limit: usize) -> Page<InstanceBody> {
    let bodies = found
        .processes
        .iter()
        .map(|process| InstanceBody::new(process, found, route))
        .collect();
    Page::of(bodies, limit, |instance: &InstanceBody| instance.id.clone())
}

/// Lists the instances that report in an environment, with how they stand to a route.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production"), InstancesQuery),
    responses((status = 200, body = Page<InstanceBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/instances")]
pub(crate) async fn of_rollout(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<InstancesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (limit, after, all) = read(&query.0)?;
    let page = app
        .blocking(move |services| {
            let target = target.0;
            let found = services.instances_for(&target, all, &after, limit + 1)?;
            Ok(page(&found, Some(&target.route), limit))
        })
        .await?;
    Ok(respond::resource(&request, None, &page))
}

/// Lists the instances that report in an environment.
#[utoipa::path(
    tag = "environments",
    params(("environment" = String, Path, example = "production"), InstancesQuery),
    responses((status = 200, body = Page<InstanceBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/environments/{environment}/instances")]
pub(crate) async fn of_environment(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<InstancesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let environment: EnvironmentKey = in_path(&request, "environment", "environment")?;
    let (limit, after, all) = read(&query.0)?;
    let page = app
        .blocking(move |services| {
            let found = services.instances(&environment, all, &after, limit + 1)?;
            Ok(page(&found, None, limit))
        })
        .await?;
    Ok(respond::resource(&request, None, &page))
}

fn read(query: &InstancesQuery) -> Result<(usize, String, bool), Problem> {
    let limit = respond::read_limit(query.limit)?;
    let after = respond::read_cursor(query.cursor.as_ref())?;
    Ok((limit, after.unwrap_or_default(), query.all))
}
