//! Keeps the two stores of a data route equal, in one process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::authority::Shift;
use crate::bell::Bell;
use crate::contact::Contact;
use crate::decide::Path;
use crate::gate::{Begun, Gate};
use crate::lease::Lease;
use crate::recent::Recent;
use crate::repairs::{Attempt, Repairs, Tried};
use crate::rollout::RouteKey;
use crate::slot::Slot;
use crate::spool::form::{Intent, Kept};
use crate::spool::{LeftOver, MOST_ENTRIES, Spool, SpoolError};
use crate::state::State;
use crate::store::{CopyError, Pair};
use crate::writers::{Cause, Repair, RepairState, Step, Unverified, WriterOrder, WriterRoute};

/// What the data routes of a process share.
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) contact: Contact,
    pub(crate) has_server: bool,
    /// Of the thread that tells the server.
    pub(crate) attendant: Bell,
    /// Of the thread that tries repairs.
    pub(crate) mender: Bell,
}

pub(crate) struct Keeper {
    slot: Arc<Slot>,
    route: RouteKey,
    pair: Arc<dyn Pair>,
    gate: Gate,
    /// Taken before the spool's lock and the gate's, and held while either is.
    repairs: Mutex<Repairs>,
    /// `None` where there is none.
    spool: Mutex<Option<Spool>>,
    unverified: Mutex<Option<Unverified>>,
    /// Processes whose spools this one has taken over, until the server knows.
    adopted: Mutex<Vec<String>>,
    /// The generation that the stores' fences were raised to, and whether that is being done.
    raised: AtomicU64,
    is_raising: AtomicBool,
    /// The order of the consistency run that is under way.
    comparing: Mutex<Option<String>>,
    recent: Mutex<Recent>,
    around: Arc<Around>,
}

/// A spool that was opened, and what was found beside it.
pub(crate) struct Opened {
    pub(crate) spool: Option<Spool>,
    pub(crate) left_over: LeftOver,
}

