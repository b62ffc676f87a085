//! Calls that take longer than a limit: counted when they end, or while they are under way if that
//! is when they are found to be slow. Each counts once.
//!
//! A call that is under way has a place, which its owner takes and leaves with plain stores. Whoever
//! looks for slow calls marks them; what a call was marked with is settled between the two when the
//! call ends slow. A call that ends in time pays for none of that: it leaves its place before it
//! looks at the clock, so nobody can have marked it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::{Now, Stamp};
use crate::decide::Path;
use crate::report::MOST_LIMITS;
use crate::totals::Slowness;

/// Places that all threads share, per route: for awaited calls, and for threads without their own.
pub(crate) const SHARED_PLACES: usize = 64;
/// How many of them a call tries.
const TRIES: usize = 8;
const NANOS_PER_MILLI: u64 = 1_000_000;

const FREE: u64 = 0;
/// The call has ended, and its place is about to be free.
const ENDING: u64 = 1;
const OPEN: u64 = 1 << 1;
const IS_NEW: u64 = 1 << 2;
const IS_COUNTER: u64 = 1 << 3;
const STAMP_SHIFT: u32 = 4;

/// A call that is under way, as its place keeps it: since when, and on which path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenCall(u64);

impl OpenCall {
    #[inline]
    pub(crate) fn new(path: Path, since: Stamp) -> OpenCall {
        let path = match path {
            Path::Old => 0,
            Path::New => IS_NEW,
        };
        let clock = if since.is_counter { IS_COUNTER } else { 0 };
        OpenCall(since.ticks << STAMP_SHIFT | clock | path | OPEN)
    }

    fn path(self) -> Path {
        match self.0 & IS_NEW {
            0 => Path::Old,
            _ => Path::New,
        }
    }

    fn since(self) -> Stamp {
        Stamp {
            ticks: self.0 >> STAMP_SHIFT,
            is_counter: self.0 & IS_COUNTER != 0,
        }
    }
}

/// Where a call is while it is under way.
#[derive(Debug)]
pub(crate) struct Place {
    call: AtomicU64,
    /// How many slow calls have left the place (high half), and for how many milliseconds the one in
    /// it was found to be open, or 0 (low half).
    mark: AtomicU64,
}

impl Place {
    pub(crate) const fn new() -> Place {
        Place {
            call: AtomicU64::new(FREE),
            mark: AtomicU64::new(0),
        }
    }

    /// Takes the place if it is free. Only for a place that one thread alone takes.
    #[inline]
    pub(crate) fn take_own(&self, call: OpenCall) -> bool {
        let is_free = self.call.load(Ordering::Relaxed) == FREE;
        if is_free {
            self.call.store(call.0, Ordering::Relaxed);
        }
        is_free
    }

