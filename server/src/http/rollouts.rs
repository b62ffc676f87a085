//! A route in one environment: what it is, and what changes of it answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Percent, Setting, Stage};
use utoipa::ToSchema;

use crate::domain::cohort::Side;
use crate::domain::environment::Environment;
use crate::domain::exposure::{Cohort, LARGEST_COHORT};
use crate::domain::moment;
use crate::domain::ramp::Outlook;
use crate::domain::rollout::Rollout;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, OfRollout, Viewer};
use crate::http::flips::{FlipEndBody, HoldBody};
use crate::http::loss::{LossRiskBody, ReminderBody};
use crate::http::mirror::MirrorBody;
use crate::http::ramps::RampBody;
use crate::http::respond;
use crate::http::stores::StoresBody;
use crate::service::{Change, Changed, Ctx, Failure, rollout_tag};
use crate::store::Receipt;

/// A rollout: a route in one environment.
#[derive(Serialize, ToSchema)]
#[schema(as = Rollout)]
pub(crate) struct RolloutBody {
    #[schema(example = "count_commits")]
    route: String,
    #[schema(example = "production")]
    environment: String,
    stage: Stage,
    stage_since: DateTime<Utc>,
    /// The stage that a promotion leads to; null after the last.
    next_stage: Option<Stage>,
    setting: SettingBody,
    /// Whether everything takes the old path until somebody resumes.
    halted: bool,
    halt: Option<HaltBody>,
    /// Keys that take the new path whatever the ramp says.
    include: BTreeSet<Box<str>>,
    /// Keys that take the old path whatever the ramp says.
    exclude: BTreeSet<Box<str>>,
    /// The cohorts whose keys are among those included.
    include_cohorts: BTreeSet<String>,
    /// The cohorts whose keys are among those excluded.
    exclude_cohorts: BTreeSet<String>,
    /// The open acceptance window, if there is one.
    acceptance: Option<AcceptanceBody>,
    /// The steps by which exposure goes up, and how far it has come.
    ramp: Option<RampBody>,
    /// What also runs on the other path.
    mirror: MirrorBody,
    /// How often authority over keys was about to move between the route's two stores, or moved.
    generation: u64,
    /// The keys that are about to move, if any are.
    hold: Option<HoldBody>,
    /// How the last announcement of such a move ended.
    last_flip: Option<FlipEndBody>,
    /// How the two stores of a route that writes stand to each other; null elsewhere, and in answers
    /// to changes.
    stores: Option<StoresBody>,
    /// What going back to the old store would cost; null in answers to changes.
    loss_risk: Option<LossRiskBody>,
    /// What is left to do with an old store that is out of use.
    reminders: Vec<ReminderBody>,
    /// The share of the keys in no cohort that may take the new path.
    #[schema(value_type = f64, example = 12.5)]
    exposure_percent: Percent,
    revision: u64,
    changed_at: DateTime<Utc>,
}

