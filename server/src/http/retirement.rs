//! The end of a route: it is retired.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Deserialize;
use switchover::RouteKey;
use utoipa::ToSchema;

use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, Maintainer, in_path};
use crate::http::respond::answer;
use crate::http::rollouts::read_reason;
use crate::http::routes::{RouteBody, shown};
use crate::service::Failure;

/// Why a route is retired.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retirement)]
pub(crate) struct RetirementBody {
    #[schema(
        example = "the flag is gone from the code",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
    /// Said on purpose by an admin: it is retired though no scan shows that the code no longer asks for
    /// it, and the record shows it.
    #[serde(default)]
    break_glass: bool,
}

impl RetirementBody {
    /// Why, and whether no proof is needed.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self) -> Result<(Reason, bool), Failure> {
        Ok((read_reason(&self.reason)?, self.break_glass))
    }
}

/// Retires a route that is mandatory everywhere and that no code asks for any more, as scans of every
/// repository show. Final: it stays published as mandatory for ever.
#[utoipa::path(
    tag = "routes",
    params(("route" = String, Path, example = "count_commits")),
    request_body = RetirementBody,
    responses((status = 200, body = RouteBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/routes/{route}/retire")]
pub(crate) async fn retire(
    app: Data<Arc<App>>,
    change: Change<Maintainer, RetirementBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    app.blocking(move |services| {
        let (reason, break_glass) = change.body.read()?;
        let how = (&reason, break_glass);
        services.retire_route(&change.ctx, &key, how, &|found| {
            shown(StatusCode::OK, found)
        })
    })
    .await
    .map(answer)
}
