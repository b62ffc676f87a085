//! What running callers report, as the server keeps it.

use chrono::{DateTime, Utc};
use switchover::{Latency, RouteCounts, Slow};

use crate::domain::environment::EnvironmentKey;

/// Counts of one route on one path, as one instance's batch brought them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The order in which reports were taken, over all nodes: later ones have higher positions.
    pub position: u64,
    /// When it was taken, by the server's clock.
    pub at: DateTime<Utc>,
    /// Where.
    pub environment: EnvironmentKey,
    /// By whom.
    pub instance: Reporter,
    /// What; without latencies, which only windows keep.
    pub counts: RouteCounts,
}

/// Who reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reporter {
    /// The instance's random identity.
    pub id: String,
    /// What people know it by.
    pub name: String,
    /// The program.
    pub application: String,
    /// Its version.
    pub version: String,
}

/// How long reports are kept one by one, in minutes.
pub const REPORTS_KEPT_MINUTES: i64 = 15;
/// An instance that has not been heard of for longer is not running any more, as far as gates and
/// pages are concerned; in minutes.
pub const SEEN_WITHIN_MINUTES: i64 = 10;
/// The most limits by which slow calls are counted in one window.
const MOST_LIMITS: usize = 8;

/// Counts of many reports: one route on one path, in one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that ended.
    pub calls: u64,
    /// Those that returned an error.
    pub errors: u64,
    /// Those that panicked.
    pub panics: u64,
    /// Those whose future was dropped before it was done.
    pub cancelled: u64,
    /// Results that were compared with the other path's.
    pub comparisons: u64,
    /// Those that differed.
    pub mismatches: u64,
    /// Slow calls, by limit.
    pub slow: Vec<Slow>,
    /// How long they took.
    pub latency: Latency,
}

impl Tally {
    /// Adds what one report counted.
    pub fn add(&mut self, counts: &RouteCounts) {
        self.add_numbers([
            counts.calls,
            counts.errors,
            counts.panics,
            counts.cancelled,
            counts.comparisons,
            counts.mismatches,
        ]);
        self.add_slow(&counts.slow);
        self.latency.merge(&counts.latency);
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        self.add_numbers([
            other.calls,
            other.errors,
            other.panics,
            other.cancelled,
            other.comparisons,
            other.mismatches,
        ]);
        self.add_slow(&other.slow);
        self.latency.merge(&other.latency);
    }

    fn add_numbers(&mut self, more: [u64; 6]) {
        let own = [
            &mut self.calls,
            &mut self.errors,
            &mut self.panics,
            &mut self.cancelled,
            &mut self.comparisons,
            &mut self.mismatches,
        ];
        for (own, more) in own.into_iter().zip(more) {
            *own = own.saturating_add(more);
        }
    }

    /// Limits come from snapshots, so there are few. More than that are made up, and left out.
    fn add_slow(&mut self, more: &[Slow]) {
        for slow in more {
            let limit = slow.limit_ms;
            if let Some(own) = self.slow.iter_mut().find(|own| own.limit_ms == limit) {
                own.trials = own.trials.saturating_add(slow.trials);
                own.violations = own.violations.saturating_add(slow.violations);
            } else if self.slow.len() < MOST_LIMITS {
                self.slow.push(*slow);
            }
        }
    }
}
