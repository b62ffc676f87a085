//! What goes wrong with the new store when it is asked to.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use switchover::StoreError;

use crate::gear::Gear;

/// How slow a slow store is.
const SLOW: Duration = Duration::from_millis(700);

/// A fault to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Fault {
    /// The new store refuses everything for a while, during double writing
    NewStoreDown,
    /// The new read path shows a wrong category, during the ramp
    MappingBug,
    /// The new system takes 0.7 s for each request of the application, during the ramp
    SlowNewStore,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fault::NewStoreDown => "new-store-down",
            Fault::MappingBug => "mapping-bug",
            Fault::SlowNewStore => "slow-new-store",
        })
    }
}

/// What is wrong with a store at the moment.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    is_down: AtomicBool,
    is_slow: AtomicBool,
    has_mapping_bug: AtomicBool,
}

impl Faults {
    /// Begins or ends a fault.
    pub(crate) fn set(&self, fault: Fault, is_on: bool) {
        let flag = match fault {
            Fault::NewStoreDown => &self.is_down,
            Fault::MappingBug => &self.has_mapping_bug,
            Fault::SlowNewStore => &self.is_slow,
        };
        flag.store(is_on, Ordering::Relaxed);
    }

    /// What a request to the store meets.
    ///
    /// # Errors
    /// While the store is down.
    pub(crate) fn strike(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err("the store is down".into());
        }
        Ok(())
    }

    /// What an application meets: the service before the store is slow, not the store itself.
    pub(crate) fn slow_down(&self) {
        if self.is_slow.load(Ordering::Relaxed) {
            thread::sleep(SLOW);
        }
    }

    /// What the read path makes of a piece.
    #[must_use]
    pub(crate) fn shown(&self, gear: Option<Gear>) -> Option<Gear> {
        if !self.has_mapping_bug.load(Ordering::Relaxed) {
            return gear;
        }
        gear.map(|gear| Gear {
            kind: Some("uncategorised".to_owned()),
            ..gear
        })
    }
}
