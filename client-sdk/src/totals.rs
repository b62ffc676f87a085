//! What was counted on one path of a route, and the difference between two looks at it.

use std::sync::atomic::Ordering;

use crate::histogram::{Bucket, Buckets};
use crate::latency::Latency;
use crate::report::{MOST_LIMITS, Proportion};

/// What was counted on one path of one route in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStats {
    /// Calls that ended, however they did.
    pub calls: u64,
    /// Those that returned an error.
    pub errors: u64,
    /// Those that panicked.
    pub panics: u64,
    /// Those whose future was dropped before it was done.
    pub cancelled: u64,
    /// How long they took, whichever way they ended.
    pub latency: Latency,
}

/// What was counted of runs on one path beside the calls of one route in this process: shadow reads
/// and copied writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorStats {
    /// Runs that ended. One whose deadline has passed counts as an error then.
    pub runs: PathStats,
    /// Those that were due and did not begin: too many were under way.
    pub dropped: u64,
    /// Results that were compared with those that callers got.
    pub comparisons: u64,
    /// Those that differed, and no rule says to ignore that.
    pub mismatches: u64,
}

/// What was counted of one route in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStats {
    /// Calls that took the old path.
    pub old: PathStats,
    /// Calls that took the new path.
    pub new: PathStats,
    /// Runs on the old path beside calls that took the new one.
    pub old_mirror: MirrorStats,
    /// Runs on the new path beside calls that took the old one.
    pub new_mirror: MirrorStats,
    /// The last keys whose results differed, oldest first: up to 16.
    pub mismatching_keys: Vec<String>,
}

/// What there is of the old path and of the new one: of calls and, where there is a mirror, of what
/// runs beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerRole<T> {
    pub(crate) calls: [T; 2],
    pub(crate) mirror: Option<Box<[T; 2]>>,
}

impl<T> PerRole<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mirror = self.mirror.iter().flat_map(|mirror| mirror.iter());
        self.calls.iter().chain(mirror)
    }
}

/// What was counted since the process began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) stats: PathStats,
    /// Calls that a ramp's share sent here, and those of them that failed.
    pub(crate) ramp: Proportion,
    /// By the place of a limit among the route's.
    pub(crate) slow: [Slowness; MOST_LIMITS],
    pub(crate) dropped: u64,
    pub(crate) comparisons: u64,
    pub(crate) mismatches: u64,
}

/// What was counted against one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slowness {
    /// Calls that had taken longer when they ended, and were not found so before.
    pub(crate) ended: u64,
    /// Calls that were found to be open for longer.
    pub(crate) found: u64,
    /// Those of them that have ended since.
    pub(crate) found_and_ended: u64,
}

/// A difference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) errors: u64,
    pub(crate) panics: u64,
    pub(crate) cancelled: u64,
    pub(crate) ramp: Proportion,
    /// By the place of a limit among the route's: calls held against it, and those that took longer.
    pub(crate) slow: [Proportion; MOST_LIMITS],
    pub(crate) dropped: u64,
    /// All of them, and those that differed.
    pub(crate) comparisons: Proportion,
    /// Ascending, by bucket.
    pub(crate) latency: Vec<(u16, u64)>,
}

/// What has been taken of the totals before.
#[derive(Debug)]
pub(crate) struct Booked {
    errors: u64,
    panics: u64,
    cancelled: u64,
    ramp: Proportion,
    slow: [Slowness; MOST_LIMITS],
    /// Of each limit, violations that came before their calls.
    early: [u64; MOST_LIMITS],
    dropped: u64,
    comparisons: Proportion,
    latency: Buckets,
}

impl Default for Booked {
    fn default() -> Booked {
        Booked {
            errors: 0,
            panics: 0,
            cancelled: 0,
            ramp: Proportion::default(),
            slow: [Slowness::default(); MOST_LIMITS],
            early: [0; MOST_LIMITS],
            dropped: 0,
            comparisons: Proportion::default(),
            latency: Buckets::new(),
        }
    }
}

impl Booked {
    /// What has been counted since the last time, which is booked by that.
    ///
    /// A call counts its latency last, and is looked at while it does: its error may be seen one look
    /// before the call itself. It waits for the call then, so that no report says that more calls
    /// failed than were made.
    pub(crate) fn take(&mut self, totals: &Totals) -> Counted {
        let latency = self.take_latency(&totals.stats.latency);
        let calls = latency
            .iter()
            .fold(0_u64, |sum, (_, n)| sum.saturating_add(*n));
        let stats = &totals.stats;
        let errors = take(&mut self.errors, stats.errors, calls);
        let panics = take(&mut self.panics, stats.panics, calls - errors);
        let cancelled = take(
            &mut self.cancelled,
            stats.cancelled,
            calls - errors - panics,
        );
        let trials = take(&mut self.ramp.trials, totals.ramp.trials, calls);
        let most = trials.min(errors + panics);
        let violations = take(&mut self.ramp.violations, totals.ramp.violations, most);
        let mut slow = [Proportion::default(); MOST_LIMITS];
        let booked = self.slow.iter_mut().zip(&mut self.early);
        for ((booked, early), (now, slow)) in booked.zip(totals.slow.iter().zip(&mut slow)) {
            let ended = take(&mut booked.ended, now.ended, u64::MAX);
            let found = take(&mut booked.found, now.found, u64::MAX);
            let known = take(&mut booked.found_and_ended, now.found_and_ended, calls);
            slow.trials = (calls - known).saturating_add(found);
            let violations = ended.saturating_add(found).saturating_add(*early);
            slow.violations = violations.min(slow.trials);
            *early = violations - slow.violations;
        }
        let compared = take(&mut self.comparisons.trials, totals.comparisons, u64::MAX);
        let differed = &mut self.comparisons.violations;
        Counted {
            errors,
            panics,
            cancelled,
            ramp: Proportion { trials, violations },
            slow,
            dropped: take(&mut self.dropped, totals.dropped, u64::MAX),
            comparisons: Proportion {
                trials: compared,
                violations: take(differed, totals.mismatches, compared),
            },
            latency,
        }
    }

