//! What becomes of copies, and of the rows that they have not made equal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::{Keeper, lock, now_ms};
use crate::decide::Path;
use crate::lease::Lease;
use crate::repairs::{Attempt, Tried};
use crate::spool::form::Kept;
use crate::spool::{MOST_ENTRIES, SpoolError};
use crate::store::{Copied, CopyError};
use crate::writers::{Cause, RepairState, Step};

impl Keeper {
    /// Notes that this process has written a key, or copied it.
    pub(crate) fn wrote(&self, lease: &Lease) {
        lock(&self.recent).add(lease.key(), lease.place().path, lease.generation());
    }

    /// Has those looked at, of the keys that were written since this process was last known to be
    /// current, for which this holds.
    pub(crate) fn list_recent(&self, is_meant: impl Fn(&str, Path) -> bool) {
        let (at_risk, may_be_more) = lock(&self.recent).take(is_meant);
        let now = Instant::now();
        let mut repairs = self.repairs();
        let room = MOST_ENTRIES.saturating_sub(repairs.len());
        let is_too_many = may_be_more || at_risk.len() > room;
        for (key, (written, generation)) in at_risk.into_iter().take(room) {
            let kept = Kept {
                at_ms: now_ms(),
                ..Kept::new(&key, written, generation, Cause::AtRisk)
            };
            repairs.adopt(kept.clone(), now);
            self.note(|spool| spool.keep(&kept));
        }
        drop(repairs);
        if is_too_many {
            self.doubt(&SpoolError::Full);
        }
    }

    /// The event by which a copy that begins now is told from what comes later.
    pub(crate) fn event(&self) -> u64 {
        self.repairs().now()
    }

    /// A copy that began at this event has made the rows of the key equal.
    pub(crate) fn copied(&self, key: &str, intent: Option<u64>, began: u64) {
        let mut repairs = self.repairs();
        if repairs.resolve(key, began, Instant::now()) {
            self.note(|spool| spool.settle(key));
            self.around.attendant.ring();
        }
        drop(repairs);
        self.clear(intent);
    }

    /// The rows of a key may differ, and this is why.
    pub(crate) fn repair(&self, kept: Kept, intent: Option<u64>) {
        let now = Instant::now();
        let mut repairs = self.repairs();
        if !repairs.contains(&kept.key) && repairs.len() >= MOST_ENTRIES {
            drop(repairs);
            self.doubt(&SpoolError::Full);
        } else {
            let kept = Kept {
                at_ms: kept.at_ms.min(now_ms()),
                ..kept
            };
            let key = kept.key.clone();
            let kept = repairs.add(kept, now);
            if self.gate.place(&key).moves {
                repairs.hasten(now, |open| open == key);
            }
            match kept.state {
                RepairState::Resolved => self.note(|spool| spool.settle(&key)),
                _ => self.note(|spool| spool.keep(&kept)),
            };
        }
        self.clear(intent);
        self.around.mender.ring();
        self.around.attendant.ring();
    }

    /// The authority of a key has moved while it was being copied. What is there now?
    pub(crate) fn look_after_shift(&self, lease: &Lease, intent: Option<u64>) {
        let kept = Kept::new(
            lease.key(),
            lease.place().path,
            lease.generation(),
            Cause::AtRisk,
        );
        let began = self.event();
        match self.compare(lease.key()) {
            // There is a repair already, and it is told in any case.
            Ok(Some(true)) if self.repairs().contains(lease.key()) => {
                self.copied(lease.key(), intent, began);
            }
            Ok(Some(true)) => {
                let state = RepairState::Resolved;
                self.repair(Kept { state, ..kept }, intent);
            }
            Ok(Some(false) | None) | Err(_) => self.repair(kept, intent),
        }
    }

    /// The next repair that is to be tried.
    pub(crate) fn next_attempt(&self, now: Instant) -> Option<Attempt> {
        self.repairs().begin_next(now)
    }

    /// When that is.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.repairs().next_due()
    }

    /// Has what was written while the process was cut off looked at now.
    pub(crate) fn back_in_contact(&self) {
        self.repairs().hasten(Instant::now(), |_| true);
    }

    /// Tries a repair: a copy from the side that was written, if that is the authority still; else a
    /// look at whether the rows are equal.
    pub(crate) fn attempt(self: &Arc<Self>, attempt: &Attempt, chance: f64) {
        if !self.is_in_contact() {
            return self.tried(attempt, Tried::NotNow, chance);
        }
        let key: Arc<str> = attempt.key.as_str().into();
        let lease = Lease::new(self, &key, self.gate.begin_repair(&key));
        let came = match lease.place() {
            // Where nothing is copied, the cut-off has done no harm.
            place if !place.is_doubled => match attempt.cause {
                Cause::AtRisk => Tried::Equal,
                _ => Tried::NotNow,
            },
            // What began before an unplanned shift may write yet.
            place if !self.gate.is_open(&key, place.path) => Tried::Soon,
            place if place.path == attempt.written => match self.noted_copy(&lease) {
                _ if lease.has_moved() => Tried::Failed(None),
                Ok(_) => Tried::Equal,
                Err(error) => Tried::Failed(error.map(|error| error.step)),
            },
            _ => match self.compare(&key) {
                Ok(Some(true)) => Tried::Equal,
                // Its copy may be about to make them equal.
                Ok(Some(false)) if self.gate.is_busy(&key) => Tried::Soon,
                Ok(Some(false)) => Tried::Differ,
                Ok(None) => Tried::Failed(Some(Step::Unsettled)),
                Err(error) => Tried::Failed(error.map(|error| error.step)),
            },
        };
        // Before the lease ends: whoever waits for the one finds the other done.
        self.tried(attempt, came, chance);
    }

    /// A copy that is looked at again should authority have moved unheard.
    pub(crate) fn noted_copy(&self, lease: &Lease) -> Result<Copied, Option<CopyError>> {
        let copied = lease.copy();
        self.wrote(lease);
        copied
    }

    /// What came of an attempt.
    pub(crate) fn tried(&self, attempt: &Attempt, came: Tried, chance: f64) {
        let mut repairs = self.repairs();
        let kept = repairs.tried(attempt, came, Instant::now(), chance);
        match kept.filter(|kept| kept.state != RepairState::Resolved) {
            Some(kept) => self.note(|spool| spool.keep(&kept)),
            None => self.note(|spool| spool.settle(&attempt.key)),
        };
        drop(repairs);
        self.around.attendant.ring();
    }

    fn compare(&self, key: &str) -> Result<Option<bool>, Option<CopyError>> {
        let authority = self.gate.place(key).path;
        let compare = || self.pair.compare(key, authority);
        let compared = catch_unwind(AssertUnwindSafe(compare));
        compared.map_err(|_| None)?.map_err(Some)
    }
}
