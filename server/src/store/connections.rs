//! Connections to one database, and the transactions on them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diesel::r2d2::{Pool, PooledConnection};

use crate::store::dialect::{self, AnyConnection, Intent, Manager, Purpose};
use crate::store::{Database, StoreError};

/// Connections to one database for one purpose.
pub(crate) struct Connections {
    database: Database,
    purpose: Purpose,
    pool: Pool<Manager>,
    /// For writes, and for reads that others wait for: however many read, these are free.
    reserve: Pool<Manager>,
    /// SQLite has one writer at a time; those of one process queue here rather than poll its lock.
    writer: Mutex<()>,
}

impl Connections {
    /// Opens a database as it is, with at most so many connections.
    pub(crate) fn open(
        database: &Database,
        purpose: Purpose,
        readers: u32,
        reserved: u32,
    ) -> Result<Connections, StoreError> {
        // The pool would try for seconds, and log each try, what an address or a path makes
        // impossible.
        drop(dialect::connect(database, purpose)?);
        Ok(Connections {
            pool: pool(database, purpose, readers)?,
            reserve: pool(database, purpose, reserved)?,
            database: database.clone(),
            purpose,
            writer: Mutex::new(()),
        })
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Runs the pending migrations; gives their names.
    pub(crate) fn migrate(&self) -> Result<Vec<String>, StoreError> {
        dialect::migrate(&mut *self.one()?, self.purpose)
    }

    /// A connection without a transaction.
    pub(super) fn one(&self) -> Result<PooledConnection<Manager>, StoreError> {
        Ok(self.pool.get()?)
    }

    /// Reads one state of everything.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        transaction(&self.pool, Intent::Read, work)
    }

    /// Reads one state of everything, past those who only look.
    pub(crate) fn read_first<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        transaction(&self.reserve, Intent::Read, work)
    }

    /// Changes everything that the closure changes, or nothing.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let alone = (!self.database.is_shared())
            .then(|| self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        let done = transaction(&self.reserve, Intent::Write, work);
        drop(alone);
        done
    }
}

fn transaction<T, E: From<StoreError>>(
    pool: &Pool<Manager>,
    intent: Intent,
    work: impl FnOnce(&mut AnyConnection) -> Result<T, E>,
) -> Result<T, E> {
    let mut connection = pool.get().map_err(StoreError::from)?;
    dialect::begin(&mut connection, intent).map_err(StoreError::from)?;
    match work(&mut connection) {
        Ok(done) => {
            dialect::commit(&mut connection)?;
            Ok(done)
        }
        Err(refused) => {
            // A rollback that fails leaves a broken connection, which the pool throws away; why it
            // broke is what the caller is told.
            if let Err(error) = dialect::rollback(&mut connection) {
                tracing::debug!(%error, "a transaction could not be rolled back");
            }
            Err(refused)
        }
    }
}

fn pool(
    database: &Database,
    purpose: Purpose,
    connections: u32,
) -> Result<Pool<Manager>, StoreError> {
    Ok(Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(3))
        .error_handler(Box::new(LogPoolErrors))
        .build(Manager(database.clone(), purpose))?)
}

#[derive(Debug)]
struct LogPoolErrors;

impl<E: std::error::Error> diesel::r2d2::HandleError<E> for LogPoolErrors {
    fn handle_error(&self, error: E) {
        tracing::warn!(%error, "a database connection could not be made");
    }
}