    fn take_latency(&mut self, latency: &Latency) -> Vec<(u16, u64)> {
        let mut taken = Vec::with_capacity(self.buckets_to_take(latency));
        for (number, count) in latency.buckets() {
            let bucket = Bucket::numbered(number);
            let difference = count.saturating_sub(self.latency.count(bucket));
            if difference > 0 {
                if let Some(booked) = self.latency.get_or_add(bucket) {
                    booked.fetch_add(difference, Ordering::Relaxed);
                }
                taken.push((number, difference));
            }
        }
        taken
    }

    /// The limits are others from now on.
    pub(crate) fn forget_early(&mut self) {
        self.early = [0; MOST_LIMITS];
    }

    /// How many buckets differ.
    pub(crate) fn buckets_to_take(&self, latency: &Latency) -> usize {
        let booked = |number| self.latency.count(Bucket::numbered(number));
        latency
            .buckets()
            .filter(|(number, count)| *count > booked(*number))
            .count()
    }
}

fn sum(one: Proportion, other: Proportion) -> Proportion {
    Proportion {
        trials: one.trials + other.trials,
        violations: one.violations + other.violations,
    }
}

/// Of what was counted since, as much as there is room for.
fn take(booked: &mut u64, total: u64, most: u64) -> u64 {
    let difference = total.saturating_sub(*booked).min(most);
    *booked += difference;
    difference
}

impl Counted {
    pub(crate) fn calls(&self) -> u64 {
        self.latency
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// With another difference, counted under other limits or under the same.
    pub(crate) fn merge(&mut self, other: &Counted, has_same_limits: bool) {
        self.errors += other.errors;
        self.panics += other.panics;
        self.cancelled += other.cancelled;
        self.ramp = sum(self.ramp, other.ramp);
        self.dropped += other.dropped;
        self.comparisons = sum(self.comparisons, other.comparisons);
        for (slow, others) in self.slow.iter_mut().zip(other.slow) {
            *slow = match has_same_limits {
                true => sum(*slow, others),
                false => Proportion::default(),
            };
        }
        let mut latency = Latency::default();
        for (bucket, count) in self.latency.iter().chain(&other.latency) {
            latency.add(*bucket, *count);
        }
        self.latency = latency.buckets().collect();
    }

    /// Whether there is nothing to report.
    pub(crate) fn is_nothing(&self) -> bool {
        self.latency.is_empty()
            && self.slow.iter().all(|slow| slow.violations == 0)
            && (self.dropped, self.comparisons.trials) == (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One look at a path whose calls are counted in the wrong order: what goes with a call may be
    /// seen before the call, up to so many of each.
    fn look(calls: u64, failed: u64, ahead: u64) -> Totals {
        let mut totals = Totals::default();
        totals.stats.latency.add(7, calls);
        totals.stats.errors = failed + ahead;
        totals.ramp.trials = calls + ahead;
        totals.ramp.violations = failed + ahead;
        let [slow, ..] = &mut totals.slow;
        slow.ended = failed + ahead;
        totals
    }

    proptest! {
        #[test]
        fn a_report_says_nothing_that_cannot_be_and_in_the_end_all(
            steps in prop::collection::vec((0..9_u64, 0..9_u64, 0..5_u64), 1..40),
        ) {
            let mut booked = Booked::default();
            let (mut calls, mut failed) = (0, 0);
            let mut all = Counted::default();
            let mut looks: Vec<Totals> = Vec::new();
            for (more, bad, ahead) in steps {
                calls += more;
                failed += bad.min(more);
                looks.push(look(calls, failed, ahead));
            }
            looks.push(look(calls + 5, failed + 5, 0));
            for totals in looks {
                let counted = booked.take(&totals);
                prop_assert!(counted.errors <= counted.calls());
                prop_assert!(counted.ramp.trials <= counted.calls());
                prop_assert!(counted.ramp.violations <= counted.ramp.trials.min(counted.errors));
                let [slow, ..] = counted.slow;
                prop_assert!(slow.violations <= slow.trials && slow.trials <= counted.calls());
                all.merge(&counted, true);
            }
            prop_assert_eq!((all.calls(), all.errors), (calls + 5, failed + 5));
            prop_assert_eq!((all.ramp.trials, all.ramp.violations), (calls + 5, failed + 5));
            let [slow, ..] = all.slow;
            prop_assert_eq!((slow.trials, slow.violations), (calls + 5, failed + 5));
        }
    }
}
