//! What promotions of a route wait for outside.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{RouteKey, Stage};
use utoipa::ToSchema;

use crate::domain::external::{External, ExternalName};
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, Operator, Order, Query, Viewer, in_path};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, NewExternal, external_tag};
use crate::store::Receipt;

/// Something outside that promotions wait for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewExternal)]
struct NewExternalBody {
    /// Who confirms it: the subject of their token.
    #[schema(example = "dba@example.com", min_length = 1, max_length = 200)]
    owner: String,
    /// What must be so.
    #[schema(example = "the replica has room", min_length = 1, max_length = 1000)]
    description: String,
    /// The stage whose promotion waits for it; every promotion when nothing is said.
    stage: Option<Stage>,
    #[schema(example = "agreed in the review", min_length = 1, max_length = 1000)]
    reason: String,
}

/// Somebody's word that it is so.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConfirmation)]
pub(crate) struct NewConfirmationBody {
    #[serde(default)]
    #[schema(example = "200 GB free since Monday", max_length = 1000)]
    comment: String,
}

impl NewConfirmationBody {
    /// What is said of it.
    ///
    /// # Errors
    /// When that is too long.
    pub(crate) fn read(self) -> Result<Reason, Failure> {
        let comment = match self.comment.trim() {
            "" => "confirmed",
            comment => comment,
        };
        Reason::new(comment)
            .map_err(|_| Failure::invalid("comment", "has at most 1,000 printable characters"))
    }
}

/// Something outside that promotions wait for, and whether it is confirmed.
#[derive(Serialize, ToSchema)]
#[schema(as = External)]
struct ExternalBody {
    #[schema(example = "replica")]
    name: String,
    #[schema(example = "dba@example.com")]
    owner: String,
    description: String,
    /// The stage whose promotion waits for it; null for every promotion.
    stage: Option<Stage>,
    /// Null until its owner confirms it, and again when owner or description change.
    confirmed: Option<ConfirmationBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Confirmation)]
struct ConfirmationBody {
    by: String,
    /// Whether an admin confirmed it in the owner's place.
    for_owner: bool,
    at: DateTime<Utc>,
    comment: String,
}

impl From<&External> for ExternalBody {
    fn from(external: &External) -> ExternalBody {
        let for_owner = external.is_confirmed_for_owner();
        let external = external.clone();
        ExternalBody {
            name: external.name.to_string(),
            owner: external.owner,
            description: external.description,
            stage: external.stage,
            confirmed: external.confirmed.map(|confirmed| ConfirmationBody {
                by: confirmed.by,
                for_owner,
                at: confirmed.at,
                comment: confirmed.comment,
            }),
        }
    }
}

/// Lists what promotions of a route wait for outside, by name.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    responses((status = 200, body = Page<ExternalBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/externals")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let found = app
        .blocking(move |services| services.externals(&key))
        .await?;
    let page = Page {
        items: found.iter().map(ExternalBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// One outside dependency, with the tag that a change of it may name.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ("name" = String, Path, example = "replica")),
    responses((status = 200, body = ExternalBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/externals/{name}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (key, name) = named(&request)?;
    let found = app
        .blocking(move |services| {
            let all = services.externals(&key)?;
            let found = all.into_iter().find(|external| external.name == name);
            found.ok_or_else(|| Failure::missing("outside dependency", &name))
        })
        .await?;
    let tag = Some(external_tag(&found));
    Ok(respond::resource(
        &request,
        tag,
        &ExternalBody::from(&found),
    ))
}

/// States what promotions wait for, or changes it. Another owner or description is confirmed anew.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ("name" = String, Path, example = "replica")),
    request_body = NewExternalBody,
    responses((status = 200, body = ExternalBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/externals/{name}")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    change: Change<Operator, NewExternalBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let name = request.match_info().query("name").to_owned();
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        let new = NewExternal {
            owner: body.owner,
            description: body.description,
            stage: body.stage,
        };
        services.put_external(&change.ctx, &key, &name, &new, &reason, &shown)
    })
    .await
    .map(answer)
}

/// Confirms an outside dependency: its owner's word, whatever their role, or an admin's in their place.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ("name" = String, Path, example = "replica")),
    request_body = NewConfirmationBody,
    responses((status = 200, body = ExternalBody)),
    security(("token" = ["viewer"]))
)]
#[post("/routes/{route}/externals/{name}/confirmation")]
pub(crate) async fn confirm(
    app: Data<Arc<App>>,
    change: Change<Viewer, NewConfirmationBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (key, name) = named(&request)?;
    app.blocking(move |services| {
        let comment = change.body.read()?;
        services.confirm_external(&change.ctx, &key, &name, &comment, &shown)
    })
    .await
    .map(answer)
}

/// Withdraws the confirmation of an outside dependency; for its owner or an admin.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ("name" = String, Path, example = "replica"), ReasonQuery),
    responses((status = 200, body = ExternalBody)),
    security(("token" = ["viewer"]))
)]
#[delete("/routes/{route}/externals/{name}/confirmation")]
pub(crate) async fn withdraw(
    app: Data<Arc<App>>,
    order: Order<Viewer>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (key, name) = named(&request)?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.withdraw_external(&order.ctx, &key, &name, &reason, &shown)
    })
    .await
    .map(answer)
}

/// Removes an outside dependency: promotions wait for it no longer.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits"), ("name" = String, Path, example = "replica"), ReasonQuery),
    responses((status = 204, description = "Removed")),
    security(("token" = ["maintainer"]))
)]
#[delete("/routes/{route}/externals/{name}")]
pub(crate) async fn remove(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (key, name) = named(&request)?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.remove_external(&order.ctx, &key, &name, &reason, &|()| {
            respond::empty_receipt()
        })
    })
    .await
    .map(answer)
}

fn named(request: &HttpRequest) -> Result<(RouteKey, ExternalName), Problem> {
    let route = in_path(request, "route", "route")?;
    Ok((route, in_path(request, "name", "outside dependency")?))
}

fn shown(external: &External) -> Receipt {
    let tag = Some(external_tag(external));
    respond::receipt(StatusCode::OK, tag, &ExternalBody::from(external))
}
