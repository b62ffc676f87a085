//! The ledger of repairs: listed, tried again, taken for settled.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Cause, Path, RepairState, Step};
use utoipa::{IntoParams, ToSchema};

use crate::domain::repair::{KeptRepair, Settlement, is_key};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, OfRollout, Operator, Query, Viewer, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, Settle, SettledMany, UNRESOLVED};

/// Keys that one request may name.
const MOST_KEYS: usize = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RepairQuery {
    /// Only those in this state; all that are not resolved when nothing is said.
    state: Option<RepairState>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A key whose two rows may differ, because a copy did not end well.
#[derive(Serialize, ToSchema)]
#[schema(as = Repair)]
struct RepairBody {
    #[schema(example = "item-17")]
    key: String,
    /// The process that has it, by the id of its telemetry.
    #[schema(example = "7f3c0c6e")]
    instance: String,
    /// The side that was written.
    written: Path,
    generation: u64,
    cause: Cause,
    state: RepairState,
    /// How often a copy was tried.
    attempts: u32,
    /// What the last attempt failed at.
    failed_at: Option<Step>,
    /// When the write was.
    first_at: DateTime<Utc>,
    /// When its process last told of it.
    last_at: DateTime<Utc>,
    /// Whether somebody wants it tried, and its process has not said yet what came of that.
    retry_asked: bool,
    settled: Option<SettledBody>,
}

/// How a repair was settled.
#[derive(Serialize, ToSchema)]
#[schema(as = RepairSettled)]
struct SettledBody {
    at: DateTime<Utc>,
    /// The process that copied the row, or the person who took it for settled.
    by: String,
    /// Why; null where the rows were copied.
    reason: Option<String>,
}

impl From<&KeptRepair> for RepairBody {
    fn from(repair: &KeptRepair) -> RepairBody {
        RepairBody {
            key: repair.key.clone(),
            instance: repair.instance.clone(),
            written: repair.written,
            generation: repair.generation,
            cause: repair.cause,
            state: repair.state,
            attempts: repair.attempts,
            failed_at: repair.failed_at,
            first_at: repair.first_at,
            last_at: repair.last_at,
            retry_asked: repair.is_unresolved() && repair.order.is_some(),
            settled: repair.settled.as_ref().map(|settled| SettledBody {
                at: settled.at,
                by: settled.by.clone(),
                reason: settled.why.clone(),
            }),
        }
    }
}

/// What is to be done about repairs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RepairSettlement)]
pub(crate) struct SettleBody {
    action: SettleAction,
    /// Of these keys, 1 to 1,000.
    #[schema(example = json!(["item-17"]))]
    keys: Option<Vec<String>>,
    /// Of every key with an unresolved repair, in the place of `keys`.
    #[serde(default)]
    all: bool,
    #[schema(example = "the new store is back", min_length = 1, max_length = 1000)]
    reason: String,
}

impl SettleBody {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason, or no keys are named.
    pub(crate) fn read(self) -> Result<Settle, Failure> {
        Ok(Settle {
            keys: read_keys(self.keys, self.all)?,
            how: match self.action {
                SettleAction::Retry => Settlement::Retry,
                SettleAction::Resolve => Settlement::Resolve,
            },
            reason: read_reason(&self.reason)?,
        })
    }
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SettleAction {
    /// Try them again now.
    Retry,
    /// Take them for settled: somebody has seen to it that the rows are equal.
    Resolve,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = RepairsSettled)]
struct SettledManyBody {
    /// Repairs that it was done to.
    repairs: usize,
    /// Keys that were named and have no unresolved repair.
    unknown: usize,
}

/// The repairs of a rollout, by key and process.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), RepairQuery),
    responses((status = 200, body = Page<RepairBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/repairs")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<RepairQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let after = read_place(query.cursor.as_ref())?;
    let found = app
        .blocking(move |services| {
            let states = query.state.map_or(UNRESOLVED.to_vec(), |state| vec![state]);
            services.repairs(&target.0, &states, after.as_ref(), limit + 1)
        })
        .await?;
    let bodies = found.iter().map(RepairBody::from).collect();
    let page = Page::of(bodies, limit, |repair: &RepairBody| {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}", encoded(&repair.key), encoded(&repair.instance))
    });
    Ok(respond::resource(&request, None, &page))
}

/// Has repairs tried again, or takes them for settled. What is taken for settled is believed: in
/// production and for installations of others that takes a maintainer.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production")),
    request_body = SettleBody,
    responses((status = 200, body = SettledManyBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/repairs/settle")]
pub(crate) async fn settle(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, SettleBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let settle = body.read()?;
        let render = |done: &SettledMany| {
            let body = SettledManyBody {
                repairs: done.repairs,
                unknown: done.unknown,
            };
            respond::receipt(StatusCode::OK, None, &body)
        };
        services.settle_repairs(&change.ctx, (&target.0, &settle), &render)
    })
    .await
    .map(answer)
}

fn read_keys(keys: Option<Vec<String>>, all: bool) -> Result<Option<Vec<String>>, Failure> {
    match (keys, all) {
        (None, true) => Ok(None),
        (Some(keys), false) if (1..=MOST_KEYS).contains(&keys.len()) => {
            if keys.iter().all(|key| is_key(key)) {
                Ok(Some(keys))
            } else {
                Err(Failure::invalid("keys", "a key has 1 to 256 bytes"))
            }
        }
        (Some(_), false) => Err(Failure::invalid(
            "keys",
            format!("name 1 to {MOST_KEYS} keys"),
        )),
        _ => Err(Failure::invalid("keys", "name keys, or say `all`: true")),
    }
}

fn read_place(cursor: Option<&String>) -> Result<Option<(String, String)>, Problem> {
    respond::read_cursor(cursor)?
        .map(|cursor| {
            let decoded = |text: &str| {
                let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
                String::from_utf8(bytes).ok()
            };
            cursor
                .split_once('.')
                .and_then(|(key, instance)| Some((decoded(key)?, decoded(instance)?)))
                .filter(|(_, instance)| !instance.contains('\0'))
                .ok_or_else(|| {
                    Problem::malformed("`cursor` is not one that this list gave: leave it out")
                })
        })
        .transpose()
}
