//! The local guard: a route that fails too often on its new path takes the old one for a while, in
//! this process alone, whether the server is there or not.
//!
//! Callers count and open it, without a lock; what needs a clock is done by the thread that reports
//! (see `tending`). One word holds the state with the number of changes that led to it, so that of two
//! who would change it one does, and a probe that comes late is known as such.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cells::Outcome;
use crate::rollout::Percent;

/// When a route gives up its new path in this process, and how it comes back to it. Given to
/// [`RouteSpec::breaker`](crate::RouteSpec::breaker); routes have none unless you say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    error_share: Percent,
    minimum_calls: u32,
    window: Duration,
    open_for: Duration,
    probes: u16,
}

/// What a route's breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// The route goes as decided.
    Closed,
    /// Every call takes the old path.
    Open,
    /// A few calls try the new path, all others take the old one.
    HalfOpen,
}

impl Default for Breaker {
    /// Opens when half of at least 20 calls in 10 s fail, for 30 s, and wants 5 good probes.
    fn default() -> Breaker {
        Breaker {
            error_share: Percent::from_thousandths(50_000).unwrap_or(Percent::HUNDRED),
            minimum_calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(30),
            probes: 5,
        }
    }
}

impl Breaker {
    /// The share of calls of the new path that fail, by an error or a panic, from which on it opens.
    #[must_use]
    pub fn error_share(mut self, share: Percent) -> Breaker {
        self.error_share = share;
        self
    }

    /// With less calls than this in its window it does not open. At least 1.
    #[must_use]
    pub fn minimum_calls(mut self, calls: u32) -> Breaker {
        self.minimum_calls = calls.max(1);
        self
    }

    /// Over how long it looks back: between half of this and all of it. At least 2 ms.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Breaker {
        self.window = window.max(Duration::from_millis(2));
        self
    }

    /// How long it stays open before it lets probes through. At least 1 ms.
    #[must_use]
    pub fn open_for(mut self, duration: Duration) -> Breaker {
        self.open_for = duration.max(Duration::from_millis(1));
        self
    }

    /// How many calls try the new path after that. All of them have to succeed; the first that fails
    /// opens it again. At least 1.
    #[must_use]
    pub fn probes(mut self, probes: u16) -> Breaker {
        self.probes = probes.max(1);
        self
    }

    /// How often its clock has to be looked at.
    pub(crate) fn tick(&self) -> Duration {
        self.open_for.min(self.window) / 4
    }
}

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const KIND: u64 = 3;
/// Changes are counted above the kind, probes and successes within one of them.
const CHANGES_SHIFT: u32 = 32;
const ONE_CHANGE: u64 = 1 << CHANGES_SHIFT;
const ONE_CALL: u64 = 1 << 32;
const PROBES_SHIFT: u32 = 16;
const ONE_PROBE: u64 = 1 << PROBES_SHIFT;
const LOW: u64 = 0xffff;

/// A call that tries the new path: in which round of probes.
pub(crate) type Probe = NonZeroU32;

/// One route's breaker at work.
#[derive(Debug)]
pub(crate) struct Fuse {
    rules: Breaker,
    state: AtomicU64,
    /// Calls (high half) and failures (low half) in this half of the window and in the one before.
    halves: [AtomicU64; 2],
    half: AtomicUsize,
    /// The round of probes (high half), those that may still begin, and those that succeeded.
    probing: AtomicU64,
    /// Mandatory: there may be no old path any more.
    is_idle: AtomicBool,
}

/// What the thread that looks at the clock knows of a fuse.
#[derive(Debug)]
pub(crate) struct Timing {
    state: u64,
    since: Instant,
    turned: Instant,
}

impl Timing {
    pub(crate) fn new(fuse: &Fuse, now: Instant) -> Timing {
        Timing {
            // It may have opened before anybody looked.
            state: fuse.state.load(Ordering::SeqCst) & !KIND,
            since: now,
            turned: now,
        }
    }
}

impl Fuse {
    pub(crate) fn new(rules: Breaker) -> Fuse {
        Fuse {
            rules,
            state: AtomicU64::new(CLOSED),
            halves: [const { AtomicU64::new(0) }; 2],
            half: AtomicUsize::new(0),
            probing: AtomicU64::new(0),
            is_idle: AtomicBool::new(false),
        }
    }

    pub(crate) fn rules(&self) -> &Breaker {
        &self.rules
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state.load(Ordering::SeqCst) & KIND {
            _ if self.is_idle.load(Ordering::Relaxed) => BreakerState::Closed,
            OPEN => BreakerState::Open,
            HALF_OPEN => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        }
    }

    /// Whether calls are kept off the new path.
    pub(crate) fn is_open(&self) -> bool {
        self.state() != BreakerState::Closed
    }

    /// Whether it has no say, as on a mandatory route. Only under the engine's writer lock.
    pub(crate) fn set_idle(&self, is_idle: bool) {
        if self.is_idle.swap(is_idle, Ordering::Relaxed) != is_idle {
            let state = self.state.load(Ordering::SeqCst);
            self.change(state, CLOSED);
            self.forget();
        }
    }

