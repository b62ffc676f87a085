//! What commands make of a rollout's ramp: who may move it, and what else a move changes.

use chrono::Duration;
use switchover::{EnvironmentKind, Setting, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::command::Command;
use crate::domain::facts::Facts;
use crate::domain::ramp::{Move, Outlook, Ramp, RampState, Step};
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;

/// Guards that halt a rollout twice within this time have seen what one fix did not mend.
const SECOND_HALT_WITHIN: Duration = Duration::hours(24);

/// The name of the action, for the record.
pub(super) fn action(command: &Command, after: &Rollout) -> &'static str {
    let state = after.ramp.as_ref().map(|ramp| (&ramp.state, ramp.step()));
    match (command, state) {
        (Command::AdvanceRamp, Some((RampState::Finished { .. }, _))) => "ramp_finish",
        (Command::AdvanceRamp, Some((_, Some(0)))) => "ramp_start",
        _ => command.action(),
    }
}

/// Puts a plan in the place of another.
pub(super) fn put(
    rollout: &Rollout,
    after: &mut Rollout,
    steps: &[Step],
    facts: &Facts,
) -> Result<(), Refusal> {
    has_ramps(rollout, facts)?;
    let theirs = facts.policy.ramp_steps();
    if theirs.is_empty() || steps != theirs {
        Ramp::check(steps).map_err(|detail| Refusal::Invalid {
            field: "steps",
            detail,
        })?;
        if facts.policy.has_ramp() && facts.actor.role < Role::Maintainer {
            return Err(Refusal::Forbidden {
                needs: Role::Maintainer,
                to_do: format!("another ramp than the one of policy {}", facts.policy.name),
            });
        }
    }
    if let Some(ramp) = &rollout.ramp {
        if ramp.steps == steps && matches!(ramp.state, RampState::Ready { .. }) {
            return Ok(());
        }
        if ramp.is_running() {
            let (route, environment) = (&rollout.route, &rollout.environment);
            return Err(Refusal::InvalidTransition(format!(
                "the ramp of `{route}` is running in {environment}: pause it first (switchover ramp \
                 pause {route} {environment} --reason …)"
            )));
        }
    }
    after.ramp = Some(Ramp::new(steps.to_vec()));
    Ok(())
}

/// Enters the first step. Starting what runs changes nothing.
pub(super) fn start(rollout: &Rollout, after: &mut Rollout, facts: &Facts) -> Result<(), Refusal> {
    has_ramps(rollout, facts)?;
    let (route, environment) = (&rollout.route, &rollout.environment);
    match planned(rollout)?.state {
        RampState::Running { .. } => return Ok(()),
        RampState::Ready { .. } | RampState::Paused { at: None, .. } => {}
        RampState::Paused { at: Some(_), .. } => {
            return Err(Refusal::InvalidTransition(format!(
                "the ramp of `{route}` has begun in {environment}: resume it (switchover ramp \
                 resume {route} {environment} --reason …)"
            )));
        }
        RampState::Finished { .. } => {
            return Err(Refusal::InvalidTransition(format!(
                "the ramp of `{route}` is finished in {environment}: to go through another, put its \
                 steps first (switchover ramp set {route} {environment} --step … --reason …)"
            )));
        }
    }
    not_halted(rollout)?;
    if let Some(ramp) = &mut after.ramp {
        ramp.make(Move::Enter(0), facts.now);
    }
    set_share(after);
    Ok(())
}

/// Stays where it is. What does not go on by itself is paused as it is; only a person without a plan
/// is told so.
pub(super) fn pause(rollout: &Rollout, after: &mut Rollout, facts: &Facts) -> Result<(), Refusal> {
    if !Actor::is_reserved(&facts.actor.subject) {
        planned(rollout)?;
    }
    if let Some(ramp) = &mut after.ramp {
        ramp.pause(facts.now, &facts.actor.subject, &facts.reason);
    }
    Ok(())
}

/// Goes on from the present step, whatever has been set by hand in the meantime.
pub(super) fn go_on(rollout: &Rollout, after: &mut Rollout, facts: &Facts) -> Result<(), Refusal> {
    has_ramps(rollout, facts)?;
    let (route, environment) = (&rollout.route, &rollout.environment);
    match planned(rollout)?.state {
        RampState::Running { .. } => return Ok(()),
        RampState::Paused { .. } => {}
        RampState::Ready { .. } => {
            return Err(Refusal::InvalidTransition(format!(
                "the ramp of `{route}` has not begun in {environment}: start it (switchover ramp \
                 start {route} {environment} --reason …)"
            )));
        }
        RampState::Finished { .. } => {
            return Err(Refusal::InvalidTransition(format!(
                "the ramp of `{route}` is finished in {environment}: nothing is left to resume"
            )));
        }
    }
    not_halted(rollout)?;
    if let Some(ramp) = &mut after.ramp {
        ramp.go_on(facts.now, rollout.is_on_ramp());
    }
    set_share(after);
    Ok(())
}

