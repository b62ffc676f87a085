//! Calls, errors, panics and latencies of one route, counted without threads getting in each
//! other's way.
//!
//! Each thread writes its own cells with a plain load and store; whoever reads adds the cells up. A
//! thread that ends leaves its counts to the route's shared cells. A route's cells take 64 KiB at
//! most: a thread, or an octave of latencies, that there is no room for counts in the shared cells.

use std::cell::RefCell;
use std::iter::once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cells::{Cells, Ended, OCTAVE_BYTES, PATHS, PathCells, add_own, places};
use crate::clock::Started;
use crate::decide::Path;
use crate::histogram::{Bucket, Room};
use crate::ledger::ACCOUNT_BYTES;
use crate::mirror::{MIRROR_BYTES, MirrorCounters, Run};
use crate::slow::{OpenCall, Place, SHARED_PLACES, SlowCalls, of};
use crate::totals::{PerRole, RouteStats, Totals};

/// The most memory that one route's counters take, with its account in the ledger.
const MOST_BYTES: usize = 64 * 1024;
/// Threads with cells of their own, per route.
const MOST_THREADS: usize = 16;
/// Octaves that the shared cells of both paths and those of the mirror may have between them, beside
/// the free one of each. All latencies from a microsecond to ten seconds take 24.
const MOST_OCTAVES: usize = 54;
/// What the threads of one route may have of their own: what the shared cells, the mirror's and the
/// account leave. Each octave of latencies is there twice: as counted, and as booked.
const MOST_OWN_BYTES: usize = MOST_BYTES
    - size_of::<Counters>()
    - ACCOUNT_BYTES
    - MIRROR_BYTES
    - SHARED_PLACES * size_of::<Place>()
    - 2 * (MOST_OCTAVES + 4) * OCTAVE_BYTES
    - MOST_THREADS * (size_of::<Cells>() + size_of::<Arc<Cells>>());

#[derive(Debug)]
pub(crate) struct Counters {
    id: usize,
    shared: [PathCells; 2],
    threads: Mutex<Vec<Arc<Cells>>>,
    /// What of [`MOST_OWN_BYTES`] is in use.
    own_bytes: AtomicUsize,
    /// For the latencies of the shared cells and of the mirror.
    room: Room,
    slow: SlowCalls,
    mirror: MirrorCounters,
}

/// Where a call that is under way can be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    Nowhere,
    /// Among the places of the thread that it runs on.
    Own(usize),
    Shared(usize),
}

thread_local! {
    static MINE: RefCell<Mine> = const { RefCell::new(Mine { cells: Vec::new() }) };
}