    /// Lets a call through to the new path, as long as probes are wanted.
    pub(crate) fn probe(&self) -> Option<Probe> {
        let state = self.state.load(Ordering::SeqCst);
        if state & KIND != HALF_OPEN {
            return None;
        }
        let is_wanted = |probing: u64| probing >> PROBES_SHIFT & LOW > 0;
        self.update_probing(state, |probing| {
            is_wanted(probing).then(|| probing - ONE_PROBE)
        })?;
        round(state)
    }

    /// Counts a call of the new path. `true` when that opens it.
    pub(crate) fn count(&self, outcome: Outcome, probe: Option<Probe>) -> bool {
        if self.is_idle.load(Ordering::Relaxed) {
            return false;
        }
        let state = self.state.load(Ordering::SeqCst);
        match (state & KIND, probe) {
            (CLOSED, None) => self.fails_too_often(outcome) && self.change(state, OPEN),
            (HALF_OPEN, Some(probe)) if round(state) == Some(probe) => self.probed(state, outcome),
            // Of a round, or of a time, that is over.
            _ => false,
        }
    }

    fn fails_too_often(&self, outcome: Outcome) -> bool {
        let failures = match outcome {
            Outcome::Success => 0,
            Outcome::Error | Outcome::Panic => 1,
            Outcome::Cancelled => return false,
        };
        let [first, second] = &self.halves;
        let (this, other) = match self.half.load(Ordering::Relaxed) {
            0 => (first, second),
            _ => (second, first),
        };
        let more = ONE_CALL + failures;
        let counted = this.fetch_add(more, Ordering::Relaxed) + more;
        let counted = counted + other.load(Ordering::Relaxed);
        let (calls, failures) = (counted >> 32, counted & u64::from(u32::MAX));
        let share = u64::from(self.rules.error_share.thousandths());
        failures > 0
            && calls >= u64::from(self.rules.minimum_calls)
            && failures * u64::from(Percent::HUNDRED.thousandths()) >= share * calls
    }

    fn probed(&self, state: u64, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Error | Outcome::Panic => return self.change(state, OPEN),
            // It says nothing: another may try.
            Outcome::Cancelled => {
                self.update_probing(state, |probing| Some(probing + ONE_PROBE));
            }
            Outcome::Success => {
                let wanted = u64::from(self.rules.probes);
                let before = self.update_probing(state, |probing| Some(probing + 1));
                if before.is_some_and(|probing| (probing & LOW) + 1 >= wanted) {
                    self.forget();
                    self.change(state, CLOSED);
                }
            }
        }
        false
    }

    /// What it was before; `None` where nothing is changed, as when the round is over.
    fn update_probing(&self, state: u64, update: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let (done, not) = (Ordering::AcqRel, Ordering::Acquire);
        let is_of_round = |probing: u64| probing >> CHANGES_SHIFT == state >> CHANGES_SHIFT;
        let update = |probing| is_of_round(probing).then(|| update(probing)).flatten();
        self.probing.fetch_update(done, not, update).ok()
    }

    /// From this state to one of that kind, unless somebody was faster.
    fn change(&self, state: u64, kind: u64) -> bool {
        let next = changed(state, kind);
        let (done, not) = (Ordering::SeqCst, Ordering::SeqCst);
        self.state.compare_exchange(state, next, done, not).is_ok()
    }

    fn forget(&self) {
        for half in &self.halves {
            half.store(0, Ordering::Relaxed);
        }
    }

    /// Does what is due, and says what the breaker has come to since the last time. One thread alone.
    pub(crate) fn tend(&self, timing: &mut Timing, now: Instant) -> Option<BreakerState> {
        let turn = self.rules.window / 2;
        let passed = now.saturating_duration_since(timing.turned);
        if passed >= self.rules.window {
            self.forget();
            timing.turned = now;
        } else if passed >= turn {
            let other = 1 - self.half.load(Ordering::Relaxed).min(1);
            if let Some(half) = self.halves.get(other) {
                half.store(0, Ordering::Relaxed);
            }
            self.half.store(other, Ordering::Relaxed);
            timing.turned += turn;
        }
        let state = self.state.load(Ordering::SeqCst);
        if state != timing.state {
            let is_other = (state ^ timing.state) & KIND != 0;
            timing.state = state;
            timing.since = now;
            return is_other.then(|| self.state());
        }
        let is_over = now.saturating_duration_since(timing.since) >= self.rules.open_for;
        // Probes that were given out and never ended hold up nobody: others try.
        if is_over && matches!(state & KIND, OPEN | HALF_OPEN) {
            let next = changed(state, HALF_OPEN);
            let probes = u64::from(self.rules.probes) << PROBES_SHIFT;
            let round = next >> CHANGES_SHIFT << CHANGES_SHIFT;
            // First, so that nobody finds the round without its probes.
            self.probing.store(round | probes, Ordering::Release);
            if self.change(state, HALF_OPEN) {
                timing.state = next;
                timing.since = now;
                return (state & KIND == OPEN).then_some(BreakerState::HalfOpen);
            }
        }
        None
    }
}

