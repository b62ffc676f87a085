//! A route's one atomic word: the verdict, the ramp, or "ask the snapshot".
//!
//! Whoever applies a snapshot folds all rules that no key can change into the word, so that a call
//! reads it and is done. Words are written by one thread at a time (the engine's writer lock) and
//! read by all.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use crate::breaker::{Breaker, Fuse, Probe};
use crate::bucket::{Seed, bucket};
use crate::cells::Outcome;
use crate::counters::Counters;
use crate::decide::{Path, Plan, Reason};
use crate::rollout::Percent;

const KIND: u64 = 0b111;
const OLD: u64 = 0;
const NEW: u64 = 1;
/// A ramp by the route's own seed, which every handle carries.
const OWN_RAMP: u64 = 2;
/// A ramp by a group's seed, which is beside the word.
const GROUP_RAMP: u64 = 3;
const ASK: u64 = 4;
/// A ramp that has reached every key: the new path, and the ramp is why.
const FULL_RAMP: u64 = 5;
const SHARE_SHIFT: u32 = 3;
const SHARE: u64 = (1 << 17) - 1;
const GENERATION_SHIFT: u32 = 32;

/// What one load of the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    /// The path, where it is the same for every key.
    #[inline]
    pub(crate) fn verdict(self) -> Option<Path> {
        match self.0 {
            OLD => Some(Path::Old),
            NEW => Some(Path::New),
            _ => None,
        }
    }

    /// Whether the ramp is why, also for a call without a key.
    pub(crate) fn is_full_ramp(self) -> bool {
        self.0 == FULL_RAMP
    }

    fn ramp(self, seed: Seed, key: Option<&str>) -> Path {
        let share = (self.0 >> SHARE_SHIFT) & SHARE;
        match key {
            Some(key) if u64::from(bucket(seed, key.as_bytes())) < share => Path::New,
            _ => Path::Old,
        }
    }
}

/// What all handles of one route share.
#[derive(Debug)]
pub(crate) struct Slot {
    hot: Hot,
    key: Box<str>,
    seed: Seed,
    /// Tells one group ramp from the next, so that a reader notices when it was overtaken.
    generation: AtomicU32,
    /// How many [`crate::testing::force`] guards there are.
    forces: AtomicU32,
    /// The share of the reads that are shadowed, in thousandths of a percent.
    shadowed: AtomicU32,
    counters: Counters,
    /// Where the code gives the route a breaker.
    fuse: OnceLock<Box<Fuse>>,
    /// Whether the code has given the route its stores.
    has_stores: AtomicBool,
}

/// Alone on its cache lines (two, because they are fetched in pairs): what other threads write next
/// to it must not slow down its readers.
#[derive(Debug)]
#[repr(align(128))]
struct Hot {
    word: AtomicU64,
    group_seed: AtomicU64,
}

