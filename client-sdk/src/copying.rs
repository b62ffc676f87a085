//! The copy that follows a write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::cells::Outcome;
use crate::crew::Late;
use crate::decide::Path;
use crate::engine::Engine;
use crate::keeper::Keeper;
use crate::lease::Lease;
use crate::mirror::Run;
use crate::spool::form::Kept;
use crate::writers::{Cause, Step};

/// A copy that is to be made because a key was written. One that is dropped before it was made leaves
/// a repair.
pub(crate) struct Copying {
    lease: Lease,
    watched: Arc<Watched>,
    /// What was noted of the write.
    intent: Option<u64>,
    is_done: bool,
}

/// What the crew's clock sees of it.
struct Watched {
    keeper: Arc<Keeper>,
    /// Where it writes.
    path: Path,
    /// What is left of it if it does not end well, but for why.
    kept: Kept,
    /// What it is a repair for, should it fail.
    cause: Cause,
    offered: Instant,
    is_counted: AtomicBool,
}

impl Copying {
    pub(crate) fn new(lease: Lease, intent: Option<u64>, cause: Cause) -> Copying {
        Copying {
            watched: Arc::new(Watched {
                keeper: Arc::clone(lease.keeper()),
                path: lease.other(),
                kept: Kept::new(lease.key(), lease.place().path, lease.generation(), cause),
                cause,
                offered: Instant::now(),
                is_counted: AtomicBool::new(false),
            }),
            lease,
            intent,
            is_done: false,
        }
    }

    /// Has it made on another thread, or leaves a repair.
    pub(crate) fn hand_over(self, engine: &Engine) {
        let late: Arc<dyn Late> = Arc::<Watched>::clone(&self.watched);
        // When that has passed, the key counts as one to be repaired.
        let deadline = self.watched.offered + engine.settings().mirroring.deadline;
        if let Some(copies) = engine.copies() {
            // Whoever refuses it drops it.
            let _ = copies.offer(Box::new(move || self.run()), Some((deadline, late)));
        }
    }

    fn run(mut self) {
        let lease = &self.lease;
        let keeper = lease.keeper();
        let began = keeper.event();
        // The write may have taken long: whoever is cut off by now may take the wrong store for the
        // authority, and what has moved must not be overwritten. The repair looks which it is.
        if !keeper.is_in_contact() || lease.has_moved() {
            self.is_done = true;
            keeper.repair(self.watched.kept(Cause::AtRisk), self.intent);
            return;
        }
        let copied = lease.copy();
        let outcome = match &copied {
            Ok(_) => Outcome::Success,
            Err(Some(_)) => Outcome::Error,
            Err(None) => Outcome::Panic,
        };
        self.watched.count(outcome, false);
        self.is_done = true;
        // It may have overtaken what others wrote, if authority had moved already.
        keeper.wrote(lease);
        // All of it before the lease ends: whoever waits for that finds the repair, if there is one.
        match copied {
            _ if lease.has_moved() => keeper.look_after_shift(lease, self.intent),
            Ok(_) => keeper.copied(lease.key(), self.intent, began),
            Err(error) => {
                let kept = Kept {
                    failed_at: error.map(|error| error.step),
                    ..self.watched.kept(Cause::Failed)
                };
                keeper.repair(kept, self.intent);
            }
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if !self.is_done {
            let lease = &self.lease;
            let keeper = lease.keeper();
            keeper.slot().counters().mirror().drop_one(lease.other());
            keeper.repair(self.watched.kept(Cause::TimedOut), self.intent);
        }
    }
}

impl Watched {
    /// Counts it, unless it is counted. Says whether it was not.
    fn count(&self, outcome: Outcome, is_late: bool) -> bool {
        let is_first = !self.is_counted.swap(true, Ordering::Relaxed);
        if is_first {
            let taken = self.offered.elapsed().as_nanos();
            self.keeper.slot().counters().end_run(Run {
                path: self.path,
                outcome,
                nanos: u64::try_from(taken).unwrap_or(u64::MAX),
                is_late,
            });
        }
        is_first
    }

    fn kept(&self, cause: Cause) -> Kept {
        let cause = match self.cause {
            Cause::UnknownOutcome => Cause::UnknownOutcome,
            _ => cause,
        };
        Kept {
            cause,
            ..self.kept.clone()
        }
    }
}

impl Late for Watched {
    fn late(&self, has_begun: bool) {
        // What has not begun is dropped, and has its repair by that.
        if has_begun && self.count(Outcome::Error, true) {
            let kept = Kept {
                failed_at: Some(Step::Deadline),
                ..self.kept(Cause::TimedOut)
            };
            // What was noted of the write stays: the copy is not over.
            self.keeper.repair(kept, None);
        }
    }
}
