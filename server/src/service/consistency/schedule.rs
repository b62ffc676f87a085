//! Rows are compared by themselves, once a period.

use crate::domain::backfill::{Copying, Standing};
use crate::domain::consistency::{Origin, Schedule};
use crate::domain::policy::{Measure, Policy};
use crate::domain::rollout::Rollout;
use crate::domain::stores::{Scheduled, StoresRecord};
use crate::service::Failure;
use crate::service::consistency::asked;
use crate::service::rollout::Target;
use crate::service::stores::{BY_SERVER, load_data};
use crate::service::work::Work;

/// Once a backfill is complete, rows can be compared by the policy's schedule.
pub(in crate::service) fn first_comparison(
    work: &mut Work<'_, '_>,
    target: &Target,
    record: &StoresRecord,
) -> Result<(), Failure> {
    let (route, rollout) = load_data(work.tx, target)?;
    let policy = work.shared.policy(work.tx, &route)?;
    let place = (&target.route, &target.environment);
    let is_due = record.schedule == Scheduled::ByPolicy
        && in_effect(record, &policy, &rollout, true).is_some();
    if is_due && work.tx.comparison_due(place.0, place.1)?.is_none() {
        work.tx
            .set_comparison_due(place.0, place.1, Some(work.now))?;
    }
    Ok(())
}

/// The schedule that is in effect: none while nothing is copied.
fn in_effect(
    record: &StoresRecord,
    policy: &Policy,
    rollout: &Rollout,
    is_backfilled: bool,
) -> Option<Schedule> {
    rollout.data.mirrored_since?;
    match record.schedule {
        Scheduled::Set(schedule) => Some(schedule),
        Scheduled::Never => None,
        Scheduled::ByPolicy => {
            let mut guards = policy.guards.iter();
            let watches = guards.any(|guard| guard.measure == Measure::Inconsistency);
            (watches && is_backfilled).then_some(Schedule::BY_POLICY)
        }
    }
}

/// Asks for the run that is due, once: whoever looks at the same time finds it done.
pub(super) fn compare_due(work: &mut Work<'_, '_>, target: &Target) -> Result<(), Failure> {
    let place = (&target.route, &target.environment);
    let record = work.tx.lock_stores(place.0, place.1)?;
    work.refresh();
    let due = work.tx.comparison_due(place.0, place.1)?;
    // Another node was faster.
    if due.is_none_or(|due| due > work.now) {
        return Ok(());
    }
    let (route, rollout) = load_data(work.tx, target)?;
    let policy = work.shared.policy(work.tx, &route)?;
    let backfill = work.tx.last_backfill(place)?;
    let copying = Copying::of(&rollout);
    let is_backfilled = backfill.is_some_and(|backfill| {
        backfill.state == Standing::Complete && copying.covers(backfill.begun_at)
    });
    let next = match in_effect(&record, &policy, &rollout, is_backfilled) {
        Some(schedule) => {
            let open = work.tx.open_consistency_runs(place)?;
            if open.iter().all(|run| run.kind != schedule.kind) {
                let what = (schedule.kind, schedule.sample);
                let run = asked(target, what, (Origin::Schedule, BY_SERVER), work.now);
                work.tx.put_consistency_run(&run)?;
                work.tx.forget_consistency_runs(place)?;
            }
            Some(work.now + schedule.every.period())
        }
        // Looked at again when something is copied; a backfill's end wakes the policy's schedule.
        None => match record.schedule {
            Scheduled::Set(schedule) => Some(work.now + schedule.every.period()),
            Scheduled::Never | Scheduled::ByPolicy => None,
        },
    };
    work.tx.set_comparison_due(place.0, place.1, next)?;
    Ok(())
}
