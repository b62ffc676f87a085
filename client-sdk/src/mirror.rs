//! What one route counts of runs beside its calls: shadow reads and copied writes.
//!
//! They run on few threads, so one set of cells suffices; a route that has no mirror has none. Every
//! run ends by its deadline at the latest, at least as far as it is counted: so nobody has to look for
//! runs that hang.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::cells::{Ended, Outcome, PATHS, PathCells};
use crate::decide::Path;
use crate::histogram::{Bucket, Room};
use crate::report::MOST_MISMATCHING_KEYS;
use crate::slow::{SlowCalls, of};
use crate::totals::{MirrorStats, Totals};
use crate::writers::LONGEST_KEY;

/// Keys whose results differed, and how many bytes they have in all.
const MOST_KEYS: usize = 16;
const MOST_KEY_BYTES: usize = 1024;
/// What a route's mirror takes, but for its latencies.
pub(crate) const MIRROR_BYTES: usize =
    size_of::<MirrorCells>() + MOST_KEY_BYTES + (MOST_KEYS + 1) * size_of::<Box<str>>();

/// A run beside a call that has ended, or that nobody waits for any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) path: Path,
    pub(crate) outcome: Outcome,
    /// How long it took or, where its deadline has passed, was under way.
    pub(crate) nanos: u64,
    /// Whether its deadline has passed: then it is slow by any limit.
    pub(crate) is_late: bool,
}

#[derive(Debug)]
pub(crate) struct MirrorCounters {
    slow: SlowCalls,
    cells: OnceLock<Box<MirrorCells>>,
}

#[derive(Debug)]
struct MirrorCells {
    runs: [PathCells; 2],
    beside: [Beside; 2],
    keys: Mutex<Keys>,
}

/// What there is to count but runs.
#[derive(Debug)]
struct Beside {
    dropped: AtomicU64,
    comparisons: AtomicU64,
    mismatches: AtomicU64,
}

/// The last keys whose results differed, each once.
#[derive(Debug, Default)]
struct Keys {
    /// With the path that was compared with the authoritative one; oldest first.
    kept: VecDeque<(Path, Box<str>)>,
    /// How many of them, from the end, were not reported yet.
    fresh: usize,
}

impl MirrorCounters {
    pub(crate) const fn new() -> MirrorCounters {
        MirrorCounters {
            slow: SlowCalls::new(),
            cells: OnceLock::new(),
        }
    }

    /// Runs that take longer are slow from now on, in milliseconds.
    pub(crate) fn set_slow_limits(&self, limits: &[u32]) {
        self.slow.set_limits(limits);
    }

    /// Counts a run that has ended.
    pub(crate) fn end(&self, run: Run, room: &Room) {
        let Some(cells) = self.cells() else { return };
        let nanos = if run.is_late { u64::MAX } else { run.nanos };
        self.slow.count(run.path, nanos, None);
        let ended = Ended {
            path: run.path,
            outcome: run.outcome,
            is_by_ramp: false,
        };
        of(&cells.runs, run.path).add_shared(ended, Bucket::of(run.nanos), room);
    }

