//! A write or a copy that is under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::decide::Path;
use crate::gate::{Begun, Place};
use crate::keeper::Keeper;
use crate::store::{Copied, CopyError};

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

impl Lease {
    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub(crate) fn new(keeper: &Arc<Keeper>, key: &Arc<str>, begun: Begun) -> Lease {
        Lease {
            keeper: Arc::clone(keeper),
            key: Arc::clone(key),
            place: begun.place,
            generation: begun.generation,
            begun: Some(begun),
        }
    }

    /// The authority of the key when this began.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The side that a copy writes.
    pub(crate) fn other(&self) -> Path {
        self.place.path.other()
    }

    /// What closures and stores are told.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A copy on behalf of this write, counted by itself.
    pub(crate) fn branch(&self) -> Option<Lease> {
        let begun = self.keeper.gate().branch(self.begun.as_ref()?);
        Some(Lease::new(&self.keeper, &self.key, begun))
    }

    /// Copies the row from the authority as it was when this began to the other store. A store that
    /// panics has failed.
    pub(crate) fn copy(&self) -> Result<Copied, Option<CopyError>> {
        let copy = || {
            self.keeper
                .pair()
                .copy(&self.key, self.place.path, self.generation)
        };
        let copied = catch_unwind(AssertUnwindSafe(copy));
        copied.map_err(|_| None)?.map_err(Some)
    }

    /// Whether the key has another authority by now: then nobody has waited for this.
    pub(crate) fn has_moved(&self) -> bool {
        let begun = self.begun.as_ref();
        begun.is_some_and(|begun| self.keeper.gate().has_moved(&self.key, begun))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.keeper.end(begun);
        }
    }
}
