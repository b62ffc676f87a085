//! Counts of many reports.

use std::time::Duration;

use switchover::{Latency, Path, Role, RouteCounts, Slow};

use crate::domain::facts::Traffic;

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

/// Which paths calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// So many the new one.
    pub new: u64,
    /// So many the old one.
    pub old: u64,
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

/// The four tallies of a route: both paths, for the caller and beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// The old path, for callers.
    pub old: Tally,
    /// The new path, for callers.
    pub new: Tally,
    /// The old path beside the new one.
    pub old_mirror: Tally,
    /// The new path beside the old one.
    pub new_mirror: Tally,
}

impl Tallies {
    /// One of them.
    pub fn of_mut(&mut self, path: Path, role: Role) -> &mut Tally {
        match (path, role) {
            (Path::Old, Role::Authoritative) => &mut self.old,
            (Path::New, Role::Authoritative) => &mut self.new,
            (Path::Old, Role::Mirror) => &mut self.old_mirror,
            (Path::New, Role::Mirror) => &mut self.new_mirror,
        }
    }

    fn all(&self) -> [&Tally; 4] {
        [&self.old, &self.new, &self.old_mirror, &self.new_mirror]
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().iter().all(|tally| **tally == Tally::default())
    }

    /// What gates ask about: the new path, comparisons wherever they were made, and for writes the
    /// copies.
    #[must_use]
    pub fn traffic(&self, slower_than_ms: Option<f64>, writes: bool) -> Traffic {
        let total = |count: fn(&Tally) -> u64| {
            self.all()
                .into_iter()
                .map(count)
                .fold(0, u64::saturating_add)
        };
        let (timed, slow) = match slower_than_ms {
            Some(limit) => self.new.slower_than(limit),
            None => (self.new.calls, 0),
        };
        let mirrors = [&self.old_mirror, &self.new_mirror];
        let mirrored = |count: fn(&Tally) -> u64| {
            let counts = mirrors.into_iter().map(count);
            if writes {
                counts.fold(0, u64::saturating_add)
            } else {
                0
            }
        };
        Traffic {
            calls: self.new.calls,
            errors: self.new.failures(),
            timed,
            slow,
            comparisons: total(|tally| tally.comparisons),
            mismatches: total(|tally| tally.mismatches),
            mirror_writes: mirrored(|tally| tally.calls),
            mirror_failures: mirrored(Tally::failures),
        }
    }
}

impl Tally {
    /// Calls that failed: errors and panics.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.errors.saturating_add(self.panics)
    }

    /// The share of calls that failed; `None` without calls.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "counts of calls: rounding far above 2^53 changes no answer"
    )]
    pub fn error_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.failures() as f64 / self.calls as f64)
    }

    /// What a share of the calls stayed within, in milliseconds; `None` where nothing was timed.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let quantile = self.latency.quantile(share)?;
        // Whole microseconds: finer than the histogram is.
        Some((quantile.as_secs_f64() * 1e6).round() / 1e3)
    }

    /// The calls that were held against a limit in milliseconds, and those that took longer: as the
    /// callers counted them, where nine in ten calls were counted by that limit, else from the
    /// latencies, which are at most 1.6 % off.
    #[must_use]
    pub fn slower_than(&self, limit_ms: f64) -> (u64, u64) {
        let counted = self
            .slow
            .iter()
            .find(|slow| (f64::from(slow.limit_ms) - limit_ms).abs() < 0.5);
        match counted {
            Some(slow) if slow.trials >= self.calls - self.calls / 10 => {
                (slow.trials, slow.violations)
            }
            _ => {
                let limit = Duration::try_from_secs_f64(limit_ms / 1_000.0);
                let limit = limit.unwrap_or(Duration::MAX);
                (self.calls, self.latency.longer_than(limit))
            }
        }
    }
}
