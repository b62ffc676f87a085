//! Repairs that are not resolved, as they are shown.

use chrono::{DateTime, Utc};
use switchover::{Cause, Path, RepairState};

use crate::service::DataDetails;
use crate::web::route::Badge;
use crate::web::words::{When, count};

/// Repairs that have something in common.
pub(crate) struct GroupView {
    pub(crate) cause: &'static str,
    pub(crate) state: Badge,
    pub(crate) written: &'static str,
    pub(crate) count: String,
    pub(crate) oldest: Option<When>,
}

/// One repair.
pub(crate) struct RepairView {
    pub(crate) key: String,
    pub(crate) cause: &'static str,
    pub(crate) state: Badge,
    pub(crate) attempts: u32,
    pub(crate) at: When,
    pub(crate) instance: String,
}

const fn happened(cause: Cause) -> &'static str {
    match cause {
        Cause::Failed => "the copy failed",
        Cause::TimedOut => "the copy took too long",
        Cause::Interrupted => "the process ended before the copy did",
        Cause::UnknownOutcome => "whether the write happened is not known",
        Cause::AtRisk => "at risk: keys moved without a hold",
        Cause::Backfill => "a backfill could not copy it",
    }
}

fn became(state: RepairState) -> Badge {
    match state {
        RepairState::Open => Badge::new("is-wait", "tried again"),
        RepairState::Failed => Badge::new("is-bad", "given up"),
        RepairState::Conflict => Badge::new("is-bad", "a person decides"),
        RepairState::Resolved => Badge::new("is-good", "resolved"),
    }
}

pub(crate) fn groups(data: &DataDetails, now: DateTime<Utc>) -> Vec<GroupView> {
    let groups = data.groups.iter().map(|group| GroupView {
        cause: happened(group.cause),
        state: became(group.state),
        written: match group.written {
            Path::Old => "old",
            Path::New => "new",
        },
        count: count(group.count),
        oldest: group.oldest.map(|at| When::of(at, now)),
    });
    groups.collect()
}

pub(crate) fn repairs(data: &DataDetails, now: DateTime<Utc>) -> Vec<RepairView> {
    let repairs = data.repairs.iter().map(|repair| RepairView {
        key: repair.key.clone(),
        cause: happened(repair.cause),
        state: became(repair.state),
        attempts: repair.attempts,
        at: When::of(repair.first_at, now),
        instance: repair.instance.clone(),
    });
    repairs.collect()
}
