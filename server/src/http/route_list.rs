//! Lists of routes: filtered, by key or as the backlog.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Deserialize;
use switchover::Stage;
use utoipa::{IntoParams, ToSchema};

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Query, Viewer};
use crate::http::respond::{self, Page};
use crate::http::routes::RouteBody;
use crate::store::{RouteFilter, RouteOrder};

/// How a list of routes is ordered.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Key,
    Priority,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RoutesQuery {
    /// Only routes at this stage, in `environment` or anywhere.
    stage: Option<Stage>,
    /// The environment that `stage` speaks of.
    environment: Option<String>,
    /// Only routes of this owner.
    owner: Option<String>,
    /// Only routes under this policy.
    policy: Option<String>,
    /// Only routes whose preparation is at this phase, or `shelved`, or `ready`, or anything but
    /// ready: `unready`.
    #[param(example = "unready")]
    preparation: Option<String>,
    /// `key` when nothing is said; `priority` is the order of the backlog, those without one last.
    #[param(inline)]
    sort: Option<Sort>,
    /// Only routes with this text in key, flag, endpoint or description.
    q: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists routes by key or by priority, with where each stands.
#[utoipa::path(
    tag = "routes",
    params(RoutesQuery),
    responses((status = 200, body = Page<RouteBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    query: Query<RoutesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let preparation = query.preparation.as_deref().map(str::parse).transpose();
    let preparation = preparation
        .map_err(|detail: String| Problem::malformed(format!("`preparation`: {detail}")))?;
    let by_priority = matches!(query.sort, Some(Sort::Priority));
    let cursor = respond::read_cursor(query.cursor.as_ref())?;
    let (order, after) = if by_priority {
        let (priority, after) = read_place(cursor)?;
        (RouteOrder::Priority { after: priority }, after)
    } else {
        (RouteOrder::Key, cursor)
    };
    let filter = RouteFilter {
        stage: query.stage,
        environment: query.environment,
        owner: query.owner,
        policy: query.policy,
        text: query.q,
        halted: false,
        preparation,
        order,
        after,
    };
    let found = app
        .blocking(move |services| services.routes(&filter, limit + 1))
        .await?;
    let bodies = found.iter().map(RouteBody::from).collect();
    let page = Page::of(bodies, limit, |route: &RouteBody| {
        if by_priority {
            format!("{}:{}", route.priority().unwrap_or(0), route.key)
        } else {
            route.key.clone()
        }
    });
    Ok(respond::resource(&request, None, &page))
}

/// The place in the backlog that a page goes on after: `PRIORITY:KEY`, 0 for none.
fn read_place(cursor: Option<String>) -> Result<(Option<u32>, Option<String>), Problem> {
    let Some(cursor) = cursor else {
        return Ok((None, None));
    };
    let place = cursor.split_once(':');
    let place = place.and_then(|(priority, key)| Some((priority.parse::<u32>().ok()?, key)));
    let (priority, key) = place.ok_or_else(|| {
        Problem::malformed("`cursor` is not one that this list gave: leave it out")
    })?;
    Ok(((priority > 0).then_some(priority), Some(key.to_owned())))
}