fn changed(state: u64, kind: u64) -> u64 {
    (state & !KIND).wrapping_add(ONE_CHANGE) | kind
}

fn round(state: u64) -> Option<Probe> {
    NonZeroU32::new(u32::try_from(state >> CHANGES_SHIFT).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Walk {
        fuse: Fuse,
        timing: Timing,
        now: Instant,
    }

    impl Walk {
        fn new() -> Walk {
            let rules = Breaker::default().minimum_calls(4).probes(2);
            let rules = rules.window(10 * SECOND).open_for(5 * SECOND);
            let (fuse, now) = (Fuse::new(rules), Instant::now());
            let timing = Timing::new(&fuse, now);
            Walk { fuse, timing, now }
        }

        fn after(&mut self, seconds: u32) -> BreakerState {
            self.now += SECOND * seconds;
            self.fuse.tend(&mut self.timing, self.now);
            self.fuse.state()
        }

        fn calls(&self, outcomes: &[Outcome]) -> bool {
            let opens = outcomes
                .iter()
                .map(|outcome| self.fuse.count(*outcome, None));
            opens.fold(false, |any, opens| any | opens)
        }

        fn probes(&self, outcomes: &[Outcome]) -> BreakerState {
            for outcome in outcomes {
                let probe = self.fuse.probe();
                assert!(probe.is_some());
                self.fuse.count(*outcome, probe);
            }
            self.fuse.state()
        }
    }

    const BAD: [Outcome; 4] = [
        Outcome::Success,
        Outcome::Error,
        Outcome::Panic,
        Outcome::Success,
    ];

    #[test]
    fn it_walks_from_closed_to_open_to_half_open_and_back() {
        let mut walk = Walk::new();
        assert!(!walk.calls(&BAD[..3]), "too few calls");
        assert!(walk.calls(&BAD[3..]), "half of four");
        assert!(!walk.calls(&BAD), "it opens once");
        assert_eq!(walk.after(0), BreakerState::Open);
        assert_eq!(
            (walk.after(4), walk.fuse.probe()),
            (BreakerState::Open, None)
        );
        assert_eq!(walk.after(1), BreakerState::HalfOpen);
        assert_eq!(
            walk.probes(&[Outcome::Success, Outcome::Error]),
            BreakerState::Open
        );
        walk.after(0);
        assert_eq!(walk.after(5), BreakerState::HalfOpen);
        let probes = [walk.fuse.probe(), walk.fuse.probe(), walk.fuse.probe()];
        assert!(
            probes[1].is_some() && probes[2].is_none(),
            "as many as are wanted"
        );
        for probe in &probes[..2] {
            walk.fuse.count(Outcome::Success, *probe);
        }
        assert_eq!(walk.fuse.state(), BreakerState::Closed);
        assert!(!walk.calls(&BAD[..3]), "what was before is forgotten");
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let mut walk = Walk::new();
        walk.calls(&BAD[1..3]);
        assert_eq!(walk.after(5), BreakerState::Closed);
        assert_eq!(walk.after(5), BreakerState::Closed);
        assert!(!walk.calls(&BAD[1..3]));
        walk.after(60);
        assert!(!walk.calls(&BAD[1..3]));
        walk.after(5);
        assert!(walk.calls(&BAD[1..3]), "the half before counts");
    }

    #[test]
    fn probes_that_say_nothing_hold_up_nobody() {
        let mut walk = Walk::new();
        walk.calls(&BAD);
        walk.after(0);
        assert_eq!(walk.after(5), BreakerState::HalfOpen);
        assert_eq!(
            walk.probes(&[Outcome::Cancelled; 5]),
            BreakerState::HalfOpen
        );
        let lost = [walk.fuse.probe(), walk.fuse.probe()];
        assert_eq!(walk.fuse.probe(), None);
        assert_eq!(walk.after(5), BreakerState::HalfOpen);
        walk.fuse.count(Outcome::Error, lost[0]);
        assert_eq!(walk.probes(&[Outcome::Success; 2]), BreakerState::Closed);
        walk.fuse.count(Outcome::Error, lost[1]);
        assert_eq!(walk.fuse.state(), BreakerState::Closed);
    }

    #[test]
    fn an_idle_one_stays_closed() {
        let mut walk = Walk::new();
        walk.calls(&BAD);
        assert_eq!(walk.after(0), BreakerState::Open);
        walk.fuse.set_idle(true);
        assert!(!walk.calls(&BAD) && !walk.fuse.is_open());
        walk.fuse.set_idle(false);
        assert_eq!(walk.after(0), BreakerState::Closed);
        assert!(walk.calls(&BAD));
    }
}
