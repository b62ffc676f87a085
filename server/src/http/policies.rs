//! Policies: written, read, deleted.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::domain::policy::PolicyName;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Admin, By, Change, Order, Query, Viewer, in_path, without_tag};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::store::StoredPolicy;

/// A policy to be, or its next version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPolicy)]
struct NewPolicyBody {
    /// The policy's document: `name`, `description`, `gates` by stage, `ramp`, `guards`.
    #[schema(value_type = Object, example = json!({
        "name": "reviewed",
        "gates": { "opt_in": [{ "gate": "approval", "count": 1, "only": "guarded" }] }
    }))]
    policy: Value,
    #[schema(example = "what our team agreed on", min_length = 1, max_length = 1000)]
    reason: String,
}

/// A policy: which gates a promotion needs, in which steps a ramp goes up, what guards watch.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
struct PolicyBody {
    name: String,
    /// 0 for one that comes with the product.
    version: u32,
    /// The policy's document.
    #[schema(value_type = Object)]
    policy: Value,
    created_by: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// An older version; the newest when left out.
    version: Option<u32>,
}

impl From<&StoredPolicy> for PolicyBody {
    fn from(stored: &StoredPolicy) -> PolicyBody {
        PolicyBody {
            name: stored.policy.name.to_string(),
            version: stored.version,
            // A policy always serialises.
            policy: serde_json::to_value(&stored.policy).unwrap_or_default(),
            created_by: stored.created_by.clone(),
            created_at: stored.created_at,
        }
    }
}

/// Lists policies by name, each in its newest version.
#[utoipa::path(
    tag = "policies",
    responses((status = 200, body = Page<PolicyBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/policies")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.policies()).await?;
    let page = Page {
        items: found.iter().map(PolicyBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// One policy.
#[utoipa::path(
    tag = "policies",
    params(("policy" = String, Path, example = "gitaly"), VersionQuery),
    responses((status = 200, body = PolicyBody)),
    security(("token" = ["viewer"]))
)]
#[get("/policies/{policy}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<VersionQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name: PolicyName = in_path(&request, "policy", "policy")?;
    let version = query.0.version;
    let found = app
        .blocking(move |services| services.policy(&name, version))
        .await?;
    Ok(respond::resource(&request, None, &PolicyBody::from(&found)))
}

/// Writes a policy, or its next version: at once in force for every route that has it.
#[utoipa::path(
    tag = "policies",
    request_body = NewPolicyBody,
    responses((status = 201, body = PolicyBody)),
    security(("token" = ["admin"]))
)]
#[post("/policies")]
pub(crate) async fn write(
    app: Data<Arc<App>>,
    change: Change<Admin, NewPolicyBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let document = body.policy.to_string();
        services.write_policy(&change.ctx, document.as_bytes(), &reason, &|made| {
            respond::receipt(StatusCode::CREATED, None, &PolicyBody::from(made))
        })
    })
    .await
    .map(answer)
}

/// Deletes a policy that no route has.
#[utoipa::path(
    tag = "policies",
    params(("policy" = String, Path, example = "reviewed"), ReasonQuery),
    responses((status = 204, description = "Deleted")),
    security(("token" = ["admin"]))
)]
#[delete("/policies/{policy}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Admin>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let name: PolicyName = in_path(&request, "policy", "policy")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.delete_policy(&order.ctx, &name, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}
