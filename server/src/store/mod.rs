//! What is on record. [`Store`] is the only face: rows and SQL never leave this module.
//!
//! Every change is one transaction that locks in one order: rollouts (by route, then environment),
//! environments (by key, which stays, and not by position), records of stores (by environment, then
//! route), the count of changed keys and tokens, audit head. So no two changes wait for each other in a circle, and the order of commits is the
//! order of revisions.

mod approvals;
mod audit;
mod backfills;
mod board;
mod censuses;
mod checkpoints;
mod cohorts;
mod connections;
mod consistency;
pub(crate) mod dialect;
mod environments;
mod evidence;
mod externals;
mod freezes;
mod history;
mod idempotency;
mod keys;
mod leader;
mod meta;
mod plans;
mod policies;
mod promotions;
mod published;
mod references;
mod releases;
mod repairs;
mod rollouts;
mod routes;
mod rows;
mod runbooks;
mod schema;
mod stores;
mod webhooks;
mod writers;

use std::fmt;
use std::path::Path;

use diesel::result::{ConnectionError, Error as DieselError};

pub use audit::{AuditFilter, StoredEntry};
pub use board::StageCount;
pub use checkpoints::{KeptCheckpoint, StoredCheckpoint};
pub use dialect::{Alone, Database};
pub use idempotency::{IdempotencyKey, Receipt};
pub use keys::{NewSdkKey, SdkKey};
pub use leader::{Candidate, Duty};
pub use policies::StoredPolicy;
pub use promotions::NewPromotion;
pub use published::PublishedChanges;
pub use routes::{RouteFilter, RouteOrder};
pub use webhooks::{DeliveryFilter, DueDelivery, KeptWebhook, Sealed};
pub use writers::WriterKey;

pub(crate) use connections::Connections;

use crate::metrics::Timings;
use dialect::{AnyConnection, Purpose};

/// Why the store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// Others are at it; trying again helps.
    Busy,
    /// The database cannot be reached or used: what was attempted, and why not.
    Unavailable(String),
    /// The database was lost at the commit: the change may have been made or not.
    OutcomeUnknown(String),
    /// Something with this identity exists already.
    Duplicate,
    /// The record is not at the revision that the caller expected.
    Stale,
    /// A row says something that cannot be.
    Corrupt(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Busy => f.write_str("the database is busy"),
            StoreError::Unavailable(why) => write!(f, "the database is unavailable: {why}"),
            StoreError::OutcomeUnknown(why) => {
                write!(f, "the database was lost at the commit: {why}")
            }
            StoreError::Duplicate => f.write_str("this identity exists already"),
            StoreError::Stale => f.write_str("the record has changed in the meantime"),
            StoreError::Corrupt(what) => write!(f, "corrupt row: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> StoreError {
        dialect::sort(error)
    }
}

impl From<ConnectionError> for StoreError {
    fn from(error: ConnectionError) -> StoreError {
        StoreError::Unavailable(error.to_string())
    }
}

impl From<diesel::r2d2::PoolError> for StoreError {
    fn from(error: diesel::r2d2::PoolError) -> StoreError {
        StoreError::Unavailable(error.to_string())
    }
}

/// The database of a server.
pub struct Store {
    connections: Connections,
    timings: Timings,
}

impl Store {
    /// Opens a database and runs the pending migrations.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub fn open(database: Database) -> Result<Store, StoreError> {
        let store = Store::connect(database)?;
        store.migrate()?;
        Ok(store)
    }

    /// Opens a database as it is.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn connect(database: Database) -> Result<Store, StoreError> {
        let (readers, reserved) = if database.is_shared() { (8, 4) } else { (4, 2) };
        let connections = Connections::open(&database, Purpose::Record, readers, reserved)?;
        Ok(Store {
            connections,
            timings: Timings::default(),
        })
    }

    /// Which database this is.
    #[must_use]
    pub fn database(&self) -> &Database {
        self.connections.database()
    }

    /// How long its transactions take.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Runs the pending migrations; gives their names.
    ///
    /// # Errors
    /// When one fails; it and those after it have not run.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.connections.migrate()
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
            self.connections
                .read(|connection| work(&mut Tx { connection }))
        })
    }

    /// Reads as [`Store::read`] does, for what must not wait behind those who only look: what is
    /// published, and what is revoked.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used.
    pub fn read_first<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.read(|| {
            self.connections
                .read_first(|connection| work(&mut Tx { connection }))
        })
    }

    /// Changes everything that the closure changes, or nothing.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used: then nothing has changed.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.write(|| {
            self.connections.write(|connection| {
                let mut tx = Tx { connection };
                let done = work(&mut tx)?;
                dialect::notify(tx.connection).map_err(StoreError::from)?;
                Ok(done)
            })
        })
    }

    /// Changes as [`Store::write`] does what no other node has to look at.
    ///
    /// # Errors
    /// Those of the closure, or when the database cannot be used: then nothing has changed.
    pub fn write_quietly<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.timings.write(|| {
            self.connections
                .write(|connection| work(&mut Tx { connection }))
        })
    }

    /// Copies a SQLite database, in use or not, into a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be written, or the engine is another.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        dialect::copy_sqlite(&mut *self.connections.one()?, path)
    }

    /// Checks that a file is a SQLite database of this product, and whole.
    ///
    /// # Errors
    /// When it is not; the text says what it is.
    pub fn check_file(path: &Path) -> Result<(), StoreError> {
        dialect::check(path)
    }

    /// Takes a SQLite database for itself, so that its file can be moved.
    ///
    /// # Errors
    /// `Busy` while somebody uses it; others when it cannot be read.
    pub fn hold_alone(path: &Path) -> Result<Alone, StoreError> {
        dialect::hold_alone(path)
    }

    /// A connection that hears when other nodes have changed something; `None` where there are no
    /// other nodes.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn listen(&self) -> Result<Option<Hints>, StoreError> {
        Hints::open(self.database())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("database", self.database())
            .finish_non_exhaustive()
    }
}

/// A transaction. Its methods stand with what they are about.
pub struct Tx<'a> {
    connection: &'a mut AnyConnection,
}

/// Hints from other nodes that something has changed.
pub struct Hints {
    #[cfg(feature = "postgres")]
    listener: dialect::Listener,
}

impl Hints {
    #[cfg(feature = "postgres")]
    fn open(database: &Database) -> Result<Option<Hints>, StoreError> {
        Ok(dialect::Listener::open(database)?.map(|listener| Hints { listener }))
    }

    #[cfg(not(feature = "postgres"))]
    fn open(_: &Database) -> Result<Option<Hints>, StoreError> {
        Ok(None)
    }

    /// Whether one has arrived since the last look. Does not wait.
    ///
    /// # Errors
    /// When the connection is lost: hints may have been missed.
    pub fn heard(&mut self) -> Result<bool, StoreError> {
        #[cfg(feature = "postgres")]
        return self.listener.heard();
        #[cfg(not(feature = "postgres"))]
        Ok(false)
    }
}
