//! Ramp groups: what the keys are that their routes move together.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::cohort::{Name, RampGroup};
use crate::domain::text::{Reason, bounded};
use crate::http::App;
use crate::http::cohorts::{read_description, read_name};
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Operator, Order, Query, Viewer, in_path, without_tag};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::Failure;

/// What a ramp group states.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RampGroupChange)]
pub(crate) struct RampGroupRequest {
    /// What its keys are: every caller of a route in the group passes such a key.
    #[schema(example = "project", min_length = 1, max_length = 100)]
    pub(crate) keys: String,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub(crate) description: String,
    #[schema(example = "agreed by both teams", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

impl RampGroupRequest {
    /// What is asked for of a group, and why.
    pub(crate) fn read(&self, name: &str) -> Result<(RampGroup, Reason), Failure> {
        let group = RampGroup {
            name: read_name("group", name)?,
            keys: bounded(&self.keys, 100)
                .ok_or_else(|| Failure::invalid("keys", "is 1 to 100 printable characters"))?,
            description: read_description(&self.description)?,
        };
        Ok((group, read_reason(&self.reason)?))
    }
}

/// A ramp group that states what its keys are.
#[derive(Serialize, ToSchema)]
#[schema(as = RampGroup)]
struct RampGroupBody {
    #[schema(example = "commits")]
    name: String,
    #[schema(example = "project")]
    keys: String,
    description: String,
}

/// A ramp group, and the routes in it.
#[derive(Serialize, ToSchema)]
#[schema(as = RampGroupWithRoutes)]
struct ListedGroupBody {
    #[serde(flatten)]
    group: RampGroupBody,
    routes: Vec<String>,
}

impl From<&RampGroup> for RampGroupBody {
    fn from(group: &RampGroup) -> RampGroupBody {
        RampGroupBody {
            name: group.name.to_string(),
            keys: group.keys.clone(),
            description: group.description.clone(),
        }
    }
}

/// Lists ramp groups that state what their keys are, by name.
#[utoipa::path(
    tag = "cohorts",
    responses((status = 200, body = Page<ListedGroupBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/ramp-groups")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.ramp_groups()).await?;
    let items = found.into_iter().map(|(group, routes)| ListedGroupBody {
        group: RampGroupBody::from(&group),
        routes,
    });
    let page = Page {
        items: items.collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// States what the keys of a ramp group are, so that explain can say when a caller passes none.
#[utoipa::path(
    tag = "cohorts",
    params(("group" = String, Path, example = "commits")),
    request_body = RampGroupRequest,
    responses((status = 200, body = RampGroupBody)),
    security(("token" = ["operator"]))
)]
#[put("/ramp-groups/{group}")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    change: Change<Operator, RampGroupRequest>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let name = request.match_info().query("group").to_owned();
    let body = change.body;
    app.blocking(move |services| {
        let (group, reason) = body.read(&name)?;
        services.put_ramp_group(&change.ctx, &group, &reason, &|group| {
            respond::receipt(StatusCode::OK, None, &RampGroupBody::from(group))
        })
    })
    .await
    .map(answer)
}

/// Deletes what a ramp group states, while no route is in it.
#[utoipa::path(
    tag = "cohorts",
    params(("group" = String, Path, example = "commits"), ReasonQuery),
    responses((status = 204)),
    security(("token" = ["operator"]))
)]
#[delete("/ramp-groups/{group}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let name: Name = in_path(&request, "group", "ramp group")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.delete_ramp_group(&order.ctx, &name, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}
