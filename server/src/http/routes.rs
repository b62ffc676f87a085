//! Routes: created, imported, shown, changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, patch, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use switchover::RouteKey;
use utoipa::ToSchema;

use crate::domain::field::FieldError;
use crate::domain::route::{Links, Operation, RawRoute};
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{
    By, Change, Importer, Maintainer, Operator, Viewer, in_path, without_tag,
};
use crate::http::preparation::{MilestoneBody, NewPreparationBody, PreparationBody};
use crate::http::respond::{self, answer};
use crate::http::rollouts::{RolloutBody, read_reason};
use crate::service::{Failure, NewRoute, RoutePatch, RouteWithRollouts, RowErrors};
use crate::store::Receipt;

/// The most routes that one import may have.
const LARGEST_IMPORT: usize = 10_000;

/// What a call does.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Operation)]
enum OperationBody {
    Read,
    Write,
    Call,
}

/// Where to read on; each an http or https address.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Links)]
struct LinksBody {
    #[serde(default)]
    #[schema(example = "https://runbooks.example.com/gitaly-error-rate")]
    runbook: Option<String>,
    #[serde(default)]
    dashboard: Option<String>,
    #[serde(default)]
    alert: Option<String>,
    #[serde(default)]
    issue: Option<String>,
}

/// A route to be. Key and flag follow from the endpoint where they are not given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRoute)]
struct NewRouteBody {
    /// The new implementation's address.
    #[schema(example = "gitaly.CommitService/CountCommits")]
    endpoint: String,
    #[schema(example = "count_commits", pattern = "^[a-z][a-z0-9_]{0,62}$")]
    key: Option<String>,
    #[schema(example = "GITALY_COUNT_COMMITS", pattern = "^[A-Z][A-Z0-9_]{0,126}$")]
    flag: Option<String>,
    operation: OperationBody,
    /// Who answers for it.
    #[schema(example = "gitaly", min_length = 1, max_length = 100)]
    owner: String,
    /// `gitaly` when nothing is said.
    #[schema(example = "gitaly")]
    policy: Option<String>,
    /// Numbers of the policy that this route sets for itself.
    #[serde(default)]
    #[schema(example = json!({ "opt_out.soak.days": 3 }))]
    policy_numbers: BTreeMap<String, f64>,
    /// Routes that must be at least as far, and decide new first; at most 16.
    #[serde(default)]
    requires: Vec<String>,
    /// Routes of one group move the same keys together.
    ramp_group: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    /// Whom to ask. The usual names: `technical_lead`, `database`, `on_call`.
    #[schema(example = json!({ "technical_lead": "jane@example.com", "on_call": "#gitaly" }))]
    contacts: BTreeMap<String, String>,
    #[serde(default)]
    #[schema(max_length = 4000)]
    description: String,
    #[serde(default)]
    links: LinksBody,
    /// What it is to be prepared by; without it, the route is ready for testing at once.
    preparation: Option<NewPreparationBody>,
}

/// What is to be different about a route; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RouteChange)]
pub(crate) struct RoutePatchBody {
    endpoint: Option<String>,
    operation: Option<OperationBody>,
    owner: Option<String>,
    policy: Option<String>,
    /// All numbers of the policy that this route sets for itself.
    policy_numbers: Option<BTreeMap<String, f64>>,
    requires: Option<Vec<String>>,
    /// Null takes the route out of its group.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    ramp_group: Option<Option<String>>,
    labels: Option<BTreeMap<String, String>>,
    contacts: Option<BTreeMap<String, String>>,
    description: Option<String>,
    links: Option<LinksBody>,
    /// The days, in UTC, on which it is to reach stages: by environment, then by stage. It replaces
    /// the schedule before.
    #[schema(example = json!({ "production": { "opt_in": "2026-12-01" } }))]
    schedule: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Demote it where it would be ahead of what it requires.
    #[serde(default)]
    cascade: bool,
    #[schema(example = "the team has a new name", min_length = 1, max_length = 1000)]
    reason: String,
}

