//! A route whose rows are in two stores.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backfill::Backfill;
use crate::consistency::Consistency;
use crate::doubled::Live;
use crate::keeper::Keeper;
use crate::key::Key;
use crate::read::Read;
use crate::rollout::RouteKey;
use crate::route::Route;
use crate::store::{Both, Pair, Store};
use crate::write::Write;
use crate::writers::{Repair, Unverified};

/// A route with its two stores: what is written by it is copied to the other store, as the route's
/// mirror says. Made by [`Route::stores`]. Cheap to clone.
#[derive(Clone)]
pub struct DataRoute {
    route: Route,
    key: RouteKey,
    pair: Arc<dyn Pair>,
}

/// How a data route stands in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataStatus {
    /// The generation under which writes begin now.
    pub generation: u64,
    /// Whether a flip is under way: writes of the keys that it moves wait.
    pub is_held: bool,
    /// Whether the process knows who the authority is. Where it does not, it writes as it last knew,
    /// and copies once it does. `true` where there is no server.
    pub is_in_contact: bool,
    /// How many writes and copies are under way.
    pub under_way: u64,
    /// How many keys have rows that may differ.
    pub open_repairs: usize,
    /// Why there may be more of them than are known, if so.
    pub unverified: Option<Unverified>,
}

/// Why a route does not get its stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoresError {
    /// No route has such a key.
    InvalidRoute,
    /// It has its stores: register them once, and keep the handle or clones of it.
    Registered,
}

impl fmt::Display for StoresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoresError::InvalidRoute => "no route has such a key",
            StoresError::Registered => "the route has its stores already",
        })
    }
}

impl std::error::Error for StoresError {}

impl Route {
    /// Gives the route its old store and its new one, once per process. From then on this process is
    /// known to write the route: flips of its keys wait for it.
    ///
    /// # Errors
    /// When the route has its stores already, or a key that no route has.
    pub fn stores<O, N>(&self, old: O, new: N) -> Result<DataRoute, StoresError>
    where
        O: Store,
        N: Store<Row = O::Row>,
    {
        let key = self.key().parse();
        let key: RouteKey = key.map_err(|_| StoresError::InvalidRoute)?;
        if !self.slot().take_stores() {
            return Err(StoresError::Registered);
        }
        let both = Both {
            old: Arc::new(old),
            new: Arc::new(new),
        };
        let data = DataRoute {
            route: self.clone(),
            key,
            pair: Arc::new(both),
        };
        data.keeper();
        Ok(data)
    }
}

impl DataRoute {
    /// A read, as [`Route::read`] has it. It follows the present path, also while a flip is under way.
    #[inline]
    #[must_use = "a read does nothing until it is run"]
    pub fn read<K: Key>(&self, key: K) -> Read<'_> {
        self.route.read(key)
    }

    /// A write of one key: give it what writes to the old store, then what writes to the new one, then
    /// run it.
    ///
    /// Ramp and mirror go by the key, so it names what is written: at least one byte and at most
    /// [`LONGEST_KEY`](crate::LONGEST_KEY). Environment variables and the breaker do not apply to it.
    #[must_use = "a write does nothing until it is run"]
    pub fn write<K: Key>(&self, key: K) -> Write<'_> {
        key.with(|key| Write::new(self, key))
    }

    /// Copies what was written before writes were copied: every key of both stores, once. Run it when
    /// the route's mirror writes 100 %.
    pub fn backfill(&self) -> Backfill<'_> {
        Backfill::new(Box::new(self.live()))
    }

    /// Compares both stores.
    pub fn consistency(&self) -> Consistency<'_> {
        Consistency::new(Box::new(self.live()))
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Waits until the process knows who the authority is: a moment after it has begun. What is written
    /// before is copied too, but only once that is known, and then not many in a second. `false` when it
    /// takes longer than the timeout.
    #[must_use]
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        self.keeper().wait_for_contact(timeout)
    }

    /// How it stands in this process.
    #[must_use]
    pub fn status(&self) -> DataStatus {
        let keeper = self.keeper();
        let standing = keeper.gate().standing();
        DataStatus {
            generation: standing.form.generation,
            is_held: standing.form.held,
            is_in_contact: keeper.is_in_contact(),
            under_way: standing.under_way,
            open_repairs: keeper.repairs_count(),
            unverified: keeper.unverified(),
        }
    }

    /// The keys whose rows may differ, as far as this process knows: those that are tried again by
    /// themselves, and those that wait for a person.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repair> {
        self.keeper().unequal()
    }

    pub(crate) fn live(&self) -> Live {
        let engine = Arc::clone(self.route.engine());
        Live::new(self.key.clone(), self.keeper(), engine)
    }

    /// This process's share of it, begun if need be: a forked child has its own.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        let route = (self.route.slot(), &self.key);
        self.route.engine().keeper(route, &self.pair)
    }
}

impl fmt::Debug for DataRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataRoute").field(&self.route.key()).finish()
    }
}
