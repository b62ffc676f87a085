//! The processes that write a data route, and who of them is gone.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::Unverified;
use utoipa::{IntoParams, ToSchema};

use crate::domain::writer::Writer;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, OfRollout, Query, Viewer, without_tag};
use crate::http::halts::ReasonBody;
use crate::http::respond::{self, Page};
use crate::http::rollouts::read_reason;

/// A process that writes a data route.
#[derive(Serialize, ToSchema)]
#[schema(as = Writer)]
struct WriterBody {
    #[schema(example = "7f3c0c6e")]
    instance: String,
    #[schema(example = "web-3:4711")]
    name: String,
    /// `known`, `vanished` (silent for 15 s: it blocks flips) or `gone`.
    #[schema(example = "known")]
    state: &'static str,
    joined_at: DateTime<Utc>,
    /// When it last reported, to a few seconds.
    seen_at: DateTime<Utc>,
    /// The generation under which its writes begin.
    #[schema(example = 7)]
    generation: u64,
    /// The last announced generation for which it has let go of the keys that move.
    drained: Option<u64>,
    /// Whether its stores refuse writes of a lower generation than they have seen.
    fenced: bool,
    /// Why nobody knows whether all its writes were copied, if so.
    unverified: Option<Unverified>,
    /// Repairs that are open in it.
    open_repairs: u64,
    gone: Option<GoneBody>,
}

/// Who said that a process is gone.
#[derive(Serialize, ToSchema)]
#[schema(as = WriterGone)]
struct GoneBody {
    at: DateTime<Utc>,
    by: String,
    reason: String,
}

impl WriterBody {
    fn new(writer: &Writer, now: DateTime<Utc>) -> WriterBody {
        WriterBody {
            instance: writer.instance.clone(),
            name: writer.name.clone(),
            state: match &writer.gone {
                Some(_) => "gone",
                None if writer.has_vanished(now) => "vanished",
                None => "known",
            },
            joined_at: writer.joined_at,
            seen_at: writer.seen_at,
            generation: writer.generation,
            drained: writer.drained,
            fenced: writer.fenced,
            unverified: writer.unverified,
            open_repairs: writer.open_repairs,
            gone: writer.gone.as_ref().map(|gone| GoneBody {
                at: gone.at,
                by: gone.by.clone(),
                reason: gone.reason.clone(),
            }),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WritersQuery {
    /// 1 to 1000; 50 when nothing is said.
    limit: Option<usize>,
    /// From the page before.
    cursor: Option<String>,
}

/// Lists the processes that write a data route in an environment: flips wait for each that is not gone.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "save_gear"), ("environment" = String, Path, example = "production"), WritersQuery),
    responses((status = 200, body = Page<WriterBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/writers")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<WritersQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let limit = respond::read_limit(query.0.limit)?;
    let after = respond::read_cursor(query.0.cursor.as_ref())?.unwrap_or_default();
    let page = app
        .blocking(move |services| {
            let found = services.writers(&target.0, &after, limit + 1)?;
            let bodies = found.writers.iter();
            let bodies = bodies.map(|writer| WriterBody::new(writer, found.now));
            let cursor = |writer: &WriterBody| writer.instance.clone();
            Ok(Page::of(bodies.collect(), limit, cursor))
        })
        .await?;
    Ok(respond::resource(&request, None, &page))
}

/// Declares that a process which writes a data route is gone, so that flips do not wait for it. You
/// vouch for it: what it still wrote could be lost. It is known again when it reports.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "save_gear"), ("environment" = String, Path, example = "production"), ("instance" = String, Path, example = "7f3c0c6e")),
    request_body = ReasonBody,
    responses((status = 200, body = WriterBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/routes/{route}/environments/{environment}/writers/{instance}/gone")]
pub(crate) async fn declare_gone(
    app: Data<Arc<App>>,
    target: OfRollout,
    request: HttpRequest,
    change: Change<Maintainer, ReasonBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let instance = request.match_info().query("instance").to_owned();
    app.blocking(move |services| {
        let reason = read_reason(&change.body.reason)?;
        let now = services.now();
        services.declare_gone(&change.ctx, (&target.0, &instance), &reason, &|writer| {
            respond::receipt(StatusCode::OK, None, &WriterBody::new(writer, now))
        })
    })
    .await
    .map(respond::answer)
}