    fn take(&self, call: OpenCall) -> bool {
        self.call
            .compare_exchange(FREE, call.0, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Nobody marks the call from here on. Before the owner looks at the clock.
    #[inline]
    pub(crate) fn end(&self) {
        self.call.store(ENDING, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.call.store(FREE, Ordering::Release);
    }

    /// For how many milliseconds the call was found to be open. Whoever is about to mark it is too
    /// late.
    fn settle(&self) -> u64 {
        let settled = (self.mark.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        low_half(self.mark.swap(settled, Ordering::AcqRel))
    }

    /// The call here, and the milliseconds that it was and is found to be open: where that passes a
    /// limit, of which `passes` tells.
    fn look(&self, now: &Now, passes: impl Fn(u64, u64) -> bool) -> Option<(Path, u64, u64)> {
        let mark = self.mark.load(Ordering::Acquire);
        let call = OpenCall(self.call.load(Ordering::Acquire));
        if call.0 & OPEN == 0 {
            return None;
        }
        let known = low_half(mark);
        // A millisecond less: the owner may have left, and its store not be here yet.
        let open = (now.since(call.since()) / NANOS_PER_MILLI).saturating_sub(1);
        let open = open.min(u64::from(u32::MAX));
        let is_marked = passes(known, open) && {
            let after = mark - known + open;
            let (done, not) = (Ordering::AcqRel, Ordering::Relaxed);
            self.mark.compare_exchange(mark, after, done, not).is_ok()
        };
        is_marked.then_some((call.path(), known, open))
    }

    /// Has nobody find the call here: it is another process's.
    fn disown(&self) {
        let call = self.call.load(Ordering::Relaxed);
        if call & OPEN != 0 {
            let (done, not) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.call.compare_exchange(call, ENDING, done, not);
        }
    }
}

fn low_half(word: u64) -> u64 {
    word & u64::from(u32::MAX)
}

/// What one route counts about slow calls.
#[derive(Debug)]
pub(crate) struct SlowCalls {
    /// Calls that take no longer than this are slow by no limit that the route ever had.
    from_nanos: AtomicU64,
    /// In milliseconds; [`NO_LIMIT`] where there are less.
    limits: [AtomicU32; MOST_LIMITS],
    counts: [[SlowCells; MOST_LIMITS]; 2],
    shared: OnceLock<Box<[Place; SHARED_PLACES]>>,
}

const NO_LIMIT: u32 = u32::MAX;

#[derive(Debug)]
struct SlowCells {
    ended: AtomicU64,
    found: AtomicU64,
    found_and_ended: AtomicU64,
}

impl SlowCells {
    const fn new() -> SlowCells {
        SlowCells {
            ended: AtomicU64::new(0),
            found: AtomicU64::new(0),
            found_and_ended: AtomicU64::new(0),
        }
    }
}

impl SlowCalls {
    pub(crate) const fn new() -> SlowCalls {
        SlowCalls {
            from_nanos: AtomicU64::new(u64::MAX),
            limits: [const { AtomicU32::new(NO_LIMIT) }; MOST_LIMITS],
            counts: [const { [const { SlowCells::new() }; MOST_LIMITS] }; 2],
            shared: OnceLock::new(),
        }
    }

    /// Counts by these limits from now on, in milliseconds.
    pub(crate) fn set_limits(&self, limits: &[u32]) {
        // Whoever leaves a place must know that it can have been marked there.
        if let Some(least) = limits.iter().min() {
            let nanos = u64::from(*least) * NANOS_PER_MILLI;
            self.from_nanos.fetch_min(nanos, Ordering::SeqCst);
        }
        let limits = limits.iter().copied().chain(std::iter::repeat(NO_LIMIT));
        for (place, limit) in self.limits.iter().zip(limits) {
            place.store(limit, Ordering::Release);
        }
    }

    /// Whether any limit was ever set, so that calls under way want a place.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.from_nanos.load(Ordering::Relaxed) != u64::MAX
    }

    /// Takes one of the places that all threads share; `None` where none is found free.
    pub(crate) fn take_shared(&self, call: OpenCall) -> Option<usize> {
        let places = match self.shared.get() {
            Some(places) => places,
            None => {
                // Made before it is set: a fork in the middle of setting would hold up the child.
                let made = Box::new([const { Place::new() }; SHARED_PLACES]);
                let _ = self.shared.set(made);
                self.shared.get()?
            }
        };
        // Calls that begin together begin to look apart.
        let [.., first] = (call.0 >> STAMP_SHIFT)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes();
        (0..TRIES)
            .map(|n| (usize::from(first) + n) % SHARED_PLACES)
            .find(|place| places.get(*place).is_some_and(|place| place.take(call)))
    }

    pub(crate) fn shared(&self, place: usize) -> Option<&Place> {
        self.shared.get()?.get(place)
    }

    /// Counts a call that has ended, if it was slow. Between [`Place::end`] and [`Place::leave`].
    #[inline]
    pub(crate) fn count(&self, path: Path, nanos: u64, place: Option<&Place>) {
        if nanos > self.from_nanos.load(Ordering::Relaxed) {
            self.count_slow(path, nanos, place);
        }
    }

    #[cold]
    fn count_slow(&self, path: Path, nanos: u64, place: Option<&Place>) {
        let known = place.map_or(0, Place::settle);
        for (limit, cells) in self.of(path) {
            if known > limit {
                cells.found_and_ended.fetch_add(1, Ordering::Release);
            } else if nanos > limit * NANOS_PER_MILLI {
                cells.ended.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Counts the calls under way that pass a limit, in the shared places and in these.
    pub(crate) fn look<'p>(&'p self, places: impl Iterator<Item = &'p Place>) {
        let now = Now::read();
        let shared = self
            .shared
            .get()
            .into_iter()
            .flat_map(|places| places.iter());
        for place in shared.chain(places) {
            let passes = |known, open| {
                let mut limits = self.of(Path::New).map(|(limit, _)| limit);
                limits.any(|limit| known <= limit && limit < open)
            };
            let Some((path, known, open)) = place.look(&now, passes) else {
                continue;
            };
            for (limit, cells) in self.of(path) {
                if known <= limit && limit < open {
                    cells.found.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Forgets the calls under way, which are another process's.
    pub(crate) fn disown<'p>(&'p self, places: impl Iterator<Item = &'p Place>) {
        let shared = self
            .shared
            .get()
            .into_iter()
            .flat_map(|places| places.iter());
        shared.chain(places).for_each(Place::disown);
    }

    pub(crate) fn totals(&self, path: Path) -> [Slowness; MOST_LIMITS] {
        let mut totals = [Slowness::default(); MOST_LIMITS];
        for (total, cells) in totals.iter_mut().zip(of(&self.counts, path)) {
            *total = Slowness {
                ended: cells.ended.load(Ordering::Relaxed),
                found: cells.found.load(Ordering::Relaxed),
                found_and_ended: cells.found_and_ended.load(Ordering::Relaxed),
            };
        }
        totals
    }

    /// The limits in force in milliseconds, each with what is counted by it on a path.
    fn of(&self, path: Path) -> impl Iterator<Item = (u64, &SlowCells)> {
        let limits = self
            .limits
            .iter()
            .map(|limit| limit.load(Ordering::Acquire));
        let limits = limits.zip(of(&self.counts, path));
        limits
            .filter(|(limit, _)| *limit != NO_LIMIT)
            .map(|(limit, cells)| (u64::from(limit), cells))
    }
}

/// What there is of each path.
#[inline]
pub(crate) fn of<T>([old, new]: &[T; 2], path: Path) -> &T {
    match path {
        Path::Old => old,
        Path::New => new,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::clock::Started;

    /// Owners that end calls around the limit while others look: each call counts once, and those
    /// over the limit all do.
    #[test]
    fn a_slow_call_counts_once_whoever_finds_it() {
        let slow = SlowCalls::new();
        slow.set_limits(&[3]);
        let places = [const { Place::new() }; 4];
        let done = AtomicBool::new(false);
        let (calls, over) = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        slow.look(places.iter());
                    }
                });
            }
            let owners = places.each_ref().map(|place| {
                let slow = &slow;
                scope.spawn(move || {
                    let (mut calls, mut over) = (0, 0);
                    let end = Instant::now() + Duration::from_millis(400);
                    while Instant::now() < end {
                        let started = Started::now();
                        assert!(place.take_own(OpenCall::new(Path::New, started.stamp())));
                        thread::sleep(Duration::from_millis(calls % 9));
                        place.end();
                        let nanos = started.elapsed_nanos();
                        slow.count(Path::New, nanos, Some(place));
                        place.leave();
                        calls += 1;
                        over += u64::from(nanos > 3_000_000);
                    }
                    (calls, over)
                })
            });
            let counts = owners.map(|owner| owner.join().unwrap());
            done.store(true, Ordering::Relaxed);
            counts
                .into_iter()
                .fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1))
        });
        let [total, ..] = slow.totals(Path::New);
        assert!(over > 0 && over < calls);
        assert!(total.found > 0, "none was found under way");
        assert_eq!(total.found, total.found_and_ended);
        assert_eq!(total.ended + total.found, over);
        assert_eq!(slow.totals(Path::Old), [Slowness::default(); MOST_LIMITS]);
    }

    #[test]
    fn shared_places_are_taken_once_and_given_back() {
        let slow = SlowCalls::new();
        let call = || OpenCall::new(Path::Old, Started::now().stamp());
        let taken: Vec<usize> = (0..10 * SHARED_PLACES)
            .filter_map(|_| slow.take_shared(call()))
            .collect();
        assert!(taken.len() > SHARED_PLACES / 2 && taken.len() <= SHARED_PLACES);
        for place in &taken {
            slow.shared(*place).unwrap().leave();
        }
        assert!(slow.take_shared(call()).is_some());
    }
}
