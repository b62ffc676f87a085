//! Keeps the two stores of a data route equal, in one process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::decide::Path;
use crate::gate::{Begun, Gate, Place};
use crate::slot::Slot;
use crate::state::State;
use crate::store::{Copied, CopyError, Pair};

pub(crate) struct Keeper {
    slot: Arc<Slot>,
    pair: Arc<dyn Pair>,
    gate: Gate,
}

/// A write or a copy that has begun. Ends, also when it is dropped, and until then keeps flips that
/// were announced after it waiting.
#[must_use = "what has begun is to be ended"]
pub(crate) struct Lease {
    keeper: Arc<Keeper>,
    key: Arc<str>,
    place: Place,
    generation: u64,
    /// `None` once it has ended.
    begun: Option<Begun>,
}

impl Keeper {
    pub(crate) fn new(slot: Arc<Slot>, pair: Arc<dyn Pair>, state: Arc<State>) -> Keeper {
        Keeper {
            gate: Gate::new(slot.key(), state),
            slot,
            pair,
        }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    pub(crate) fn pair(&self) -> &dyn Pair {
        &*self.pair
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Decides by this state from now on.
    pub(crate) fn apply(&self, state: &Arc<State>) {
        self.gate.apply(state);
    }

    /// Begins a write or a copy; `None` where the key has been about to move for all this time.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: &Arc<str>,
        forced: Option<Path>,
        patience: Duration,
    ) -> Option<Lease> {
        let begun = self.gate.begin(key, forced, patience)?;
        Some(self.lease(key, begun))
    }

    pub(crate) fn lease(self: &Arc<Self>, key: &Arc<str>, begun: Begun) -> Lease {
        Lease {
            keeper: Arc::clone(self),
            key: Arc::clone(key),
            place: begun.place,
            generation: begun.generation,
            begun: Some(begun),
        }
    }
}

impl Lease {
    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The authority of the key when this began.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// What closures and stores are told.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A copy on behalf of this write, counted by itself.
    pub(crate) fn branch(&self) -> Option<Lease> {
        let begun = self.keeper.gate.branch(self.begun.as_ref()?);
        Some(self.keeper.lease(&self.key, begun))
    }

    /// Copies the row from the authority as it was when this began to the other store. A store that
    /// panics has failed.
    pub(crate) fn copy(&self) -> Result<Copied, Option<CopyError>> {
        let copy = || {
            self.keeper
                .pair
                .copy(&self.key, self.place.path, self.generation)
        };
        let copied = catch_unwind(AssertUnwindSafe(copy));
        copied.map_err(|_| None)?.map_err(Some)
    }

    /// Whether the key has another authority by now: then nobody has waited for this.
    pub(crate) fn has_moved(&self) -> bool {
        let begun = self.begun.as_ref();
        begun.is_some_and(|begun| self.keeper.gate.has_moved(&self.key, begun))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.keeper.gate.end(begun);
        }
    }
}

/// The data routes of one process.
#[derive(Default)]
pub(crate) struct DataRoutes {
    routes: RwLock<Vec<Arc<Keeper>>>,
}

impl DataRoutes {
    pub(crate) fn find(&self, route: &str) -> Option<Arc<Keeper>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let found = routes.iter().find(|keeper| keeper.slot.key() == route);
        found.cloned()
    }

    /// The route's, begun by this state if need be. Only under the engine's writer lock.
    pub(crate) fn find_or_add(
        &self,
        slot: &Arc<Slot>,
        pair: &Arc<dyn Pair>,
        state: Arc<State>,
    ) -> Arc<Keeper> {
        if let Some(keeper) = self.find(slot.key()) {
            return keeper;
        }
        let keeper = Arc::new(Keeper::new(Arc::clone(slot), Arc::clone(pair), state));
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.push(Arc::clone(&keeper));
        keeper
    }

    /// Has all decide by this state from now on.
    pub(crate) fn apply(&self, state: &Arc<State>) {
        for keeper in self.all() {
            keeper.apply(state);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Keeper>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.clone()
    }
}

impl std::fmt::Debug for DataRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let routes = self.all();
        f.debug_list()
            .entries(routes.iter().map(|keeper| keeper.slot.key()))
            .finish()
    }
}