/// What is set on top of the stage.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Setting)]
pub(crate) struct SettingBody {
    pub(crate) mode: SettingMode,
    /// The share of a ramp: 0 to 100 with up to three decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 12.5, minimum = 0, maximum = 100)]
    pub(crate) percent: Option<Percent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SettingMode {
    StageDefault,
    Off,
    On,
    Ramp,
}

/// A halt.
#[derive(Serialize, ToSchema)]
#[schema(as = Halt)]
struct HaltBody {
    at: DateTime<Utc>,
    by: String,
    reason: String,
}

/// An open acceptance window.
#[derive(Serialize, ToSchema)]
#[schema(as = AcceptanceWindow)]
struct AcceptanceBody {
    /// When it closes by itself.
    until: DateTime<Utc>,
    #[schema(value_type = f64)]
    percent: Percent,
    cohort: BTreeSet<Box<str>>,
    opened_by: String,
    opened_at: DateTime<Utc>,
}

/// What a change of a rollout did.
#[derive(Serialize, ToSchema)]
#[schema(as = Transition)]
pub(crate) struct TransitionBody {
    /// `promote`, `demote`, `halt`, `resume`, `setting`, `cohorts`, `acceptance_open`, `ramp_start` …;
    /// `flip_hold` when it is only announced.
    #[schema(example = "promote")]
    action: String,
    route: String,
    environment: String,
    /// The stage before.
    from: Stage,
    /// The stage now.
    to: Stage,
    /// Whether anything changed; halting what is halted does not.
    changed: bool,
    by: String,
    at: DateTime<Utc>,
    reason: String,
    /// The environment's version with the change, `EPOCH.REVISION`: what an SDK that has applied it
    /// reports.
    #[schema(example = "3f2a9c41d07be865.42")]
    version: String,
    rollout: RolloutBody,
    /// Other rollouts that moved with it, on demand.
    cascaded: Vec<CascadedBody>,
    /// What somebody may not have meant, such as a key that is both included and excluded.
    warnings: Vec<String>,
}

/// A rollout that moved with another.
#[derive(Serialize, ToSchema)]
#[schema(as = Cascaded)]
struct CascadedBody {
    route: String,
    from: Stage,
    to: Stage,
}

impl RolloutBody {
    /// With what its ramp does next, where somebody has looked.
    pub(crate) fn of(
        rollout: &Rollout,
        environment: &Environment,
        outlook: Option<&Outlook>,
    ) -> RolloutBody {
        RolloutBody {
            route: rollout.route.to_string(),
            environment: rollout.environment.to_string(),
            stage: rollout.stage,
            stage_since: rollout.stage_since,
            next_stage: rollout.stage.next(),
            setting: rollout.setting.into(),
            halted: rollout.halt.is_some(),
            halt: rollout.halt.as_ref().map(|halt| HaltBody {
                at: halt.at,
                by: halt.by.clone(),
                reason: halt.reason.clone(),
            }),
            include: rollout.include.clone(),
            exclude: rollout.exclude.clone(),
            include_cohorts: names(&rollout.uses.include),
            exclude_cohorts: names(&rollout.uses.exclude),
            acceptance: rollout.acceptance.as_ref().map(|window| AcceptanceBody {
                until: window.until,
                percent: window.percent,
                cohort: window.cohort.clone(),
                opened_by: window.opened_by.clone(),
                opened_at: window.opened_at,
            }),
            ramp: RampBody::of(rollout, outlook),
            mirror: MirrorBody::from(&rollout.mirror),
            generation: rollout.data.generation,
            hold: HoldBody::of(&rollout.data),
            last_flip: FlipEndBody::of(&rollout.data),
            stores: None,
            loss_risk: None,
            reminders: Vec::new(),
            exposure_percent: rollout.exposure(environment.kind).share,
            revision: rollout.revision,
            changed_at: rollout.changed_at,
        }
    }
}

fn names(side: &Side) -> BTreeSet<String> {
    side.cohorts.iter().map(ToString::to_string).collect()
}

impl From<Setting> for SettingBody {
    fn from(setting: Setting) -> SettingBody {
        let (mode, percent) = match setting {
            Setting::StageDefault => (SettingMode::StageDefault, None),
            Setting::Off => (SettingMode::Off, None),
            Setting::On => (SettingMode::On, None),
            Setting::Ramp { percent } => (SettingMode::Ramp, Some(percent)),
        };
        SettingBody { mode, percent }
    }
}

impl TryFrom<SettingBody> for Setting {
    type Error = Failure;