impl Slot {
    pub(crate) fn new(key: &str) -> Slot {
        Slot {
            hot: Hot {
                word: AtomicU64::new(ASK),
                group_seed: AtomicU64::new(0),
            },
            key: key.into(),
            seed: Seed::of(key),
            generation: AtomicU32::new(0),
            forces: AtomicU32::new(0),
            shadowed: AtomicU32::new(0),
            counters: Counters::new(),
            fuse: OnceLock::new(),
            has_stores: AtomicBool::new(false),
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The seed of the route's own key.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// Takes the right to give the route its stores: only the first has it.
    pub(crate) fn take_stores(&self) -> bool {
        !self.has_stores.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    #[inline]
    pub(crate) fn fuse(&self) -> Option<&Fuse> {
        self.fuse.get().map(|fuse| &**fuse)
    }

    /// The route's breaker, which is this one unless it has one already.
    pub(crate) fn fuse_or_set(&self, breaker: &Breaker) -> &Fuse {
        if self.fuse.get().is_none() {
            // Made before it is set: a fork in the middle of setting would hold up the child.
            let made = Box::new(Fuse::new(breaker.clone()));
            let _ = self.fuse.set(made);
        }
        self.fuse
            .get_or_init(|| Box::new(Fuse::new(breaker.clone())))
    }

    /// Counts a call of the new path by the breaker, and has every call ask if that opens it. Never
    /// waits.
    #[inline(never)]
    pub(crate) fn count(&self, fuse: &Fuse, outcome: Outcome, probe: Option<Probe>) {
        if fuse.count(outcome, probe) {
            self.hot.word.store(ASK, Ordering::SeqCst);
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.hot.word.load(Ordering::Relaxed))
    }

    /// The path for a key, where the word knows it; `None` means ask the snapshot.
    pub(crate) fn ramp(&self, word: Word, own: Seed, key: Option<&str>) -> Option<Path> {
        match word.0 & KIND {
            OWN_RAMP => Some(word.ramp(own, key)),
            GROUP_RAMP => self.group_ramp(key),
            FULL_RAMP => Some(Path::New),
            _ => word.verdict(),
        }
    }

    /// Word, seed, word again: if the word is unchanged, the seed is the one it was written with.
    fn group_ramp(&self, key: Option<&str>) -> Option<Path> {
        let before = self.hot.word.load(Ordering::Acquire);
        let seed = self.hot.group_seed.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let after = self.hot.word.load(Ordering::Relaxed);
        (before == after && before & KIND == GROUP_RAMP)
            .then(|| Word(before).ramp(Seed::from_bits(seed), key))
    }

    /// Writes what the rules come to. Only under the engine's writer lock.
    pub(crate) fn publish(&self, plan: Plan) {
        let is_mandatory =
            matches!(plan, Plan::Always(verdict) if verdict.reason == Reason::Mandatory);
        if let Some(fuse) = self.fuse() {
            fuse.set_idle(is_mandatory);
        }
        let word = match plan {
            _ if self.is_forced() => ASK,
            Plan::Always(verdict) => match (verdict.path, verdict.reason) {
                (Path::Old, _) => OLD,
                (Path::New, Reason::RampIn) => FULL_RAMP,
                (Path::New, _) => NEW,
            },
            Plan::Ramp { percent, seed } => {
                let share = u64::from(percent.thousandths()) << SHARE_SHIFT;
                if seed == self.seed {
                    OWN_RAMP | share
                } else {
                    GROUP_RAMP | share | self.write_group_seed(seed)
                }
            }
            Plan::PerKey => ASK,
        };
        self.hot.word.store(word, Ordering::Release);
        // A caller that opens the breaker changes its state and then the word. If that word is the one
        // just overwritten, the state is seen here.
        fence(Ordering::SeqCst);
        if self.fuse().is_some_and(Fuse::is_open) {
            self.hot.word.store(ASK, Ordering::Release);
        }
    }

    /// The share of the reads that are also run on the other path, in thousandths of a percent.
    #[inline]
    pub(crate) fn shadowed(&self) -> u32 {
        self.shadowed.load(Ordering::Relaxed)
    }

    /// Only under the engine's writer lock.
    pub(crate) fn set_shadowed(&self, share: Percent) {
        self.shadowed.store(share.thousandths(), Ordering::Relaxed);
    }

    /// The generation of the word that goes with the seed.
    fn write_group_seed(&self, seed: Seed) -> u64 {
        let generation = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        self.generation.store(generation, Ordering::Relaxed);
        self.hot.word.store(ASK, Ordering::Relaxed);
        fence(Ordering::Release);
        self.hot.group_seed.store(seed.to_bits(), Ordering::Relaxed);
        u64::from(generation) << GENERATION_SHIFT
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.forces.load(Ordering::Relaxed) > 0
    }

    /// Only under the engine's writer lock, and followed by [`Slot::publish`].
    pub(crate) fn add_force(&self) {
        self.forces.fetch_add(1, Ordering::Relaxed);
    }

    /// Only under the engine's writer lock, and followed by [`Slot::publish`].
    pub(crate) fn remove_force(&self) {
        self.forces.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// Two group ramps that agree on no key: a share read with the other's seed would show.
    #[test]
    fn a_reader_never_pairs_one_ramps_share_with_anothers_seed() {
        let ramp = |name: &str, share| Plan::Ramp {
            percent: Percent::from_thousandths(share).unwrap(),
            seed: Seed::of(name),
        };
        let slot = Slot::new("blame");
        let at = |name: &str, key: &str| bucket(Seed::of(name), key.as_bytes());
        let key = (0..)
            .map(|n: u32| n.to_string())
            .find(|key| at("a", key) < 20_000 && at("b", key) > 80_000)
            .unwrap();
        // Both say new; with the seeds swapped the first would say old.
        let (narrow, wide) = (ramp("a", 20_000), ramp("b", 100_000 - 1));
        let swapped = at("b", &key) < 20_000;
        assert!(!swapped && at("b", &key) < 99_999);
        slot.publish(narrow);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let end = Instant::now() + Duration::from_millis(200);
                while Instant::now() < end {
                    for _ in 0..1_000 {
                        slot.publish(wide);
                        slot.publish(narrow);
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
            let mut answered = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let word = slot.word();
                if let Some(path) = slot.ramp(word, slot.seed(), Some(&key)) {
                    answered += 1;
                    assert_eq!(path, Path::New);
                }
            }
            assert!(answered > 0);
        });
    }
}
