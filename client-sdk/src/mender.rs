//! The thread that tries repairs, and looks at the clock for writes that wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::engine::Engine;
use crate::keeper::{Around, Keeper};
use crate::repairs::{Attempt, Tried};

/// Between two looks where nothing is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Attempts that a process makes in a second, all routes together, and at once where there were none.
const PER_SECOND: u32 = 20;

pub(crate) fn start(engine: Arc<Engine>, around: Arc<Around>) -> std::io::Result<()> {
    let mender = Mender {
        engine,
        around,
        chance: Chance::default(),
        full: Instant::now(),
        turn: 0,
    };
    let started = thread::Builder::new().name("switchover-repairs".to_owned());
    started.spawn(move || mender.run()).map(drop)
}

struct Mender {
    engine: Arc<Engine>,
    around: Arc<Around>,
    chance: Chance,
    /// When a second's attempts may be made at once again.
    full: Instant,
    turn: usize,
}

impl Mender {
    fn run(mut self) {
        let around = Arc::clone(&self.around);
        let mut until = Instant::now();
        while around.mender.sleep(until) {
            // A panic would be a mistake of ours; it must not end the repairs.
            let next = catch_unwind(AssertUnwindSafe(|| self.round(Instant::now())));
            until = next.unwrap_or_else(|_| {
                thread::sleep(LONGEST_SLEEP);
                Instant::now()
            });
        }
    }

    /// Does what is due, and says when the next look is.
    fn round(&mut self, now: Instant) -> Instant {
        let mut next = now + LONGEST_SLEEP;
        // Another route is first each time: the repairs of one do not hold up all others.
        let mut keepers = self.engine.keepers();
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(keepers.len()).unwrap_or(0);
        keepers.rotate_left(first);
        for keeper in keepers {
            let due = keeper.gate().wake_due(now);
            next = due.map_or(next, |due| next.min(due));
            next = next.min(self.mend(&keeper, now));
            keeper.raise_fences();
        }
        next
    }

    fn mend(&mut self, keeper: &Arc<Keeper>, now: Instant) -> Instant {
        let each = Duration::from_secs(1) / PER_SECOND;
        while self.full <= now + Duration::from_secs(1) - each {
            let Some(attempt) = keeper.next_attempt(now) else {
                return keeper.next_due().unwrap_or(now + LONGEST_SLEEP);
            };
            self.full = self.full.max(now) + each;
            self.offer(keeper, attempt);
        }
        now + each
    }

    fn offer(&mut self, keeper: &Arc<Keeper>, attempt: Attempt) {
        let chance = self.chance.draw();
        let work = {
            let (keeper, attempt) = (Arc::clone(keeper), attempt.clone());
            Box::new(move || keeper.attempt(&attempt, chance))
        };
        let copies = self.engine.copies();
        if copies.is_none_or(|copies| copies.offer(work, None).is_err()) {
            keeper.tried(&attempt, Tried::NotNow, chance);
        }
    }
}
