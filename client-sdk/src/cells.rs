//! What one thread counts of one route, and what all of them share: cells that only rise.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::decide::Path;
use crate::histogram::{Bucket, Buckets, Room};
use crate::latency::PER_OCTAVE;
use crate::slow::{OpenCall, Place, of};
use crate::totals::Totals;

pub(crate) const PATHS: [Path; 2] = [Path::Old, Path::New];
pub(crate) const OCTAVE_BYTES: usize = PER_OCTAVE * size_of::<AtomicU64>();
/// For a call, and for one of the same route within it.
const OWN_PLACES: usize = 2;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Error,
    Panic,
    Cancelled,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) path: Path,
    pub(crate) outcome: Outcome,
    /// Whether a ramp's share has sent it there.
    pub(crate) is_by_ramp: bool,
}

/// One thread's; of each path once it has taken it.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) places: [Place; OWN_PLACES],
    pub(crate) paths: [OnceLock<Box<PathCells>>; 2],
}

#[derive(Debug)]
pub(crate) struct PathCells {
    errors: AtomicU64,
    panics: AtomicU64,
    cancelled: AtomicU64,
    ramp: AtomicU64,
    ramp_failures: AtomicU64,
    pub(crate) latency: Buckets,
}

impl Cells {
    pub(crate) const fn new() -> Cells {
        Cells {
            places: [const { Place::new() }; OWN_PLACES],
            paths: [const { OnceLock::new() }; 2],
        }
    }

    #[inline]
    pub(crate) fn take_place(&self, call: OpenCall) -> Option<usize> {
        self.places.iter().position(|place| place.take_own(call))
    }

    /// Counts a call, if there are cells for it. Only on the thread whose cells these are.
    #[inline]
    pub(crate) fn record(&self, ended: Ended, bucket: Bucket) -> Option<()> {
        let cells = self.path(ended.path)?;
        let cell = cells.latency.get(bucket)?;
        cells.count(ended, add_own);
        add_own(cell);
        Some(())
    }

    #[inline]
    pub(crate) fn path(&self, path: Path) -> Option<&PathCells> {
        of(&self.paths, path).get().map(|cells| &**cells)
    }

    /// What it takes beside itself.
    pub(crate) fn bytes(&self) -> usize {
        let paths = PATHS.into_iter().filter_map(|path| self.path(path));
        paths
            .map(|cells| size_of::<PathCells>() + cells.latency.octaves() * OCTAVE_BYTES)
            .sum()
    }
}

impl PathCells {
    pub(crate) const fn new() -> PathCells {
        PathCells {
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            ramp: AtomicU64::new(0),
            ramp_failures: AtomicU64::new(0),
            latency: Buckets::new(),
        }
    }

    /// Counts all of a call but its latency, which comes last.
    #[inline]
    pub(crate) fn count(&self, ended: Ended, add: impl Fn(&AtomicU64)) {
        if let Some(cell) = self.outcome(ended.outcome) {
            add(cell);
        }
        if ended.is_by_ramp {
            if matches!(ended.outcome, Outcome::Error | Outcome::Panic) {
                add(&self.ramp_failures);
            }
            add(&self.ramp);
        }
    }

    /// Counts a call where any thread may.
    pub(crate) fn add_shared(&self, ended: Ended, bucket: Bucket, room: &Room) {
        let add = |cell: &AtomicU64| {
            cell.fetch_add(1, Ordering::Release);
        };
        self.count(ended, add);
        self.latency.get_or_add_within(bucket, room).map(add);
    }

    #[inline]
    pub(crate) fn outcome(&self, outcome: Outcome) -> Option<&AtomicU64> {
        match outcome {
            Outcome::Success => None,
            Outcome::Error => Some(&self.errors),
            Outcome::Panic => Some(&self.panics),
            Outcome::Cancelled => Some(&self.cancelled),
        }
    }

    /// In the opposite order of that in which a call counts: whatever of it is seen first, the rest
    /// is seen then too.
    pub(crate) fn add_to(&self, totals: &mut Totals) {
        let stats = &mut totals.stats;
        self.latency.add_to(&mut stats.latency);
        stats.calls = stats.latency.count();
        fence(Ordering::Acquire);
        totals.ramp.trials += self.ramp.load(Ordering::Acquire);
        totals.ramp.violations += self.ramp_failures.load(Ordering::Acquire);
        stats.errors += self.errors.load(Ordering::Relaxed);
        stats.panics += self.panics.load(Ordering::Relaxed);
        stats.cancelled += self.cancelled.load(Ordering::Relaxed);
    }

    /// In the order in which a call counts: somebody may look meanwhile.
    pub(crate) fn take(&self, other: &PathCells, room: &Room) {
        for (mine, theirs) in [
            (&self.errors, &other.errors),
            (&self.panics, &other.panics),
            (&self.cancelled, &other.cancelled),
            (&self.ramp_failures, &other.ramp_failures),
            (&self.ramp, &other.ramp),
        ] {
            mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Release);
        }
        for (bucket, count) in other.latency.counted() {
            if let Some(cell) = self.latency.get_or_add_within(bucket, room) {
                cell.fetch_add(count, Ordering::Release);
            }
        }
    }
}

pub(crate) fn places(threads: &[Arc<Cells>]) -> impl Iterator<Item = &Place> {
    threads.iter().flat_map(|cells| &cells.places)
}

/// To a cell that no other thread writes.
#[inline]
pub(crate) fn add_own(cell: &AtomicU64) {
    let count = cell.load(Ordering::Relaxed);
    cell.store(count.wrapping_add(1), Ordering::Release);
}