/// Does what is due, if anything is and nothing holds it back.
pub(super) fn advance(rollout: &Rollout, after: &mut Rollout, facts: &Facts) {
    let due = Outlook::of(rollout, facts).and_then(|outlook| outlook.now(facts.now));
    if let (Some(it), Some(ramp)) = (due, &mut after.ramp) {
        ramp.make(it, facts.now);
        set_share(after);
    }
}

/// Who sets a share by hand has taken the wheel.
pub(super) fn set_by_hand(rollout: &Rollout, after: &mut Rollout, facts: &Facts) {
    if let (true, Some(ramp)) = (after.setting != rollout.setting, &mut after.ramp) {
        let reason = format!("the setting was changed by hand: {}", facts.reason);
        ramp.pause(facts.now, &facts.actor.subject, &reason);
    }
}

/// Pauses the ramp for good: only a person resumes it.
pub(super) fn halted_by_guard(after: &mut Rollout, facts: &Facts) {
    after.guard_halts.push(facts.now);
    let old = after.guard_halts.len().saturating_sub(2);
    after.guard_halts.drain(..old);
    if let Some(ramp) = &mut after.ramp {
        ramp.stop_for_guard(facts.now, &facts.actor.subject, &facts.reason);
    }
}

/// Ends a halt. After one by a guard the ramp goes back to the last step that was held to its end,
/// paused; nothing that was lower by hand is raised for it.
pub(super) fn resume(rollout: &Rollout, after: &mut Rollout, facts: &Facts) -> Result<(), Refusal> {
    let Some(halt) = after.halt.take() else {
        return Ok(());
    };
    if !Actor::is_guard(&halt.by) {
        return Ok(());
    }
    if is_second_guard_halt(rollout) && facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: format!(
                "resuming `{}` after guards halted it twice within 24 hours",
                rollout.route
            ),
        });
    }
    if let Some(ramp) = &mut after.ramp {
        ramp.go_back(facts.now);
        let target = Setting::Ramp {
            percent: ramp.share(),
        };
        let share = |setting| {
            let it = Rollout {
                setting,
                ..after_without_ramp(rollout)
            };
            it.exposure(facts.environment.kind)
        };
        let (by_ramp, as_set) = (share(target), share(rollout.setting));
        if !by_ramp.raises(&as_set) {
            after.setting = target;
        }
    }
    Ok(())
}

/// Whether guards have halted it twice in so short a time that a maintainer has to resume it.
pub(super) fn is_second_guard_halt(rollout: &Rollout) -> bool {
    match rollout.guard_halts.as_slice() {
        [first, second] => *second - *first <= SECOND_HALT_WITHIN,
        _ => false,
    }
}

/// A ramp is for a stage. What it had raised stays as it is, except at ready_for_testing.
pub(super) fn demote(after: &mut Rollout, facts: &Facts) {
    if after.stage == Stage::ReadyForTesting {
        after.ramp = None;
    } else if let Some(ramp) = &mut after.ramp {
        let reason = format!("demoted to {}: {}", after.stage, facts.reason);
        ramp.pause(facts.now, &facts.actor.subject, &reason);
    }
}

fn after_without_ramp(rollout: &Rollout) -> Rollout {
    Rollout {
        halt: None,
        ..rollout.clone()
    }
}

fn set_share(after: &mut Rollout) {
    if let Some(ramp) = &after.ramp {
        after.setting = Setting::Ramp {
            percent: ramp.share(),
        };
    }
}

fn planned(rollout: &Rollout) -> Result<&Ramp, Refusal> {
    let (route, environment) = (&rollout.route, &rollout.environment);
    rollout.ramp.as_ref().ok_or_else(|| {
        Refusal::InvalidTransition(format!(
            "`{route}` has no ramp in {environment}: put its steps first (switchover ramp set \
             {route} {environment} --step 10%:24h --step 100%:24h --reason …)"
        ))
    })
}

fn not_halted(rollout: &Rollout) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &rollout.environment);
    match rollout.halt {
        None => Ok(()),
        Some(_) => Err(Refusal::Halted(format!(
            "`{route}` is halted in {environment}: resume it first (switchover resume {route} \
             {environment} --reason …)"
        ))),
    }
}

/// Ramps are for callers that talk to the server, from opt-in until the last stage.
fn has_ramps(rollout: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &rollout.environment);
    if facts.environment.kind == EnvironmentKind::OnPrem {
        return Err(Refusal::InvalidTransition(format!(
            "{environment} is on_prem: installations follow the stages of their release; ramp in a \
             hosted environment, then freeze a release"
        )));
    }
    match rollout.stage {
        Stage::OptIn | Stage::OptOut => Ok(()),
        Stage::ReadyForTesting => Err(Refusal::InvalidTransition(format!(
            "`{route}` is at ready_for_testing in {environment}: test it there with a setting or an \
             acceptance window, and ramp after its promotion (switchover promote {route} \
             {environment} --reason …)"
        ))),
        Stage::Mandatory => Err(Refusal::Mandatory(format!(
            "`{route}` is mandatory in {environment}, where every key takes the new path already"
        ))),
    }
}

#[cfg(test)]
pub(super) mod tests;
