//! What SDKs report: taken in, and shown.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Batch, MAX_BATCH_BYTES};
use utoipa::{IntoParams, ToSchema};

use crate::domain::telemetry::{Tallies, Tally};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, JSON, OfRollout, Query, SdkCaller, Viewer, read_body};
use crate::http::respond;
use crate::http::rollouts::read_moment;
use crate::service::{Failure, Series, SeriesSpan, Target};
use crate::telemetry::{NotTaken, Outcome};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TelemetryQuery {
    /// From when on; an hour before `to` when nothing is said.
    from: Option<DateTime<Utc>>,
    /// Until when; now when nothing is said.
    to: Option<DateTime<Utc>>,
    /// So many seconds until now, in the place of `from` and `to`.
    #[param(example = 600, minimum = 1)]
    last: Option<u32>,
    /// The length of a step in seconds: a multiple of 10 within the last hour, else of 60. At most
    /// 1,000 points.
    #[param(example = 60)]
    step: Option<u32>,
}

/// What was counted of a route, both paths side by side.
#[derive(Serialize, ToSchema)]
#[schema(as = Telemetry)]
struct TelemetryBody {
    route: String,
    environment: String,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step_seconds: i64,
    totals: PathsBody,
    /// The steps in which anything was counted.
    points: Vec<PointBody>,
}

/// What was counted in one step.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryPoint)]
struct PointBody {
    /// When it begins.
    at: DateTime<Utc>,
    #[serde(flatten)]
    paths: PathsBody,
}

/// Both paths, for callers and beside them; null where nothing was counted.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryPaths)]
struct PathsBody {
    /// The old path, for callers.
    old: Option<CountsBody>,
    /// The new path, for callers.
    new: Option<CountsBody>,
    /// The old path beside the new one.
    old_mirror: Option<CountsBody>,
    /// The new path beside the old one.
    new_mirror: Option<CountsBody>,
}

/// Counts of calls. Quantiles are at most 1.6 % off.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryCounts)]
struct CountsBody {
    calls: u64,
    /// Those that returned an error.
    errors: u64,
    /// Those that panicked.
    panics: u64,
    /// Those whose future was dropped before it was done.
    cancelled: u64,
    /// Errors and panics per call; null without calls.
    error_rate: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Slow calls, by the limits that guards and gates have.
    slow: Vec<SlowBody>,
    /// Results that were compared with the other path's.
    comparisons: u64,
    /// Those that differed.
    mismatches: u64,
}

/// Slow calls, by one limit. A call that has not ended counts when it passes the limit.
#[derive(Serialize, ToSchema)]
#[schema(as = SlowCalls)]
struct SlowBody {
    #[schema(example = 500)]
    limit_ms: u32,
    /// The calls that were held against it.
    calls: u64,
    /// Those that took longer.
    slow: u64,
}

impl TelemetryBody {
    fn new(target: &Target, series: &Series) -> TelemetryBody {
        TelemetryBody {
            route: target.route.to_string(),
            environment: target.environment.to_string(),
            from: series.from,
            to: series.until,
            step_seconds: series.step_seconds,
            totals: PathsBody::from(&series.totals),
            points: series
                .points
                .iter()
                .map(|(at, tallies)| PointBody {
                    at: *at,
                    paths: PathsBody::from(tallies),
                })
                .collect(),
        }
    }
}

impl From<&Tallies> for PathsBody {
    fn from(tallies: &Tallies) -> PathsBody {
        let counted = |tally: &Tally| (*tally != Tally::default()).then(|| CountsBody::from(tally));
        PathsBody {
            old: counted(&tallies.old),
            new: counted(&tallies.new),
            old_mirror: counted(&tallies.old_mirror),
            new_mirror: counted(&tallies.new_mirror),
        }
    }
}

impl From<&Tally> for CountsBody {
    fn from(tally: &Tally) -> CountsBody {
        let quantile = |share| tally.quantile_ms(share);
        CountsBody {
            calls: tally.calls,
            errors: tally.errors,
            panics: tally.panics,
            cancelled: tally.cancelled,
            error_rate: tally.error_rate(),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            slow: tally
                .slow
                .iter()
                .map(|slow| SlowBody {
                    limit_ms: slow.limit_ms,
                    calls: slow.trials,
                    slow: slow.violations,
                })
                .collect(),
            comparisons: tally.comparisons,
            mismatches: tally.mismatches,
        }
    }
}

/// What callers reported of a route in an environment: both paths side by side, step by step.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production"), TelemetryQuery),
    responses((status = 200, body = TelemetryBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/telemetry")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<TelemetryQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (target, query) = (target.0, query.0);
    if query.last.is_some() && (query.from.is_some() || query.to.is_some()) {
        return Err(Problem::malformed(
            "`last` stands in the place of `from` and `to`: give one or the other",
        ));
    }
    let body = app
        .blocking(move |services| {
            let read = |field, at: Option<DateTime<Utc>>| -> Result<_, Failure> {
                at.map(|at| read_moment(field, at)).transpose()
            };
            let span = SeriesSpan {
                from: read("from", query.from)?,
                until: read("to", query.to)?,
                last_seconds: query.last,
                step_seconds: query.step,
            };
            let series = services.traffic(&target, span)?;
            Ok(TelemetryBody::new(&target, &series))
        })
        .await?;
    Ok(respond::resource(&request, None, &body))
}

/// A batch of what an instance counted. It is counted once, however often it is sent, and durable
/// when it is answered.
#[utoipa::path(
    tag = "sdk",
    request_body(
        content = serde_json::Value,
        description = "A batch, numbered by its instance. Readers ignore fields that they do not know",
        content_type = "application/json",
        example = json!({
            "sequence": 7,
            "instance": {
                "id": "7f3c0c6e", "name": "web-3:4711", "application": "web", "version": "1.4.0",
                "sdk": "rust/0.1.0", "snapshot": "k3v9.41", "source": "live", "uptime_ms": 60000,
                "cpu_ms": 1200, "memory_bytes": 73400320
            },
            "age_ms": 0,
            "interval_ms": 5000,
            "routes": [{ "route": "count_commits" }],
            "counts": [{
                "route": "count_commits", "path": "new", "role": "authoritative", "revision": 40,
                "calls": 2, "errors": 1, "latency": [[620, 2]]
            }]
        })
    ),
    responses(
        (status = 204, description = "It is counted, now or before"),
        (status = 400, description = "It is no batch; nothing is counted"),
        (status = 413, description = "It is larger than 256 KiB"),
        (status = 503, description = "Not now; nothing is counted: send it again after `Retry-After`")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/telemetry")]
pub(crate) async fn take(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload.into_inner(), JSON, MAX_BATCH_BYTES).await?;
    let batch =
        Batch::from_json(&body).map_err(|invalid| Problem::malformed(invalid.to_string()))?;
    let arrived = app
        .services
        .arrived(caller.environment, batch)
        .ok_or_else(|| {
            Problem::unavailable("the environment is not published yet: try again", 1)
        })?;
    match app.ingest.hand_in(arrived, body.len()).await {
        Ok(Outcome::Counted | Outcome::Duplicate) => Ok(HttpResponse::NoContent().finish()),
        Ok(Outcome::TooManyInstances) => Err(Problem::unavailable(
            "as many instances as are kept report in this environment: nothing of it is counted",
            60,
        )),
        Err(NotTaken::Overloaded) => Err(Problem::overloaded()),
        Err(NotTaken::NoStore) => Err(Problem::unavailable(
            "reports cannot be kept right now; nothing of it is counted",
            1,
        )),
    }
}
