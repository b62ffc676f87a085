//! The old store goes out of use: the point of no return.

use chrono::Duration;
use switchover::Percent;

use crate::domain::actor::Role;
use crate::domain::evidence::{EvidenceKind, Verdict};
use crate::domain::facts::Facts;
use crate::domain::gate::{self, GateState};
use crate::domain::policy::GateKind;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Operation;

/// A backup that is older does not hold what the old store does.
const BACKUP_WITHIN: Duration = Duration::days(7);

/// Judges the end of copying to the old store, while keys are written to the new one. From then on only a
/// restored backup leads back: so every key is on the new store, both hold the same, somebody has tried
/// to restore a backup, and no process may still be writing by an older state.
///
/// # Errors
/// When something of that is lacking; all of it is named.
pub(super) fn goes_out_of_use(rollout: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment);
    if environment.is_guarded() && facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: format!("taking the old store of `{route}` out of use"),
        });
    }
    let mut lacking = Vec::new();
    if !rollout.exposure(environment.kind).is_total() {
        lacking.push(format!(
            "not every key is on the new store: go on with the ramp (switchover ramp {route} {})",
            environment.key
        ));
    }
    let stores = gate::stores(facts);
    if stores.state != GateState::Pass {
        lacking.push(format!("{}: {}", stores.detail, stores.remedy));
    }
    let mut evidence = facts.proof.evidence.iter();
    let has_backup = evidence.any(|it| {
        it.kind == EvidenceKind::Backup
            && it.verdict == Verdict::Pass
            && it.environment == environment.key
            && it.at >= facts.now - BACKUP_WITHIN
    });
    if !has_backup {
        lacking.push(format!(
            "no backup of the old store is on record that is younger than {} days: say where it is, how \
             it is restored and that the restore was tried (switchover evidence add {route} {} --kind \
             backup --verdict pass --url … --summary …)",
            BACKUP_WITHIN.num_days(),
            environment.key
        ));
    }
    if facts.writing.vanished > 0 {
        lacking.push(format!(
            "{} processes that write have vanished (switchover writers list {route} {})",
            facts.writing.vanished, environment.key
        ));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Refusal::OldStoreNeeded {
        detail: format!(
            "with this the old store of `{route}` in {} is not written any more, and only a restored \
             backup leads back: {}",
            environment.key,
            lacking.join("; ")
        ),
        lacking,
    })
}

/// Judges the last stage of a data route: the old store is out of use by then.
///
/// # Errors
/// When it is still written, or nobody has taken it out of use by the rules.
pub(super) fn is_out_of_use(rollout: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let has_stores = facts.route.spec.operation == Operation::Write
        && (rollout.mirror.shares.write > Percent::ZERO || asks_for_repairs(facts));
    if !has_stores || rollout.data.no_return_since.is_some() {
        return Ok(());
    }
    let (route, environment) = (&rollout.route, &facts.environment.key);
    let detail = format!(
        "the old store of `{route}` is still in use in {environment}: after a backup, switch the mirror \
         to it off first (switchover mirror {route} {environment} --read 0 --write 0 --reason …); that is \
         the point of no return, a step of its own"
    );
    Err(Refusal::OldStoreNeeded {
        lacking: vec!["the mirror to the old store is not off".to_owned()],
        detail,
    })
}

/// Whether the policy asks for both stores to be equal before keys move.
pub(super) fn asks_for_repairs(facts: &Facts) -> bool {
    let mut rules = facts.policy.gates.values().flatten();
    rules.any(|rule| rule.gate == GateKind::Repairs)
}

#[cfg(test)]
mod tests;
