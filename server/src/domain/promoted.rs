//! What a promotion makes of a rollout.

use switchover::{EnvironmentKind, Percent, Setting, Stage};

use crate::domain::exposure::Cohort;
use crate::domain::facts::Facts;
use crate::domain::ramp::{Ramp, RampState};
use crate::domain::rollout::Rollout;
use crate::domain::window::close_window;

/// The rollout with an acceptance window closed: what was set before it counts again.
pub(super) fn closed(rollout: &Rollout, facts: &Facts) -> Rollout {
    let mut after = rollout.clone();
    close_window(&mut after, &facts.environment);
    after
}

/// The rollout at a later stage.
pub(super) fn promoted(rollout: &Rollout, to: Stage, facts: &Facts) -> Rollout {
    let mut after = closed(rollout, facts);
    after.stage = to;
    close_ramp(&mut after);
    if to == Stage::Mandatory {
        after.ramp = None;
        after.setting = Setting::StageDefault;
        after.include = Cohort::new();
        after.exclude = Cohort::new();
    }
    // An installation of others follows no ramp: there the stage's default is the next step.
    let follows_ramps = facts.environment.kind == EnvironmentKind::Hosted;
    if to == Stage::OptIn && facts.policy.has_ramp() && follows_ramps {
        // Never from none to all: the ramp begins at nothing.
        after.setting = Setting::Ramp {
            percent: Percent::ZERO,
        };
        after.include = Cohort::new();
        after.ramp = Ramp::of_policy(&facts.policy);
    }
    after
}

/// A ramp that has come to its end has no more to do: where it has exposed everything, the stage
/// says the same.
fn close_ramp(after: &mut Rollout) {
    let ramp = after.ramp.as_ref();
    if !ramp.is_some_and(|ramp| matches!(ramp.state, RampState::Finished { .. })) {
        return;
    }
    let whole = Setting::Ramp {
        percent: Percent::HUNDRED,
    };
    if after.setting == whole {
        after.setting = Setting::StageDefault;
    }
    after.ramp = None;
}
