//! What also runs on the other path: shadow reads and dual writes, set and stopped.

use switchover::{EnvironmentKind, Mirror, Percent, Stage};

use crate::domain::facts::Facts;
use crate::domain::old_store;
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
    let copies = facts.route.spec.operation == Operation::Write && shares.write > Percent::ZERO;
    let ends = rollout.is_doubled(&facts.route) && !copies;
    if ends && !rollout.exposure(environment.kind).is_nothing() {
        old_store::goes_out_of_use(rollout, facts)?;
        after.data.no_return_since = Some(facts.now);
    } else if ends {
        leaves_out(rollout, after, facts);
    } else if copies && let Some(since) = after.data.no_return_since.take() {
        // What was written since then is only in the new store, until a backfill has copied it back.
        after.data.diverged_since = Some(since);
    }
    after.mirror = Mirroring {
        shares,
        stopped: None,
    };
    if !copies {
        after.data.mirrored_since = None;
    } else if shares.write != was.write || after.data.mirrored_since.is_none() {
        // What was written before went by other shares: a backfill of before does not cover it.
        after.data.mirrored_since = Some(facts.now);
    }
    Ok(())
}

/// Stopping what is stopped changes nothing, and keeps the first reason.
pub(super) fn stop(rollout: &Rollout, after: &mut Rollout, facts: &Facts) {
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
    if rollout.is_doubled(&facts.route) {
        leaves_out(rollout, after, facts);
    }
}

/// From now on writes are missing in the store that some keys have, or get back with a resume.
fn leaves_out(rollout: &Rollout, after: &mut Rollout, facts: &Facts) {
    let resumed = Rollout {
        halt: None,
        ..rollout.clone()
    };
    if !resumed.exposure(facts.environment.kind).is_nothing() {
        after.data.diverged_since = Some(facts.now);
    }
}