impl Keeper {
    pub(crate) fn new(
        (slot, route): (Arc<Slot>, RouteKey),
        pair: Arc<dyn Pair>,
        state: Arc<State>,
        opened: Opened,
        around: Arc<Around>,
    ) -> Keeper {
        let mut repairs = Repairs::new(around.has_server);
        let now = Instant::now();
        for kept in opened.left_over.repairs.into_values() {
            repairs.adopt(kept, now);
        }
        Keeper {
            gate: Gate::new(slot.key(), state),
            slot,
            route,
            pair,
            repairs: Mutex::new(repairs),
            spool: Mutex::new(opened.spool),
            unverified: Mutex::new(opened.left_over.unverified),
            adopted: Mutex::new(opened.left_over.instances),
            raised: AtomicU64::new(0),
            is_raising: AtomicBool::new(false),
            comparing: Mutex::default(),
            recent: Mutex::default(),
            around,
        }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    pub(crate) fn route(&self) -> &RouteKey {
        &self.route
    }

    pub(crate) fn pair(&self) -> &dyn Pair {
        &*self.pair
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn is_in_contact(&self) -> bool {
        self.around.contact.is_there()
    }

    /// Decides by this state from now on.
    pub(crate) fn apply(&self, state: &Arc<State>) {
        let (shift, is_at_risk) = self.gate.apply(state);
        if shift != Shift::None {
            let moves = |key: &str| self.gate.place(key).moves;
            self.repairs().hasten(Instant::now(), moves);
        }
        if is_at_risk {
            let path = |key: &str| self.gate.place(key).path;
            for kept in self.repairs().list_moved(path, Instant::now()) {
                self.note(|spool| spool.keep(&kept));
            }
            self.list_recent(|key, written| path(key) != written);
        }
        self.around.mender.ring();
        self.around.attendant.ring();
    }

    /// Whether the stores' fences are as high as the generation by which this process decides.
    fn has_raised(&self) -> bool {
        let generation = self.gate.standing().form.generation;
        !self.pair.is_fenced() || self.raised.load(Ordering::Relaxed) >= generation
    }

    /// The right to raise the fences, where that is to be done and nobody does it. In a hold that is
    /// once what began before it has ended: else the fence would refuse this process's own writes.
    pub(crate) fn begin_raising(&self) -> bool {
        let standing = self.gate.standing();
        let may = !standing.form.held || standing.drained.is_some();
        may && !self.has_raised() && !self.is_raising.swap(true, Ordering::Relaxed)
    }

    /// Raises the stores' fences, so that whoever decides by an older generation is refused.
    pub(crate) fn raise(&self) {
        let generation = self.gate.standing().form.generation;
        let raised = catch_unwind(AssertUnwindSafe(|| self.pair.raise(generation)));
        if let Ok(Ok(())) = raised {
            self.raised.fetch_max(generation, Ordering::Relaxed);
        }
        self.end_raising();
        self.around.attendant.ring();
    }

    /// Nobody raises them any more.
    pub(crate) fn end_raising(&self) {
        self.is_raising.store(false, Ordering::Relaxed);
    }

    /// The server knows whom this process has replaced: all whom there were when it began.
    pub(crate) fn adoption_told(&self) {
        lock(&self.adopted).clear();
    }

    /// Begins a write or a copy; `None` where the key has been about to move for all this time.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: &Arc<str>,
        forced: Option<Path>,
        patience: Duration,
    ) -> Option<Lease> {
        let begun = self.gate.begin(key, forced, patience)?;
        Some(Lease::new(self, key, begun))
    }

    /// Begins it, or has the waker called when it is worth another try, or when this time has come.
    /// Says where the waker is kept.
    pub(crate) fn begin_or_wake(
        self: &Arc<Self>,
        key: &Arc<str>,
        forced: Option<Path>,
        waker: (&Waker, Instant),
    ) -> Result<Lease, u64> {
        match self.gate.begin_or_wake(key, forced, waker) {
            Ok(begun) => Ok(Lease::new(self, key, begun)),
            Err(place) => {
                // It looks at the clock for it.
                self.around.mender.ring();
                Err(place)
            }
        }
    }

    /// Ends it, for a [`Lease`].
    pub(crate) fn end(&self, begun: Begun) {
        if self.gate.end(begun) {
            if !self.has_raised() {
                self.around.mender.ring();
            }
            self.around.attendant.ring();
        }
    }

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

    /// Notes that a write begins.
    pub(crate) fn intend(&self, lease: &Lease, is_at_risk: bool) -> Option<u64> {
        let intent = Intent {
            id: 0,
            key: lease.key().as_ref().to_owned(),
            written: lease.place().path,
            generation: lease.generation(),
            at_ms: now_ms(),
            is_at_risk,
        };
        self.note(|spool| spool.intend(intent))
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

    /// Forgets an intent.
    pub(crate) fn clear(&self, intent: Option<u64>) {
        if let Some(id) = intent {
            self.note(|spool| spool.clear(id));
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
            place if place.path == attempt.written => match lease.copy() {
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

    /// The generation whose hold this process has done its part for.
    pub(crate) fn drained(&self) -> Option<u64> {
        let generation = self.gate.standing().drained.filter(|_| self.has_raised())?;
        // After that: whatever has ended by then has its repair by then.
        let repairs = self.repairs();
        let mut keys = repairs.unequal().map(|kept| kept.key.as_str());
        let waits = self.gate.moves_any(&mut keys);
        (!waits).then_some(generation)
    }

    /// What the server is told, with as many repairs as there is room for.
    pub(crate) fn tell(&self, most: (usize, usize)) -> (WriterRoute, Vec<(u64, Kept)>) {
        let drained = self.drained();
        lock(&self.recent).report();
        let mut repairs = self.repairs();
        let untold = repairs.tell(most);
        let now_ms = now_ms();
        let told = WriterRoute {
            route: self.route.clone(),
            generation: self.gate.standing().form.generation,
            drained,
            fenced: self.pair.is_fenced(),
            adopted: lock(&self.adopted).clone(),
            unverified: self.unverified(),
            open_repairs: u64::try_from(repairs.unequal().count()).unwrap_or(u64::MAX),
            repairs: untold
                .iter()
                .map(|(_, kept)| kept.as_repair(now_ms))
                .collect(),
        };
        (told, untold)
    }

    /// The server knows these, and whether this process was current when it told them.
    pub(crate) fn told(&self, known: &[(u64, Kept)], was_current: bool) {
        self.repairs().told(known, Instant::now());
        if was_current {
            lock(&self.recent).confirmed();
        }
    }

    /// Since when there is a repair that the server does not know of, or not as it is now.
    pub(crate) fn untold_since(&self) -> Option<Instant> {
        self.repairs().untold_since()
    }

    /// Does what the server asks for, but for comparing.
    pub(crate) fn obey(&self, order: &WriterOrder) {
        let now = Instant::now();
        let mut repairs = self.repairs();
        for repair in &order.repairs {
            let kept = match repairs.retry(&repair.key, now) {
                Some(kept) => kept,
                None if repairs.len() >= MOST_ENTRIES => break,
                None => {
                    let kept = Kept::from_repair(repair.clone(), now_ms());
                    repairs.adopt(kept.clone(), now);
                    kept
                }
            };
            self.note(|spool| spool.keep(&kept));
        }
        for key in &order.settled {
            repairs.settle(key);
            self.note(|spool| spool.settle(key));
        }
        drop(repairs);
        if order.verified {
            *lock(&self.unverified) = None;
            self.note(|spool| spool.set_unverified(None));
        }
        self.around.mender.ring();
        self.around.attendant.ring();
    }

    /// Takes an order to compare the stores, unless one is under way.
    pub(crate) fn begin_comparing(&self, order: &str) -> bool {
        let mut comparing = lock(&self.comparing);
        let is_free = comparing.is_none();
        comparing.get_or_insert_with(|| order.to_owned());
        is_free
    }

    pub(crate) fn end_comparing(&self) {
        *lock(&self.comparing) = None;
    }

    pub(crate) fn unverified(&self) -> Option<Unverified> {
        *lock(&self.unverified)
    }

    /// The repairs that are open, or wait for a person.
    pub(crate) fn unequal(&self) -> Vec<Repair> {
        let now_ms = now_ms();
        let repairs = self.repairs();
        let unequal = repairs.unequal();
        unequal.map(|kept| kept.as_repair(now_ms)).collect()
    }

    pub(crate) fn repairs_count(&self) -> usize {
        self.repairs().unequal().count()
    }

    fn note<T>(&self, what: impl FnOnce(&mut Spool) -> Result<T, SpoolError>) -> Option<T> {
        let noted = lock(&self.spool).as_mut().map(what)?;
        noted.map_err(|error| self.doubt(&error)).ok()
    }

    /// From now on nobody knows whether all that was written is copied or has a repair.
    fn doubt(&self, error: &SpoolError) {
        let why = error.as_unverified();
        let mut unverified = lock(&self.unverified);
        if unverified.is_none() {
            *unverified = Some(why);
            drop(unverified);
            tracing::warn!(
                route = self.slot.key(),
                "{error}: repairs may be missing until a backfill and a consistency run are complete"
            );
            // If that fails too, the server is told nevertheless.
            if let Some(spool) = lock(&self.spool).as_mut() {
                let _ = spool.set_unverified(Some(why));
            }
            self.around.attendant.ring();
        }
    }

    fn repairs(&self) -> MutexGuard<'_, Repairs> {
        lock(&self.repairs)
    }
}

/// What a thread that panicked has left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
