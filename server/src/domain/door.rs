//! The one door: whatever raises exposure passes it, whoever asks.

use switchover::{Percent, Setting, Stage};

use crate::domain::actor::Role;
use crate::domain::command::Command;
use crate::domain::facts::Facts;
use crate::domain::gate::{self, GateState};
use crate::domain::guard::GuardState;
use crate::domain::old_store::asks_for_repairs;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Operation;

/// Judges a change that may raise exposure. Nothing does while a change freeze is open; in front of
/// real users before opt-in only an acceptance window does, up to its share; from opt-in on nothing
/// does while a guard is in breach; and where the policy has a ramp, only a maintainer leaves its
/// steps. A promotion has been judged by its gates.
pub(super) fn door(
    before: &Rollout,
    after: &Rollout,
    command: &Command,
    facts: &Facts,
) -> Result<(), Refusal> {
    let kind = facts.environment.kind;
    // From opt-in on, keys that are named while nothing is exposed would come with the resume,
    // unjudged. Before, a window has keys of its own, and its end takes all others back.
    let names_keys = after.stage != Stage::ReadyForTesting
        && matches!(
            command,
            Command::SetCohorts { .. } | Command::UseCohorts { .. }
        );
    let (before, after) = if names_keys {
        (&lifted(before), &lifted(after))
    } else {
        (before, after)
    };
    let exposure = after.exposure(kind);
    let by_gates = matches!(command, Command::Promote { .. });
    // What closing restores was judged when it was set, and held back by a freeze already.
    let restores = matches!(command, Command::CloseWindow);
    if by_gates || restores || !exposure.raises(&before.exposure(kind)) {
        return Ok(());
    }
    if let Some(freeze) = facts.freezes.first() {
        return Err(Refusal::Frozen(format!(
            "nothing may raise exposure in {}: {}; wait for its end, or have a maintainer close it \
             (switchover freeze close {} --reason …)",
            before.environment,
            freeze.described(),
            freeze.id
        )));
    }
    stores_door(before, facts)?;
    if after.stage != Stage::ReadyForTesting {
        // With a resume the guards count anew: a person may look at a breach and go on.
        if !matches!(command, Command::Resume) {
            guard_door(before, facts)?;
        }
        return if by_the_steps(after, command) {
            Ok(())
        } else {
            ramp_door(before, facts)
        };
    }
    let by_window = matches!(command, Command::OpenWindow { .. });
    if by_window || !facts.environment.is_guarded() {
        return Ok(());
    }
    let within = after.acceptance.as_ref().is_some_and(|window| {
        window.until > facts.now
            && exposure.share <= window.percent
            && exposure
                .include
                .iter()
                .all(|key| window.cohort.contains(key))
    });
    if within {
        return Ok(());
    }
    Err(Refusal::WindowNeeded(format!(
        "`{0}` is ready_for_testing in {1}: before opt_in more traffic may take the new path only \
         within an acceptance window, which a maintainer opens (switchover acceptance {0} {1} \
         --until … --percent … --reason …)",
        before.route, before.environment
    )))
}

/// The rollout as if it were neither halted nor off.
fn lifted(rollout: &Rollout) -> Rollout {
    let mut lifted = rollout.clone();
    lifted.halt = None;
    if lifted.setting == Setting::Off {
        lifted.setting = Setting::Ramp {
            percent: Percent::ZERO,
        };
    }
    lifted
}

/// Keys of a data route move to the new store only while it has every row of the old one.
fn stores_door(before: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let has_stores = facts.route.spec.operation == Operation::Write
        && (before.data.diverged_since.is_some() || asks_for_repairs(facts));
    if !has_stores {
        return Ok(());
    }
    let report = gate::stores(facts);
    match report.state {
        GateState::Pass => Ok(()),
        GateState::Fail | GateState::Insufficient => Err(Refusal::StoresDiffer {
            detail: format!(
                "keys of `{}` may not move to the new store in {}: {}; {}",
                before.route, before.environment, report.detail, report.remedy
            ),
            gates: vec![report],
        }),
    }
}

fn guard_door(before: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    if facts.guards_unread {
        return Err(Refusal::GuardBreach(format!(
            "the guards of `{}` cannot be asked in {} right now, so nothing may raise exposure; try \
             again, and look at the server's log",
            before.route, before.environment
        )));
    }
    let mut reports = facts.guards.iter();
    match reports.find(|report| report.state == GuardState::Breach) {
        None => Ok(()),
        Some(report) => Err(Refusal::GuardBreach(format!(
            "guard {} of `{}` is in breach in {}: {}; mend it, and have its counts begin anew: with \
             a new version of the application, or by a halt and a resume",
            report.guard.name, before.route, before.environment, report.detail
        ))),
    }
}

/// Whether what is exposed then is what the ramp's present step says, and no key besides.
fn by_the_steps(after: &Rollout, command: &Command) -> bool {
    match command {
        Command::StartRamp | Command::ResumeRamp | Command::AdvanceRamp => true,
        Command::Resume => after.is_on_ramp(),
        _ => false,
    }
}

fn ramp_door(before: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    if facts.policy.has_ramp() && facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: format!(
                "raising `{}` otherwise than by the ramp of policy {}",
                before.route, facts.policy.name
            ),
        });
    }
    Ok(())
}

/// Judges an edit of the route itself that lets keys of this rollout take the new path, such as a
/// requirement that is taken away.
///
/// # Errors
/// When nothing may raise exposure here now, or not this person.
pub fn route_door(rollout: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    if !rollout.sight(facts.environment.kind).exposed {
        return Ok(());
    }
    match facts.freezes.first() {
        Some(freeze) => Err(Refusal::Frozen(format!(
            "nothing may raise exposure in {}: {}",
            rollout.environment,
            freeze.described()
        ))),
        None => {
            guard_door(rollout, facts)?;
            ramp_door(rollout, facts)
        }
    }
}
