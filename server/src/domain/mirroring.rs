//! What also runs on the other path: shadow reads and dual writes, set and stopped.

use switchover::{EnvironmentKind, Mirror, Percent, Stage};

use crate::domain::facts::Facts;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::{Mirroring, Rollout, Stopped};
use crate::domain::route::Operation;

pub(super) fn set(
    rollout: &Rollout,
    after: &mut Rollout,
    shares: Mirror,
    facts: &Facts,
) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment);
    let was = rollout.mirror.shares;
    let raises = shares.read > was.read || shares.write > was.write;
    if raises && facts.route.spec.operation == Operation::Call {
        return Err(Refusal::InvalidTransition(format!(
            "`{route}` is a call, which nothing may run twice: mirrors are for routes whose \
             operation is read or write"
        )));
    }
    if raises && environment.kind == EnvironmentKind::OnPrem {
        return Err(Refusal::InvalidTransition(format!(
            "{} is on_prem, and a manifest carries no mirror: set it in a hosted environment",
            environment.key
        )));
    }
    if raises && rollout.stage == Stage::Mandatory {
        return Err(Refusal::Mandatory(format!(
            "`{route}` is mandatory in {}: what is mirrored there can only be lowered",
            environment.key
        )));
    }
    after.mirror = Mirroring {
        shares,
        stopped: None,
    };
    let copies = facts.route.spec.operation == Operation::Write && shares.write > Percent::ZERO;
    if !copies {
        after.data.mirrored_since = None;
    } else if shares.write != was.write || after.data.mirrored_since.is_none() {
        // What was written before went by other shares: a backfill of before does not cover it.
        after.data.mirrored_since = Some(facts.now);
    }
    Ok(())
}

/// Stopping what is stopped changes nothing, and keeps the first reason.
pub(super) fn stop(after: &mut Rollout, facts: &Facts) {
    if after.mirror.shares == Mirror::default() {
        return;
    }
    after.mirror = Mirroring {
        shares: Mirror::default(),
        stopped: Some(Stopped {
            at: facts.now,
            by: facts.actor.subject.clone(),
            reason: facts.reason.clone(),
        }),
    };
    after.data.mirrored_since = None;
}
