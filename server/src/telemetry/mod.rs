//! What running callers report. [`TelemetryStore`] is the only face: rows and SQL never leave this
//! module.
//!
//! It is kept apart from the record of what people decided, on SQLite in a file of its own and on
//! PostgreSQL in a schema of its own, and shares no transaction with it: reports can be lost without
//! anything else being lost, and however many arrive, no promotion waits behind them.
//!
//! Whoever writes takes the head first, so that all nodes write one after the other.

mod board;
mod guards;
mod head;
mod ingest;
mod instances;
mod processes;
mod reports;
mod sequences;
mod take;
mod text;
mod usage;
mod windows;

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

pub use board::Place;
pub use guards::GuardedRollout;
pub use ingest::{Ingest, NotTaken, Writer};
pub use processes::Which;
pub use take::{Arrived, Outcome};
pub use windows::Length;

use crate::metrics::Timings;
use crate::store::dialect::{AnyConnection, Purpose};
use crate::store::{Connections, Database, StoreError};

/// Where reports are kept. It is opened when it is first used.
pub struct TelemetryStore {
    database: Database,
    connections: OnceLock<Connections>,
    opening: Mutex<()>,
    timings: Timings,
}

impl TelemetryStore {
    /// The one that belongs to a database. Nothing is opened or made yet.
    #[must_use]
    pub fn beside(database: &Database) -> TelemetryStore {
        TelemetryStore {
            database: database.clone(),
            connections: OnceLock::new(),
            opening: Mutex::new(()),
            timings: Timings::default(),
        }
    }

    /// How long its transactions take.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Opens it and runs the pending migrations, unless that is done.
    ///
    /// # Errors
    /// When it cannot be opened or migrated; the next use tries again.
    pub fn open(&self) -> Result<(), StoreError> {
        self.connections().map(drop)
    }

    /// Reads one state of everything.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.read(|| {
            self.connections()?
                .read(|connection| work(&mut Tx { connection }))
        })
    }

    /// Reads as [`TelemetryStore::read`] does, for what must not wait behind those who only look:
    /// what guards know.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used.
    pub fn read_first<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.read(|| {
            self.connections()?
                .read_first(|connection| work(&mut Tx { connection }))
        })
    }

    /// Changes everything that the closure changes, or nothing. Writers of all nodes come one after
    /// the other.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used: then nothing has changed.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.write(|| {
            self.connections()?.write(|connection| {
                let mut tx = Tx { connection };
                tx.take_head()?;
                work(&mut tx)
            })
        })
    }

    fn connections(&self) -> Result<&Connections, StoreError> {
        if let Some(open) = self.connections.get() {
            return Ok(open);
        }
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.connections.get() {
            return Ok(open);
        }
        let made = Connections::open(&self.database, Purpose::Telemetry, 2, 4)?;
        made.migrate()?;
        Ok(self.connections.get_or_init(|| made))
    }
}

impl fmt::Debug for TelemetryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryStore")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// A transaction. Its methods stand with what they are about.
pub struct Tx<'a> {
    connection: &'a mut AnyConnection,
}
