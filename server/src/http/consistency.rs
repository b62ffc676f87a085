//! Consistency runs: listed, ordered, scheduled.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::ConsistencyKind;
use utoipa::ToSchema;

use crate::domain::consistency::{Every, Findings, Origin, Run, RunState, SAMPLE, Schedule};
use crate::domain::evidence::Verdict;
use crate::domain::stores::Scheduled;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::backfills::LatestQuery;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, OfRollout, Operator, Query, Viewer, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, NewRun};

/// A run that somebody wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConsistencyRun)]
pub(crate) struct NewRunBody {
    kind: ConsistencyKind,
    /// How many keys a sample has, 1 to 100,000; 100 when nothing is said.
    #[schema(example = 100)]
    sample: Option<u64>,
    #[schema(example = "before the ramp", min_length = 1, max_length = 1000)]
    reason: String,
}

/// When rows are compared by themselves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsistencyScheduleChange)]
pub(crate) struct ScheduleChangeBody {
    /// How often; null for never.
    every: Option<EveryBody>,
    /// `sample` when nothing is said.
    kind: Option<ConsistencyKind>,
    /// How many keys a sample has, 1 to 100,000; 100 when nothing is said.
    #[schema(example = 100)]
    sample: Option<u64>,
    #[schema(example = "hourly during the ramp", min_length = 1, max_length = 1000)]
    reason: String,
}

impl NewRunBody {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self) -> Result<NewRun, Failure> {
        Ok(NewRun {
            kind: self.kind,
            sample: self.sample,
            reason: read_reason(&self.reason)?,
        })
    }
}

impl ScheduleChangeBody {
    /// What it asks for, and why.
    ///
    /// # Errors
    /// When there is no reason, or something is compared never.
    pub(crate) fn read(self) -> Result<(Scheduled, Reason), Failure> {
        Ok((read_schedule(&self)?, read_reason(&self.reason)?))
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConsistencyEvery)]
enum EveryBody {
    Hourly,
    Daily,
}

/// When rows are compared by themselves.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsistencySchedule)]
pub(super) struct ScheduleBody {
    /// Whether it is the policy's: nobody has set another. It begins with a complete backfill.
    by_policy: bool,
    /// How often; null for never.
    every: Option<EveryBody>,
    kind: Option<ConsistencyKind>,
    sample: Option<u64>,
}

impl From<&Scheduled> for ScheduleBody {
    fn from(scheduled: &Scheduled) -> ScheduleBody {
        let schedule = match scheduled {
            Scheduled::ByPolicy => Some(Schedule::BY_POLICY),
            Scheduled::Never => None,
            Scheduled::Set(schedule) => Some(*schedule),
        };
        ScheduleBody {
            by_policy: *scheduled == Scheduled::ByPolicy,
            every: schedule.map(|schedule| match schedule.every {
                Every::Hourly => EveryBody::Hourly,
                Every::Daily => EveryBody::Daily,
            }),
            kind: schedule.map(|schedule| schedule.kind),
            sample: schedule.map(|schedule| schedule.sample),
        }
    }
}

/// A consistency run.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsistencyRun)]
pub(super) struct RunBody {
    id: String,
    kind: ConsistencyKind,
    /// How many keys a sample was to have; 0 where the process chose.
    sample: u64,
    origin: OriginBody,
    /// The person, the process or `system` that wanted it.
    by: String,
    reason: String,
    asked_at: DateTime<Utc>,
    /// `waiting` for a process, `handed` to one, `done`, or `failed` because none has answered.
    #[schema(example = "done")]
    state: &'static str,
    /// Why it failed.
    detail: Option<String>,
    /// What was found.
    result: Option<ResultBody>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConsistencyOrigin)]
enum OriginBody {
    Person,
    Schedule,
    Process,
}

/// What a consistency run has found.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsistencyFindings)]
struct ResultBody {
    /// The process that compared.
    instance: String,
    generation: u64,
    began_at: DateTime<Utc>,
    at: DateTime<Utc>,
    duration_ms: u64,
    /// Keys that were compared.
    compared: u64,
    /// Those whose rows differ.
    differing: u64,
    /// Those that could not be compared.
    failed: u64,
    /// Whether no row differs and none was left out.
    clean: bool,
    /// Whether the share of differing rows is within the policy's limit.
    #[schema(example = "pass")]
    verdict: &'static str,
    /// Whether guards count it: a backfill was complete when it began.
    counts: bool,
    /// Some of the keys whose rows differ.
    keys: Vec<String>,
    /// The checksum of the old store's rows and of the new one's, where the stores give any.
    checksums: Option<Vec<String>>,
}

