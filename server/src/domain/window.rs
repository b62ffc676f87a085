//! Acceptance windows: tests in front of real users, bounded in time and share.

use chrono::{DateTime, Duration, Utc};
use switchover::{EnvironmentKind, Percent, Setting, Stage};

use crate::domain::actor::Role;
use crate::domain::environment::Environment;
use crate::domain::exposure::{Cohort, Exposure};
use crate::domain::facts::Facts;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::{AcceptanceWindow, Rollout};

/// The longest acceptance window.
pub const LONGEST_WINDOW_DAYS: i64 = 30;

pub(super) fn open_window(
    rollout: &Rollout,
    after: &mut Rollout,
    (until, percent, cohort): (DateTime<Utc>, Percent, &Cohort),
    facts: &Facts,
) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment);
    if facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: "opening an acceptance window".to_owned(),
        });
    }
    if rollout.stage != Stage::ReadyForTesting {
        return Err(Refusal::InvalidTransition(format!(
            "`{route}` is at {} in {}: acceptance windows are for ready_for_testing; from opt_in \
             on, use the setting",
            rollout.stage, environment.key
        )));
    }
    if environment.kind == EnvironmentKind::OnPrem {
        return Err(Refusal::InvalidTransition(format!(
            "{} is on_prem: acceptance tests run in hosted environments, and an installation \
             tests with its environment variable",
            environment.key
        )));
    }
    if rollout.halt.is_some() {
        return Err(Refusal::Halted(format!(
            "`{route}` is halted in {}: resume it before testing it",
            environment.key
        )));
    }
    if until <= facts.now || until > facts.now + Duration::days(LONGEST_WINDOW_DAYS) {
        return Err(Refusal::Invalid {
            field: "until",
            detail: format!("must lie in the future, at most {LONGEST_WINDOW_DAYS} days ahead"),
        });
    }
    if percent == Percent::ZERO && cohort.is_empty() {
        return Err(Refusal::Invalid {
            field: "percent",
            detail: "a window needs a share above 0 or a cohort".to_owned(),
        });
    }
    // A window that replaces an open one still takes back what was set before the first.
    close_window(after, environment);
    after.acceptance = Some(AcceptanceWindow {
        until,
        percent,
        cohort: cohort.clone(),
        opened_by: facts.actor.subject.clone(),
        opened_at: facts.now,
        setting_before: after.setting,
        include_before: after.include.clone(),
    });
    after.setting = Setting::Ramp { percent };
    // Keys that were included under another setting are not what this window was opened for.
    after.include = cohort.clone();
    Ok(())
}

/// Takes the setting back. Closing is never refused, so what it restores must not expose more: not
/// in front of real users, and not more than somebody has set since.
pub(super) fn close_window(after: &mut Rollout, environment: &Environment) {
    let Some(window) = after.acceptance.take() else {
        return;
    };
    let opened_with = Setting::Ramp {
        percent: window.percent,
    };
    let since = after.setting;
    after.setting = window.setting_before;
    after.include = window.include_before;
    let (stage, kind, nobody) = (after.stage, environment.kind, Cohort::new());
    let share = |setting| Exposure::of(stage, kind, setting, false, &nobody, &nobody).share;
    let is_lower = since == Setting::Off || share(since) < share(after.setting);
    if since != opened_with && is_lower {
        after.setting = since;
    }
    // As if it were not halted: a resume would bring back what is set here.
    let exposes = share(after.setting) > Percent::ZERO
        || after.setting != Setting::Off && !after.include.is_empty();
    if environment.is_guarded() && exposes {
        after.setting = Setting::StageDefault;
        after.include = Cohort::new();
    }
}