impl RoutePatchBody {
    /// What it asks for, and why.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self) -> Result<(RoutePatch, Reason), Failure> {
        let reason = read_reason(&self.reason)?;
        let wanted = RoutePatch {
            endpoint: self.endpoint,
            operation: self.operation.map(Operation::from),
            owner: self.owner,
            policy: self.policy,
            policy_numbers: self.policy_numbers,
            requires: self.requires,
            ramp_group: self.ramp_group,
            labels: self.labels,
            contacts: self.contacts,
            description: self.description,
            links: self.links.map(Links::from),
            schedule: self.schedule,
            cascade: self.cascade,
        };
        Ok((wanted, reason))
    }
}

/// A route with where it stands in every environment.
#[derive(Serialize, ToSchema)]
#[schema(as = Route)]
pub(super) struct RouteBody {
    #[schema(example = "count_commits")]
    pub(super) key: String,
    #[schema(example = "GITALY_COUNT_COMMITS")]
    flag: String,
    #[schema(example = "gitaly.CommitService/CountCommits")]
    endpoint: String,
    operation: OperationBody,
    owner: String,
    policy: String,
    policy_numbers: BTreeMap<String, f64>,
    requires: Vec<String>,
    ramp_group: Option<String>,
    labels: BTreeMap<String, String>,
    contacts: BTreeMap<String, String>,
    description: String,
    links: LinksBody,
    /// Whether it is published; before, it is in no environment and has no rollouts.
    ready: bool,
    /// Null for a route that was ready when it was created.
    preparation: Option<PreparationBody>,
    /// The stages that are planned or reached, by environment and stage.
    schedule: Vec<MilestoneBody>,
    /// Since when it is retired: final, and mandatory for ever.
    retired_at: Option<DateTime<Utc>>,
    revision: u64,
    created_at: DateTime<Utc>,
    /// By the position of their environment.
    rollouts: Vec<RolloutBody>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
#[schema(as = Imported)]
struct ImportedBody {
    imported: usize,
    rows: Vec<ImportedRow>,
}

/// One imported row.
#[derive(Serialize, ToSchema)]
struct ImportedRow {
    /// Which row, from 0.
    index: usize,
    key: String,
    #[schema(example = "created")]
    status: String,
}

impl From<OperationBody> for Operation {
    fn from(body: OperationBody) -> Operation {
        match body {
            OperationBody::Read => Operation::Read,
            OperationBody::Write => Operation::Write,
            OperationBody::Call => Operation::Call,
        }
    }
}

impl From<Operation> for OperationBody {
    fn from(operation: Operation) -> OperationBody {
        match operation {
            Operation::Read => OperationBody::Read,
            Operation::Write => OperationBody::Write,
            Operation::Call => OperationBody::Call,
        }
    }
}

impl From<LinksBody> for Links {
    fn from(body: LinksBody) -> Links {
        Links {
            runbook: body.runbook,
            dashboard: body.dashboard,
            alert: body.alert,
            issue: body.issue,
        }
    }
}

impl NewRouteBody {
    fn into_new(self) -> Result<NewRoute, Vec<FieldError>> {
        let preparation = self
            .preparation
            .map(NewPreparationBody::begin)
            .transpose()?;
        let raw = RawRoute {
            endpoint: self.endpoint,
            key: self.key,
            flag: self.flag,
            operation: self.operation.into(),
            owner: self.owner,
            policy: self.policy,
            policy_numbers: self.policy_numbers,
            requires: self.requires,
            ramp_group: self.ramp_group,
            labels: self.labels,
            contacts: self.contacts,
            description: self.description,
            links: self.links.into(),
        };
        Ok(NewRoute { raw, preparation })
    }
}

impl RouteBody {
    /// Its place in the backlog.
    pub(super) fn priority(&self) -> Option<u32> {
        self.preparation.as_ref()?.priority
    }
}

impl From<&RouteWithRollouts> for RouteBody {
    fn from(found: &RouteWithRollouts) -> RouteBody {
        let spec = found.route.spec.clone();
        RouteBody {
            key: spec.key.to_string(),
            flag: spec.flag.to_string(),
            endpoint: spec.endpoint.to_string(),
            operation: spec.operation.into(),
            owner: spec.owner,
            policy: spec.policy.to_string(),
            policy_numbers: spec.policy_numbers,
            requires: spec.requires.iter().map(ToString::to_string).collect(),
            ramp_group: spec.ramp_group,
            labels: spec.labels,
            contacts: spec.contacts,
            description: spec.description,
            links: LinksBody {
                runbook: spec.links.runbook,
                dashboard: spec.links.dashboard,
                alert: spec.links.alert,
                issue: spec.links.issue,
            },
            ready: found.route.is_ready(),
            preparation: PreparationBody::of(&found.route),
            schedule: found.milestones.iter().map(MilestoneBody::from).collect(),
            retired_at: found.route.retired_at,
            revision: found.route.revision,
            created_at: found.route.created_at,
            rollouts: found
                .rollouts
                .iter()
                .map(|(rollout, environment)| RolloutBody::of(rollout, environment, None))
                .collect(),
        }
    }
}

/// Creates a route: ready for testing in every environment or, with `preparation`, in analysis.
#[utoipa::path(
    tag = "routes",
    request_body = NewRouteBody,
    responses((status = 201, body = RouteBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    change: Change<Operator, NewRouteBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    app.blocking(move |services| {
        let new = change.body.into_new().map_err(Failure::Invalid)?;
        services.create_route(&change.ctx, new, &|found| shown(StatusCode::CREATED, found))
    })
    .await
    .map(answer)
}

/// Creates many routes, or none: when one row is refused, each such row is named.
#[utoipa::path(
    tag = "routes",
    request_body = Vec<NewRouteBody>,
    responses((status = 201, body = ImportedBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes:import")]
pub(crate) async fn import(
    app: Data<Arc<App>>,
    change: Change<Importer, Vec<NewRouteBody>>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    app.blocking(move |services| {
        if change.body.len() > LARGEST_IMPORT {
            let detail = format!("an import has at most {LARGEST_IMPORT} routes");
            return Err(Failure::invalid("", detail));
        }
        let rows = new_rows(change.body)?;
        services.import_routes(&change.ctx, rows, &|keys: &Vec<RouteKey>| {
            let rows = keys.iter().enumerate().map(|(index, key)| ImportedRow {
                index,
                key: key.to_string(),
                status: "created".to_owned(),
            });
            let body = ImportedBody {
                imported: keys.len(),
                rows: rows.collect(),
            };
            respond::receipt(StatusCode::CREATED, None, &body)
        })
    })
    .await
    .map(answer)
}

/// One route, with where it stands.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    responses((status = 200, body = RouteBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let found = app.blocking(move |services| services.route(&key)).await?;
    let tag = Some(found.tag.clone());
    Ok(respond::resource(&request, tag, &RouteBody::from(&found)))
}

/// Changes what is said of a route. Key and flag never change.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    request_body = RoutePatchBody,
    responses((status = 200, body = RouteBody)),
    security(("token" = ["maintainer"]))
)]
#[patch("/routes/{route}")]
pub(crate) async fn patch(
    app: Data<Arc<App>>,
    change: Change<Maintainer, RoutePatchBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let body = change.body;
    app.blocking(move |services| {
        let (wanted, reason) = body.read()?;
        services.patch_route(&change.ctx, &key, &wanted, &reason, &|found| {
            shown(StatusCode::OK, found)
        })
    })
    .await
    .map(answer)
}

/// Every row, or all that is wrong with their preparations.
fn new_rows(bodies: Vec<NewRouteBody>) -> Result<Vec<NewRoute>, Failure> {
    let mut rows = Vec::with_capacity(bodies.len());
    let mut refused = Vec::new();
    for (index, body) in bodies.into_iter().enumerate() {
        match body.into_new() {
            Ok(row) => rows.push(row),
            Err(errors) => refused.push(RowErrors { index, errors }),
        }
    }
    if refused.is_empty() {
        Ok(rows)
    } else {
        Err(Failure::Rows(refused))
    }
}

pub(super) fn shown(status: StatusCode, found: &RouteWithRollouts) -> Receipt {
    respond::receipt(status, Some(found.tag.clone()), &RouteBody::from(found))
}

/// Tells a field that is null from one that is left out.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
