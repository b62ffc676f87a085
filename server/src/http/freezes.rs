//! Change freezes: opened, listed, closed.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::environment::EnvironmentKey;
use crate::domain::freeze::Freeze;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{
    By, Change, Maintainer, Operator, Order, Query, Viewer, id_in_path, without_tag,
};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::{read_moment, read_reason};
use crate::service::{Failure, NewFreeze};

/// A change freeze to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFreeze)]
pub(crate) struct NewFreezeBody {
    /// Where it applies; everywhere when left out.
    #[serde(default)]
    #[schema(example = json!(["production"]))]
    pub(crate) environments: Vec<String>,
    /// When it begins; now when left out.
    pub(crate) from: Option<DateTime<Utc>>,
    /// When it ends by itself; never when left out.
    pub(crate) until: Option<DateTime<Utc>>,
    #[schema(example = "incident 2718: storage", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

impl NewFreezeBody {
    /// What is asked for.
    pub(crate) fn read(&self) -> Result<NewFreeze, Failure> {
        let environments = self.environments.iter();
        Ok(NewFreeze {
            environments: environments
                .map(|name| name.parse::<EnvironmentKey>())
                .collect::<Result<_, _>>()
                .map_err(|detail| Failure::invalid("environments", detail))?,
            from: self.from.map(|at| read_moment("from", at)).transpose()?,
            until: self.until.map(|at| read_moment("until", at)).transpose()?,
            reason: read_reason(&self.reason)?,
        })
    }
}

/// A change freeze: nothing raises exposure where and while it is open.
#[derive(Serialize, ToSchema)]
#[schema(as = Freeze)]
struct FreezeBody {
    id: String,
    /// Where it applies; everywhere when empty.
    environments: Vec<String>,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    reason: String,
    opened_by: String,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

/// A change freeze, and whether it is in force.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedFreeze)]
struct ListedFreezeBody {
    #[serde(flatten)]
    freeze: FreezeBody,
    /// Whether it is in force now.
    open: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FreezesQuery {
    /// Also those that have ended or were closed.
    #[serde(default)]
    past: bool,
}

impl From<&Freeze> for FreezeBody {
    fn from(freeze: &Freeze) -> FreezeBody {
        FreezeBody {
            id: freeze.id.clone(),
            environments: freeze
                .environments
                .iter()
                .map(ToString::to_string)
                .collect(),
            from: freeze.from,
            until: freeze.until,
            reason: freeze.reason.clone(),
            opened_by: freeze.opened_by.clone(),
            opened_at: freeze.opened_at,
            closed_at: freeze.closed_at,
        }
    }
}

/// Lists change freezes, newest first: those that are open or still to come.
#[utoipa::path(
    tag = "freezes",
    params(FreezesQuery),
    responses((status = 200, body = Page<ListedFreezeBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/freezes")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<FreezesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let past = query.0.past;
    let found = app.blocking(move |services| services.freezes(past)).await?;
    let page = Page {
        items: found
            .iter()
            .map(|(freeze, in_force)| ListedFreezeBody {
                freeze: FreezeBody::from(freeze),
                open: *in_force,
            })
            .collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// Opens a change freeze, now or later. Halts and demotions go on.
#[utoipa::path(
    tag = "freezes",
    request_body = NewFreezeBody,
    responses((status = 201, body = FreezeBody)),
    security(("token" = ["operator"]))
)]
#[post("/freezes")]
pub(crate) async fn open(
    app: Data<Arc<App>>,
    change: Change<Operator, NewFreezeBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let new = body.read()?;
        services.open_freeze(&change.ctx, &new, &|made| {
            respond::receipt(StatusCode::CREATED, None, &FreezeBody::from(made))
        })
    })
    .await
    .map(answer)
}

/// Closes a change freeze before its end.
#[utoipa::path(
    tag = "freezes",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000"), ReasonQuery),
    responses((status = 200, body = FreezeBody)),
    security(("token" = ["maintainer"]))
)]
#[delete("/freezes/{id}")]
pub(crate) async fn close(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let id = id_in_path(&request, "freeze")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.close_freeze(&order.ctx, &id, &reason, &|closed| {
            respond::receipt(StatusCode::OK, None, &FreezeBody::from(closed))
        })
    })
    .await
    .map(answer)
}
