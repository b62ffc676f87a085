//! Keeps the two stores of a data route equal, in one process.

mod mending;
mod telling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::authority::Shift;
use crate::bell::Bell;
use crate::contact::Contact;
use crate::decide::Path;
use crate::gate::{Begun, Gate};
use crate::lease::Lease;
use crate::recent::Recent;
use crate::repairs::Repairs;
use crate::rollout::RouteKey;
use crate::slot::Slot;
use crate::spool::form::Intent;
use crate::spool::{LeftOver, Spool, SpoolError};
use crate::state::State;
use crate::store::Pair;
use crate::writers::Unverified;

/// How long a store's fence is left alone that could not be raised.
const RAISE_AGAIN: Duration = Duration::from_millis(250);

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
    /// Whether the fence of the old store, and that of the new one, is being raised.
    is_raising: [AtomicBool; 2],
    /// Whether the server has answered a report that names this route: before, no flip waits for it.
    is_known: AtomicBool,
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
            gate: Gate::new(slot.key(), state, pair.is_fenced()),
            slot,
            route,
            pair,
            repairs: Mutex::new(repairs),
            spool: Mutex::new(opened.spool),
            unverified: Mutex::new(opened.left_over.unverified),
            adopted: Mutex::new(opened.left_over.instances),
            is_raising: Default::default(),
            is_known: AtomicBool::new(false),
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
        let is_known = !self.around.has_server || self.is_known.load(Ordering::Relaxed);
        is_known && self.around.contact.is_there()
    }

    pub(crate) fn wait_for_contact(&self, timeout: Duration) -> bool {
        self.around.contact.wait(timeout)
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

    /// Whether a store's fence is as high as it may be.
    fn has_raised(&self, side: Path) -> bool {
        let standing = self.gate.standing();
        !self.pair.is_fenced() || standing.raised.of(side) >= standing.moved
    }

    /// Raises the stores' fences where that is to be done and nobody does it, so that whoever decides by an older
    /// generation is refused. Each on a thread of its own: a store that hangs must not keep the other one open,
    /// and writes wait for it.
    pub(crate) fn raise_fences(self: &Arc<Self>) {
        let [old, new] = &self.is_raising;
        for (side, is_raising) in [(Path::Old, old), (Path::New, new)] {
            if self.has_raised(side) || is_raising.swap(true, Ordering::Relaxed) {
                continue;
            }
            let raising = Raising {
                keeper: Arc::clone(self),
                side,
            };
            // Without a thread it is tried again a moment later.
            let _ = thread::Builder::new()
                .name("switchover-fence".to_owned())
                .spawn(move || raising.run());
        }
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
            self.around.attendant.ring();
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

    /// Forgets an intent.
    pub(crate) fn clear(&self, intent: Option<u64>) {
        if let Some(id) = intent {
            self.note(|spool| spool.clear(id));
        }
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

/// The right to raise a store's fence.
struct Raising {
    keeper: Arc<Keeper>,
    side: Path,
}

impl Raising {
    fn run(self) {
        let keeper = &self.keeper;
        let generation = keeper.gate.standing().moved;
        let raise = || keeper.pair.raise(self.side, generation);
        match catch_unwind(AssertUnwindSafe(raise)) {
            Ok(Ok(())) => keeper.gate.raised(self.side, generation),
            // Not at once again.
            Ok(Err(_)) | Err(_) => thread::sleep(RAISE_AGAIN),
        }
    }
}

impl Drop for Raising {
    fn drop(&mut self) {
        let [old, new] = &self.keeper.is_raising;
        let is_raising = match self.side {
            Path::Old => old,
            Path::New => new,
        };
        is_raising.store(false, Ordering::Relaxed);
        // It has failed, or keys have moved again; and a flip may wait for it.
        self.keeper.around.mender.ring();
        self.keeper.around.attendant.ring();
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
