//! A connection to SQLite or PostgreSQL, and a few of them to share.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use switchover::StoreError;

/// To either engine.
#[derive(diesel::MultiConnection)]
pub(crate) enum AnyConnection {
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// A database, and connections to it that nobody uses at the moment.
pub(crate) struct Database {
    url: String,
    idle: Mutex<Vec<AnyConnection>>,
}

impl Database {
    /// By its address: `sqlite://PATH`, or `postgres://…`.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) fn open(url: &str) -> Result<Database, StoreError> {
        let database = Database {
            url: url.to_owned(),
            idle: Mutex::default(),
        };
        let first = database.connect()?;
        database.idle().push(first);
        Ok(database)
    }

    /// A file of SQLite in a directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn in_directory(directory: &Path, name: &str) -> Result<Database, StoreError> {
        Database::open(&format!("sqlite://{}", directory.join(name).display()))
    }

    /// Whether rows are locked one by one, and not the whole database.
    #[must_use]
    pub(crate) fn has_row_locks(&self) -> bool {
        !self.url.starts_with("sqlite://")
    }

    /// Does something with a connection.
    ///
    /// # Errors
    /// Those of what is done, and when there is no connection.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let done = work(&mut connection);
        // One that failed may be in any state.
        if done.is_ok() {
            self.idle().push(connection);
        }
        done
    }

    /// Does something in one transaction.
    ///
    /// # Errors
    /// Those of what is done; then nothing of it has happened.
    pub(crate) fn in_transaction<T>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|connection| {
            // SQLite has one writer at a time: whoever reads first and writes later may come too late.
            connection.batch_execute(match self.has_row_locks() {
                true => "BEGIN",
                false => "BEGIN IMMEDIATE",
            })?;
            match work(connection) {
                Ok(done) => {
                    connection.batch_execute("COMMIT")?;
                    Ok(done)
                }
                Err(error) => {
                    // The connection is given up in any case, and the transaction with it.
                    let _ = connection.batch_execute("ROLLBACK");
                    Err(error)
                }
            }
        })
    }

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        if let Some(path) = self.url.strip_prefix("sqlite://") {
            let mut sqlite = SqliteConnection::establish(path)?;
            // The example may end with the machine; its server, which keeps what people decided, syncs.
            sqlite.batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;",
            )?;
            return Ok(AnyConnection::Sqlite(sqlite));
        }
        #[cfg(feature = "postgres")]
        if self.url.starts_with("postgres") {
            let mut postgres = PgConnection::establish(&self.url)?;
            postgres.batch_execute("SET statement_timeout = '5s'; SET lock_timeout = '2s';")?;
            return Ok(AnyConnection::Postgres(postgres));
        }
        Err("a database is sqlite://PATH or postgres://USER@HOST/NAME".into())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<AnyConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