/// One thread's cells, by the counters' id.
struct Mine {
    cells: Vec<Option<Arc<Cells>>>,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Counters {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            shared: [PathCells::new(), PathCells::new()],
            threads: Mutex::new(Vec::new()),
            own_bytes: AtomicUsize::new(0),
            room: Room::new(MOST_OCTAVES),
            slow: SlowCalls::new(),
            mirror: MirrorCounters::new(),
        }
    }

    /// Has a call be seen while it is under way, if anybody wants to. It must end on this thread.
    #[inline]
    pub(crate) fn begin(&self, path: Path, started: Started) -> Held {
        match self.slow.is_on() {
            false => Held::Nowhere,
            true => self.begin_watched(path, started),
        }
    }

    /// Apart, so that what most routes need is small enough to become part of the caller.
    #[inline(never)]
    fn begin_watched(&self, path: Path, started: Started) -> Held {
        let call = OpenCall::new(path, started.stamp());
        let held = MINE.try_with(|mine| {
            let mine = mine.try_borrow().ok()?;
            mine.cells.get(self.id)?.as_deref()?.take_place(call)
        });
        match held {
            Ok(Some(place)) => Held::Own(place),
            _ => self.begin_otherwise(call),
        }
    }

    /// The same for a call that may end on another thread.
    pub(crate) fn begin_shared(&self, path: Path, started: Started) -> Held {
        if !self.slow.is_on() {
            return Held::Nowhere;
        }
        let call = OpenCall::new(path, started.stamp());
        self.slow
            .take_shared(call)
            .map_or(Held::Nowhere, Held::Shared)
    }

    /// The first call of a thread, one within others, or no room for the thread.
    #[cold]
    fn begin_otherwise(&self, call: OpenCall) -> Held {
        let mine = MINE.try_with(|mine| {
            let mut mine = mine.try_borrow_mut().ok()?;
            mine.cells(self)?.take_place(call)
        });
        match mine {
            Ok(Some(place)) => Held::Own(place),
            _ => self
                .slow
                .take_shared(call)
                .map_or(Held::Nowhere, Held::Shared),
        }
    }

    /// Counts a call that has ended. Never waits.
    #[inline]
    pub(crate) fn end(&self, ended: Ended, held: Held, started: Started) {
        // By one look at the thread's cells: each costs as much as all that is counted there.
        let counted = MINE.try_with(|mine| {
            let mine = mine.try_borrow().ok()?;
            let cells = mine.cells.get(self.id)?.as_deref()?;
            let place = match held {
                Held::Nowhere => None,
                Held::Own(place) => cells.places.get(place),
                Held::Shared(_) => return None,
            };
            let bucket = Bucket::of(self.leave(place, ended.path, started));
            match cells.record(ended, bucket) {
                Some(()) => Some(None),
                None => Some(Some(bucket)),
            }
        });
        match counted {
            Ok(Some(None)) => {}
            Ok(Some(Some(bucket))) => self.record_otherwise(ended, bucket),
            _ => self.end_otherwise(ended, held, started),
        }
    }

    /// A call in a shared place, or of a thread that has no cells or is taking them down.
    #[inline(never)]
    fn end_otherwise(&self, ended: Ended, held: Held, started: Started) {
        let place = match held {
            Held::Shared(place) => self.slow.shared(place),
            Held::Nowhere | Held::Own(_) => None,
        };
        let nanos = self.leave(place, ended.path, started);
        self.record(ended, nanos);
    }

    /// How long the call took, its place given back.
    #[inline]
    fn leave(&self, place: Option<&Place>, path: Path, started: Started) -> u64 {
        if let Some(place) = place {
            place.end();
        }
        let nanos = started.elapsed_nanos();
        self.slow.count(path, nanos, place);
        if let Some(place) = place {
            place.leave();
        }
        nanos
    }

    fn record(&self, ended: Ended, nanos: u64) {
        let bucket = Bucket::of(nanos);
        let counted = MINE.try_with(|mine| {
            let mine = mine.try_borrow().ok()?;
            mine.cells.get(self.id)?.as_deref()?.record(ended, bucket)
        });
        if !matches!(counted, Ok(Some(()))) {
            self.record_otherwise(ended, bucket);
        }
    }

    /// The first call of a thread, the first one in an octave, or no room for either.
    #[cold]
    fn record_otherwise(&self, ended: Ended, bucket: Bucket) {
        // A thread whose locals are gone already, or one that is in here already, has none.
        let mine = MINE.try_with(|mine| Some(mine.try_borrow_mut().ok()?.cells(self)?.clone()));
        if let Ok(Some(cells)) = mine
            && let Some(cells) = self.own_path(&cells, ended.path)
            && let Some(cell) = self.own_cell(cells, bucket)
        {
            cells.count(ended, add_own);
            add_own(cell);
            return;
        }
        of(&self.shared, ended.path).add_shared(ended, bucket, &self.room);
    }

    /// Counts a run beside a call that has ended.
    pub(crate) fn end_run(&self, run: Run) {
        self.mirror.end(run, &self.room);
    }

    /// What is counted of runs beside calls.
    pub(crate) fn mirror(&self) -> &MirrorCounters {
        &self.mirror
    }

    #[cfg(test)]
    pub(crate) fn add_many(&self, path: Path, nanos: u64, calls: u64) {
        let cell = of(&self.shared, path).latency.get_or_add(Bucket::of(nanos));
        cell.unwrap().fetch_add(calls, Ordering::Relaxed);
    }

    /// A thread's cells of a path, made if there is room.
    fn own_path<'c>(&self, cells: &'c Cells, path: Path) -> Option<&'c PathCells> {
        let place = of(&cells.paths, path);
        if place.get().is_none() && self.reserve(size_of::<PathCells>()) {
            // Made before it is set: a fork in the middle of setting would hold up the child.
            let made = Box::new(PathCells::new());
            let _ = place.set(made);
        }
        place.get().map(|cells| &**cells)
    }

    /// A thread's cell of a bucket, made if there is room.
    fn own_cell<'c>(&self, cells: &'c PathCells, bucket: Bucket) -> Option<&'c AtomicU64> {
        match cells.latency.get(bucket) {
            Some(cell) => Some(cell),
            None if self.reserve(OCTAVE_BYTES) => cells.latency.get_or_add(bucket),
            None => None,
        }
    }

    fn reserve(&self, bytes: usize) -> bool {
        let has_room = self.own_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_OWN_BYTES;
        if !has_room {
            self.own_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        has_room
    }

    /// Adds up what all threads have counted.
    pub(crate) fn stats(&self) -> RouteStats {
        // Where the lock is not to be had, what the shared cells say is all there is.
        let [old, new] = self.sum(&self.threads().unwrap_or_default());
        let [old_mirror, new_mirror] = self.mirror.stats();
        RouteStats {
            old: old.stats,
            new: new.stats,
            old_mirror,
            new_mirror,
            mismatching_keys: self.mirror.mismatching_keys(),
        }
    }

    /// Adds up what all threads have counted; `None` where that cannot be had at the moment.
    ///
    /// Calls under way that have become slow are found by this, too.
    pub(crate) fn totals(&self) -> Option<PerRole<Totals>> {
        let threads = self.threads()?;
        self.slow.look(places(&threads));
        Some(PerRole {
            calls: self.sum(&threads),
            mirror: self.mirror.totals().map(Box::new),
        })
    }

    /// Calls that take longer are slow from now on, in milliseconds.
    pub(crate) fn set_slow_limits(&self, limits: &[u32]) {
        self.slow.set_limits(limits);
    }

    /// Forgets the calls under way: after a fork they are the parent's.
    pub(crate) fn disown_open_calls(&self) {
        if let Some(threads) = self.threads() {
            self.slow.disown(places(&threads));
        }
    }

    /// The threads' cells. Nobody takes them over as long as they are held here, so what is counted there
    /// is not counted elsewhere, too. The lock is held for the shortest moment that suffices, since a fork
    /// may copy it locked.
    fn threads(&self) -> Option<Vec<Arc<Cells>>> {
        let deadline = Instant::now() + Duration::from_millis(100);
        loop {
            match self.threads.try_lock() {
                Ok(threads) => return Some(threads.clone()),
                Err(_) if Instant::now() >= deadline => return None,
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn sum(&self, threads: &[Arc<Cells>]) -> [Totals; 2] {
        PATHS.map(|path| {
            let own = threads.iter().filter_map(|cells| cells.path(path));
            let mut totals = Totals::default();
            for cells in once(of(&self.shared, path)).chain(own) {
                cells.add_to(&mut totals);
            }
            totals.slow = self.slow.totals(path);
            totals
        })
    }

    fn enter(&self) -> Option<Arc<Cells>> {
        let mut threads = self.threads.try_lock().ok()?;
        // A thread that ended while the lock was taken could not leave its counts itself.
        threads.retain(|cells| !self.take_over(cells));
        if threads.len() >= MOST_THREADS {
            return None;
        }
        let cells = Arc::new(Cells::new());
        threads.push(Arc::clone(&cells));
        Some(cells)
    }

    /// Takes the counts of a thread that has ended.
    fn take_over(&self, cells: &Arc<Cells>) -> bool {
        let has_ended = Arc::strong_count(cells) == 1;
        if has_ended {
            // Pairs with the release by which the thread let go of them.
            fence(Ordering::Acquire);
            for path in PATHS {
                if let Some(cells) = cells.path(path) {
                    of(&self.shared, path).take(cells, &self.room);
                }
            }
            self.own_bytes.fetch_sub(cells.bytes(), Ordering::Relaxed);
        }
        has_ended
    }
}

impl Mine {
    /// This thread's cells for these counters, made if there is room.
    fn cells(&mut self, counters: &Counters) -> Option<&Arc<Cells>> {
        if self.cells.len() <= counters.id {
            self.cells.resize(counters.id + 1, None);
        }
        if self.cells.get(counters.id)?.is_none() {
            // Cells that only this thread has left belonged to a client that is gone.
            for cells in &mut self.cells {
                cells.take_if(|cells| Arc::strong_count(cells) == 1);
            }
            *self.cells.get_mut(counters.id)? = counters.enter();
        }
        self.cells.get(counters.id)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::cells::Outcome;
    use crate::totals::PathStats;

    fn ended(path: Path, outcome: Outcome) -> Ended {
        Ended {
            path,
            outcome,
            is_by_ramp: true,
        }
    }

    #[test]
    fn counts_are_exact_over_threads_that_come_and_go() {
        let counters = Counters::new();
        for _ in 0..5 {
            thread::scope(|scope| {
                for thread in 0..8_u64 {
                    let counters = &counters;
                    scope.spawn(move || {
                        for call in 0..1_000 {
                            let outcome = match call % 4 {
                                0 => Outcome::Error,
                                1 => Outcome::Panic,
                                _ => Outcome::Success,
                            };
                            counters.record(ended(Path::New, outcome), call << thread);
                        }
                    });
                }
            });
        }
        let ramp = counters.totals().unwrap().calls[1].ramp;
        assert_eq!((ramp.trials, ramp.violations), (40_000, 20_000));
        let stats = counters.stats();
        assert_eq!(stats.old, PathStats::default());
        assert_eq!(stats.new.calls, 40_000);
        assert_eq!((stats.new.errors, stats.new.panics), (10_000, 10_000));
    }

    #[test]
    fn threads_without_room_still_count_and_memory_stays_bounded() {
        let counters = Counters::new();
        let together = std::sync::Barrier::new(40);
        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    together.wait();
                    for octave in 0..40 {
                        counters.record(ended(Path::Old, Outcome::Success), 1 << octave);
                    }
                    together.wait();
                });
            }
        });
        assert_eq!(counters.stats().old.calls, 40 * 40);
        let threads = counters.threads.lock().unwrap();
        let own: usize = threads.iter().map(|cells| cells.bytes()).sum();
        assert!(own > 0 && own <= MOST_OWN_BYTES && threads.len() <= MOST_THREADS);
        assert_eq!(own, counters.own_bytes.load(Ordering::Relaxed));
        for nanos in (0..40).map(|octave| 1 << octave) {
            for path in PATHS {
                counters.end_run(Run {
                    path,
                    outcome: Outcome::Success,
                    nanos,
                    is_late: false,
                });
                counters.record(ended(Path::New, Outcome::Success), nanos);
            }
        }
        let [old_mirror, new_mirror] = counters.mirror.stats();
        assert_eq!((old_mirror.runs.calls, new_mirror.runs.calls), (40, 40));
        assert_eq!(counters.stats().new.calls, 80);
        // The shared cells and the mirror's, and as much again for what is booked of them.
        let octaves: usize = counters
            .shared
            .iter()
            .map(|cells| cells.latency.octaves())
            .sum();
        let bytes = size_of::<Counters>()
            + ACCOUNT_BYTES
            + MIRROR_BYTES
            + SHARED_PLACES * size_of::<Place>()
            + 2 * (octaves + counters.mirror.octaves()) * OCTAVE_BYTES
            + own
            + threads.len() * (size_of::<Cells>() + size_of::<Arc<Cells>>());
        assert!(bytes <= MOST_BYTES, "{bytes}");
    }

    #[test]
    fn a_call_counts_while_its_thread_takes_its_locals_down() {
        struct CountsInDrop(Arc<Counters>);
        impl Drop for CountsInDrop {
            fn drop(&mut self) {
                self.0.record(ended(Path::New, Outcome::Success), 5);
            }
        }
        thread_local!(static LATE: RefCell<Option<CountsInDrop>> = const { RefCell::new(None) });
        let counters = Arc::new(Counters::new());
        let other = Arc::clone(&counters);
        thread::spawn(move || {
            LATE.with(|late| *late.borrow_mut() = Some(CountsInDrop(Arc::clone(&other))));
            other.record(ended(Path::New, Outcome::Success), 5);
        })
        .join()
        .unwrap();
        assert_eq!(counters.stats().new.calls, 2);
    }
}