impl From<&Run> for RunBody {
    fn from(run: &Run) -> RunBody {
        RunBody {
            id: run.id.clone(),
            kind: run.kind,
            sample: run.sample,
            origin: match run.origin {
                Origin::Person => OriginBody::Person,
                Origin::Schedule => OriginBody::Schedule,
                Origin::Process => OriginBody::Process,
            },
            by: run.by.clone(),
            reason: run.reason.clone(),
            asked_at: run.asked_at,
            state: run.state.name(),
            detail: match &run.state {
                RunState::Failed { why, .. } => Some(why.clone()),
                _ => None,
            },
            result: run.findings().map(ResultBody::from),
        }
    }
}

impl From<&Findings> for ResultBody {
    fn from(findings: &Findings) -> ResultBody {
        let seen = &findings.compared;
        ResultBody {
            instance: findings.instance.clone(),
            generation: findings.generation,
            began_at: seen.began_at,
            at: seen.at,
            duration_ms: findings.duration_ms,
            compared: seen.compared,
            differing: seen.differing,
            failed: seen.failed,
            clean: seen.is_clean(),
            verdict: match findings.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "fail",
            },
            counts: seen.counts,
            keys: findings.keys.clone(),
            checksums: findings.checksums.as_ref().map(|sums| sums.to_vec()),
        }
    }
}

/// The consistency runs of a rollout, the latest first.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production"), LatestQuery),
    responses((status = 200, body = Page<RunBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/consistency")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    query: Query<LatestQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let before = respond::read_cursor(query.cursor.as_ref())?;
    let found = app
        .blocking(move |services| {
            services.consistency_runs(&target.0, before.as_deref(), limit + 1)
        })
        .await?;
    let bodies = found.iter().map(RunBody::from).collect();
    let page = Page::of(bodies, limit, |body: &RunBody| body.id.clone());
    Ok(respond::resource(&request, None, &page))
}

/// Orders a consistency run. The next process that writes the route takes it; one that says nothing
/// for a minute (a checksum run: 15 minutes) is followed by another.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production")),
    request_body = NewRunBody,
    responses((status = 201, body = RunBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/consistency")]
pub(crate) async fn order(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, NewRunBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let new = body.read()?;
        services.order_consistency(&change.ctx, (&target.0, &new), &|run| {
            respond::receipt(StatusCode::CREATED, None, &RunBody::from(run))
        })
    })
    .await
    .map(answer)
}

/// Sets when rows are compared by themselves: hourly, daily, or never.
#[utoipa::path(
    tag = "data",
    params(("route" = String, Path, example = "save_item"), ("environment" = String, Path, example = "production")),
    request_body = ScheduleChangeBody,
    responses((status = 200, body = ScheduleBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/environments/{environment}/consistency-schedule")]
pub(crate) async fn set_schedule(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, ScheduleChangeBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let (schedule, reason) = body.read()?;
        services.schedule_consistency(&change.ctx, (&target.0, schedule, &reason), &|schedule| {
            respond::receipt(StatusCode::OK, None, &ScheduleBody::from(schedule))
        })
    })
    .await
    .map(answer)
}

fn read_schedule(body: &ScheduleChangeBody) -> Result<Scheduled, Failure> {
    let Some(every) = body.every else {
        return match (body.kind, body.sample) {
            (None, None) => Ok(Scheduled::Never),
            _ => Err(Failure::invalid(
                "every",
                "say how often, or nothing of what is compared",
            )),
        };
    };
    Ok(Scheduled::Set(Schedule {
        every: match every {
            EveryBody::Hourly => Every::Hourly,
            EveryBody::Daily => Every::Daily,
        },
        kind: body.kind.unwrap_or(ConsistencyKind::Sample),
        sample: body.sample.unwrap_or(SAMPLE),
    }))
}