    /// Counts a run that was due and does not begin.
    pub(crate) fn drop_one(&self, path: Path) {
        if let Some(cells) = self.cells() {
            let dropped = &of(&cells.beside, path).dropped;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a comparison of the authoritative result with that of the run on this path. Where they
    /// differ, the key is kept for people to look at.
    pub(crate) fn compare(&self, path: Path, key: Option<&str>, is_equal: bool) {
        let Some(cells) = self.cells() else { return };
        let beside = of(&cells.beside, path);
        beside.comparisons.fetch_add(1, Ordering::Relaxed);
        if is_equal {
            return;
        }
        // Not worth waiting for; and a fork may have copied the lock.
        if let Some(key) = key
            && let Ok(mut keys) = cells.keys.try_lock()
        {
            keys.keep(path, key);
        }
        // After its key: whoever reports the one finds the other.
        beside.mismatches.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn stats(&self) -> [MirrorStats; 2] {
        PATHS.map(|path| {
            let totals = self.cells.get().map(|cells| cells.totals(path));
            totals.map_or_else(MirrorStats::default, |totals| MirrorStats {
                runs: totals.stats,
                dropped: totals.dropped,
                comparisons: totals.comparisons,
                mismatches: totals.mismatches,
            })
        })
    }

    /// The last keys whose results differed, oldest first.
    pub(crate) fn mismatching_keys(&self) -> Vec<String> {
        let keys = self
            .cells
            .get()
            .and_then(|cells| cells.keys.try_lock().ok());
        let kept = keys.iter().flat_map(|keys| &keys.kept);
        kept.map(|(_, key)| String::from(&**key)).collect()
    }

    /// Those of a path that were not told yet, as many as one report takes.
    pub(crate) fn take_mismatching_keys(&self, path: Path) -> Vec<String> {
        let keys = self
            .cells
            .get()
            .and_then(|cells| cells.keys.try_lock().ok());
        keys.map_or_else(Vec::new, |mut keys| keys.take(path))
    }

    /// On the old path and on the new one; `None` where there never was a mirror.
    pub(crate) fn totals(&self) -> Option<[Totals; 2]> {
        let cells = self.cells.get()?;
        Some(PATHS.map(|path| {
            let mut totals = cells.totals(path);
            totals.slow = self.slow.totals(path);
            totals
        }))
    }

    fn cells(&self) -> Option<&MirrorCells> {
        if self.cells.get().is_none() {
            // Made before it is set: a fork in the middle of setting would hold up the child.
            let made = Box::new(MirrorCells::new());
            let _ = self.cells.set(made);
        }
        self.cells.get().map(|cells| &**cells)
    }

    #[cfg(test)]
    pub(crate) fn octaves(&self) -> usize {
        let runs = self.cells.get().into_iter().flat_map(|cells| &cells.runs);
        runs.map(|cells| cells.latency.octaves()).sum()
    }
}

impl MirrorCells {
    fn new() -> MirrorCells {
        MirrorCells {
            runs: [const { PathCells::new() }; 2],
            beside: [const {
                Beside {
                    dropped: AtomicU64::new(0),
                    comparisons: AtomicU64::new(0),
                    mismatches: AtomicU64::new(0),
                }
            }; 2],
            keys: Mutex::default(),
        }
    }

    fn totals(&self, path: Path) -> Totals {
        let mut totals = Totals::default();
        of(&self.runs, path).add_to(&mut totals);
        let beside = of(&self.beside, path);
        totals.dropped = beside.dropped.load(Ordering::Relaxed);
        // First those that differed: then no more of them are seen than comparisons.
        totals.mismatches = beside.mismatches.load(Ordering::Acquire);
        totals.comparisons = beside.comparisons.load(Ordering::Relaxed);
        totals
    }
}

impl Keys {
    fn keep(&mut self, path: Path, key: &str) {
        let is_known = self
            .kept
            .iter()
            .any(|(at, kept)| (*at, &**kept) == (path, key));
        if key.len() > LONGEST_KEY || is_known {
            return;
        }
        self.kept.push_back((path, key.into()));
        self.fresh += 1;
        let bytes = |kept: &VecDeque<(Path, Box<str>)>| -> usize {
            kept.iter().map(|(_, key)| key.len()).sum()
        };
        while self.kept.len() > MOST_KEYS || bytes(&self.kept) > MOST_KEY_BYTES {
            self.kept.pop_front();
        }
        self.fresh = self.fresh.min(self.kept.len());
    }

    fn take(&mut self, path: Path) -> Vec<String> {
        let fresh = self.kept.iter().rev().take(self.fresh);
        let of_path = fresh.filter(|(at, _)| *at == path);
        let taken: Vec<String> = of_path
            .take(MOST_MISMATCHING_KEYS)
            .map(|(_, key)| String::from(&**key))
            .collect();
        if !taken.is_empty() {
            self.fresh = 0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outcome: Outcome, millis: u64, is_late: bool) -> Run {
        Run {
            path: Path::New,
            outcome,
            nanos: millis * 1_000_000,
            is_late,
        }
    }

    #[test]
    fn runs_are_counted_apart_from_calls_and_the_late_ones_are_slow_by_any_limit() {
        let (counters, room) = (MirrorCounters::new(), Room::new(10));
        assert!(counters.totals().is_none());
        counters.set_slow_limits(&[10, 5_000]);
        counters.end(run(Outcome::Success, 2, false), &room);
        counters.end(run(Outcome::Error, 20, false), &room);
        counters.end(run(Outcome::Error, 1_000, true), &room);
        counters.drop_one(Path::New);
        let [old, new] = counters.totals().unwrap();
        assert_eq!(old.stats.calls, 0);
        assert_eq!((new.stats.calls, new.stats.errors, new.dropped), (3, 2, 1));
        let slow = new.slow.map(|slow| slow.ended);
        assert_eq!(slow, [2, 1, 0, 0]);
    }

    #[test]
    fn few_keys_are_kept_and_each_is_told_once() {
        let counters = MirrorCounters::new();
        for n in 0..40 {
            counters.compare(Path::New, Some(&format!("k{}", n % 20)), n % 2 == 0);
        }
        counters.compare(Path::New, None, false);
        counters.compare(Path::New, Some(&"x".repeat(257)), false);
        let [_, stats] = counters.stats();
        assert_eq!((stats.comparisons, stats.mismatches), (42, 22));
        assert_eq!(counters.mismatching_keys().len(), 10);
        assert!(counters.take_mismatching_keys(Path::Old).is_empty());
        assert_eq!(counters.take_mismatching_keys(Path::New).len(), 8);
        assert!(counters.take_mismatching_keys(Path::New).is_empty());
        for n in 0..50 {
            let key = format!("{n}{}", "x".repeat(200));
            counters.compare(Path::New, Some(&key), false);
        }
        let kept = counters.mismatching_keys();
        assert!(kept.len() < 6 && kept.last().unwrap().starts_with("49"));
    }
}