    fn try_from(body: SettingBody) -> Result<Setting, Failure> {
        match (body.mode, body.percent) {
            (SettingMode::Ramp, Some(percent)) => Ok(Setting::Ramp { percent }),
            (SettingMode::Ramp, None) => Err(Failure::invalid(
                "percent",
                "a ramp needs its share, 0 to 100",
            )),
            (_, Some(_)) => Err(Failure::invalid("percent", "is for the mode `ramp` only")),
            (SettingMode::StageDefault, None) => Ok(Setting::StageDefault),
            (SettingMode::Off, None) => Ok(Setting::Off),
            (SettingMode::On, None) => Ok(Setting::On),
        }
    }
}

/// The receipt of a change of a rollout.
pub(super) fn transition(status: StatusCode, changed: &Changed) -> Receipt {
    let (before, after) = (&changed.before, &changed.after);
    let body = TransitionBody {
        action: changed.action.to_owned(),
        route: after.route.to_string(),
        environment: after.environment.to_string(),
        from: before.stage,
        to: after.stage,
        changed: before != after,
        by: changed.by.subject.clone(),
        at: changed.at,
        reason: changed.reason.clone(),
        version: changed.version.to_string(),
        rollout: RolloutBody::of(after, &changed.environment, changed.outlook.as_ref()),
        cascaded: changed
            .cascaded
            .iter()
            .map(|(before, after)| CascadedBody {
                route: after.route.to_string(),
                from: before.stage,
                to: after.stage,
            })
            .collect(),
        warnings: changed.warnings.clone(),
    };
    let tag = rollout_tag(&changed.version.epoch, after);
    // It is announced, and made or given up within two seconds.
    let is_held = before != after && after.data.hold.is_some();
    let status = if is_held {
        StatusCode::ACCEPTED
    } else {
        status
    };
    respond::receipt(status, Some(tag), &body)
}

/// Carries out what the request says is to happen to a rollout, and shows what has.
pub(crate) async fn change_rollout(
    app: &Arc<App>,
    ctx: Ctx,
    status: StatusCode,
    read: impl FnOnce() -> Result<Change, Failure> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    app.blocking(move |services| {
        services.change_rollout(&ctx, &read()?, &|changed| transition(status, changed))
    })
    .await
    .map(respond::answer)
}

/// A point in time as it is kept.
pub(crate) fn read_moment(
    field: &'static str,
    at: DateTime<Utc>,
) -> Result<DateTime<Utc>, Failure> {
    moment::kept(at).map_err(|detail| Failure::invalid(field, detail))
}

/// A reason, or the complaint that there is none.
pub(crate) fn read_reason(text: &str) -> Result<Reason, Failure> {
    Reason::new(text).map_err(|detail| Failure::invalid("reason", detail))
}

/// The reason of a change that only makes things safer; it has one of its own when none is given.
pub(crate) fn reason_or(text: Option<&str>, otherwise: &str) -> Result<Reason, Failure> {
    read_reason(text.unwrap_or(otherwise))
}

/// A cohort, or the complaint about it.
pub(crate) fn read_cohort(field: &str, keys: Vec<String>) -> Result<Cohort, Failure> {
    if keys.len() > LARGEST_COHORT {
        let detail = format!("has at most {LARGEST_COHORT} keys");
        return Err(Failure::invalid(field, detail));
    }
    if keys.iter().any(|key| key.is_empty() || key.len() > 256) {
        return Err(Failure::invalid(field, "a key has 1 to 256 bytes"));
    }
    if keys.iter().any(|key| key.chars().any(char::is_control)) {
        return Err(Failure::invalid(field, "a key has no control characters"));
    }
    Ok(keys.into_iter().map(String::into_boxed_str).collect())
}

/// One rollout.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    responses((status = 200, body = RolloutBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (seen, back, epoch) = app
        .blocking(move |services| {
            let seen = services.rollout(&target.0)?;
            let back = services.going_back(&target.0)?;
            Ok((seen, back, services.epoch()?))
        })
        .await?;
    let body = RolloutBody {
        stores: back.stores.as_ref().map(StoresBody::from),
        loss_risk: Some(LossRiskBody::from(&back.risk)),
        reminders: back.reminders.iter().map(ReminderBody::from).collect(),
        ..RolloutBody::of(&seen.rollout, &seen.environment, seen.outlook.as_ref())
    };
    let tag = rollout_tag(&epoch, &seen.rollout);
    Ok(if seen.outlook.is_none() && back.stores.is_none() {
        respond::resource(&request, Some(tag), &body)
    } else {
        // What a ramp waits for, and what its stores hold, changes without the rollout.
        respond::always(&tag, &body)
    })
}
