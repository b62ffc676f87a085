//! Everything that differs between SQLite and PostgreSQL.

mod as_kept;
mod locks;
mod many;
mod sqlite_file;

use std::fmt;
use std::path::{Path, PathBuf};

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use diesel::prelude::*;
use diesel::r2d2::ManageConnection;
use diesel::result::{ConnectionError, DatabaseErrorKind, Error as DieselError};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use crate::store::StoreError;
use crate::store::audit::AuditRow;
use crate::store::history::StageEntryRow;
use crate::store::releases::ReleaseStageRow;
use crate::store::rows::RolloutRow;
use crate::store::schema::{audit, release_stages, rollouts, stage_history};

pub(super) use as_kept::{checkpoints, entries_from, head, written};
pub(super) use locks::{Candidate, lock_rollouts_under};
pub(crate) use many::{Cell, load_by_key, put};
pub use sqlite_file::Alone;
pub(super) use sqlite_file::{check, hold_alone};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/postgres");
const SQLITE_TELEMETRY: EmbeddedMigrations = embed_migrations!("../migrations/telemetry/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES_TELEMETRY: EmbeddedMigrations =
    embed_migrations!("../migrations/telemetry/postgres");

/// The file with telemetry, beside the one with the record.
const TELEMETRY_FILE: &str = "telemetry.db";
/// PostgreSQL's schema with telemetry: its tables and their migrations meet none of the record's.
#[cfg(feature = "postgres")]
const TELEMETRY_SCHEMA: &str = "switchover_telemetry";

/// PostgreSQL's channel on which a node tells the others that something has changed.
#[cfg(feature = "postgres")]
pub(super) const CHANNEL: &str = "switchover";

/// A connection to either engine.
#[derive(diesel::MultiConnection)]
pub(crate) enum AnyConnection {
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of its own.
    Sqlite(PathBuf),
    /// A PostgreSQL address, which may hold a password.
    Postgres(String),
}

impl Database {
    /// Reads `sqlite://PATH` or `postgres://…`.
    ///
    /// # Errors
    /// When it is neither; the text says what is legal, and never repeats the address.
    pub fn parse(url: &str) -> Result<Database, String> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() {
                return Err(
                    "sqlite:// needs a path, such as sqlite:///var/lib/switchover.db".into(),
                );
            }
            return Ok(Database::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            if cfg!(feature = "postgres") {
                return Ok(Database::Postgres(url.to_owned()));
            }
            return Err(
                "this build has no PostgreSQL: build it with the feature `postgres`".into(),
            );
        }
        Err("a database is sqlite://PATH or postgres://USER@HOST/NAME".into())
    }

    /// Whether several nodes may share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Database::Postgres(_))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Database {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Database::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or(rest);
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "postgres://{host}")
            }
        }
    }
}

/// What a connection is for. Each has tables, migrations and settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What people decided.
    Record,
    /// What callers reported.
    Telemetry,
}

/// Makes connections for the pool.
pub(super) struct Manager(pub(super) Database, pub(super) Purpose);

impl ManageConnection for Manager {
    type Connection = AnyConnection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<AnyConnection, ConnectionError> {
        connect(&self.0, self.1)
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), ConnectionError> {
        diesel::sql_query("SELECT 1")
            .execute(connection)
            .map(|_| ())
            .map_err(ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        std::thread::panicking()
            || match connection {
                AnyConnection::Sqlite(sqlite) => in_transaction(sqlite),
                #[cfg(feature = "postgres")]
                AnyConnection::Postgres(postgres) => in_transaction(postgres),
            }
    }
}

/// Whether a transaction was left open, or its state is not known.
fn in_transaction<C>(connection: &mut C) -> bool
where
    C: diesel::Connection<TransactionManager = AnsiTransactionManager>,
{
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    !matches!(status.transaction_depth(), Ok(None))
}

/// Opens one connection. Chosen by the address: the derive's own way tries one engine after the
/// other, and SQLite takes any text for a path.
pub(super) fn connect(
    database: &Database,
    purpose: Purpose,
) -> Result<AnyConnection, ConnectionError> {
    match database {
        Database::Sqlite(path) => {
            // FULL: an acknowledged commit survives a power loss, for some 3 ms a commit. NORMAL: it
            // survives the end of the process.
            let (path, synchronous) = match purpose {
                Purpose::Record => (path.clone(), "FULL"),
                Purpose::Telemetry => (path.with_file_name(TELEMETRY_FILE), "NORMAL"),
            };
            sqlite_file::make_private(&path);
            let mut sqlite = SqliteConnection::establish(&path.to_string_lossy())?;
            sqlite
                .batch_execute(&format!(
                    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                     PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; \
                     PRAGMA mmap_size = 0;"
                ))
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(AnyConnection::Sqlite(sqlite))
        }
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => {
            let mut postgres = PgConnection::establish(&impatient(url))?;
            // A default of `off`, of the cluster or of the role, would lose acknowledged commits in a
            // crash. What somebody chose between the others is about their standbys, and stays.
            postgres
                .batch_execute(
                    "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
                     SET idle_in_transaction_session_timeout = '10s'; SET TIME ZONE 'UTC'; \
                     SELECT set_config('synchronous_commit', 'on', false) \
                     WHERE current_setting('synchronous_commit') = 'off';",
                )
                .and_then(|()| match purpose {
                    Purpose::Record => Ok(()),
                    Purpose::Telemetry => {
                        postgres.batch_execute(&format!("SET search_path TO {TELEMETRY_SCHEMA}"))
                    }
                })
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(AnyConnection::Postgres(postgres))
        }
        #[cfg(not(feature = "postgres"))]
        Database::Postgres(_) => Err(ConnectionError::BadConnection(
            "this build has no PostgreSQL".to_owned(),
        )),
    }
}

/// The address with deadlines, unless it has its own: a partition answers nothing at all, and would
/// be waited for as long as the operating system pleases.
#[cfg(feature = "postgres")]
fn impatient(url: &str) -> String {
    let mut url = url.to_owned();
    for (option, value) in [("connect_timeout", "3"), ("tcp_user_timeout", "5000")] {
        if !url.contains(option) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{separator}{option}={value}"));
        }
    }
    url
}

/// How a transaction is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Sees one state of everything, and writes nothing.
    Read,
    /// Writes. On SQLite it takes the write lock at once, as a later upgrade may fail.
    Write,
}

pub(super) fn begin(connection: &mut AnyConnection, intent: Intent) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(
            sqlite,
            match intent {
                Intent::Read => "BEGIN",
                Intent::Write => "BEGIN IMMEDIATE",
            },
        ),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => AnsiTransactionManager::begin_transaction_sql(
            postgres,
            match intent {
                Intent::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                Intent::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            },
        ),
    }
}

pub(super) fn commit(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(sqlite) => {
            AnsiTransactionManager::commit_transaction(sqlite).map_err(sort)
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => AnsiTransactionManager::commit_transaction(postgres)
            .map_err(|error| match sort(error) {
                // The server may have committed before its answer was lost.
                StoreError::Unavailable(why) => StoreError::OutcomeUnknown(why),
                other => other,
            }),
    }
}

pub(super) fn rollback(connection: &mut AnyConnection) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(sqlite) => AnsiTransactionManager::rollback_transaction(sqlite),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => AnsiTransactionManager::rollback_transaction(postgres),
    }
}

/// Tells the other nodes, at commit, that something has changed. A hint: they look for themselves.
pub(super) fn notify(connection: &mut AnyConnection) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => diesel::sql_query(format!("NOTIFY {CHANNEL}"))
            .execute(postgres)
            .map(|_| ()),
    }
}

/// Waits for another node's hint on a connection of its own.
#[cfg(feature = "postgres")]
pub(super) struct Listener(PgConnection);

#[cfg(feature = "postgres")]
impl Listener {
    pub(super) fn open(database: &Database) -> Result<Option<Listener>, StoreError> {
        match connect(database, Purpose::Record)? {
            AnyConnection::Sqlite(_) => Ok(None),
            AnyConnection::Postgres(mut postgres) => {
                diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut postgres)?;
                Ok(Some(Listener(postgres)))
            }
        }
    }

    /// Whether a hint has arrived since the last look. Does not wait.
    pub(super) fn heard(&mut self) -> Result<bool, StoreError> {
        let mut heard = false;
        for notification in self.0.notifications_iter() {
            notification?;
            heard = true;
        }
        Ok(heard)
    }
}

/// Runs the pending migrations, one node at a time; gives their names.
pub(super) fn migrate(
    connection: &mut AnyConnection,
    purpose: Purpose,
) -> Result<Vec<String>, StoreError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Unavailable(format!("run the migrations: {error}"))
    };
    let names = |versions: Vec<diesel::migration::MigrationVersion<'_>>| {
        versions.iter().map(ToString::to_string).collect()
    };
    match connection {
        AnyConnection::Sqlite(sqlite) => sqlite
            .run_pending_migrations(match purpose {
                Purpose::Record => SQLITE_MIGRATIONS,
                Purpose::Telemetry => SQLITE_TELEMETRY,
            })
            .map(names)
            .map_err(failed),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => {
            // Nodes that start together wait for the first; the number is this product's own.
            diesel::sql_query("SET statement_timeout = 0; ").execute(postgres)?;
            diesel::sql_query("SET lock_timeout = '60s'").execute(postgres)?;
            diesel::sql_query("SELECT pg_advisory_lock(7070707)").execute(postgres)?;
            let ran = match purpose {
                Purpose::Record => postgres.run_pending_migrations(POSTGRES_MIGRATIONS),
                Purpose::Telemetry => make_schema(postgres)
                    .map_err(Into::into)
                    .and_then(|()| postgres.run_pending_migrations(POSTGRES_TELEMETRY)),
            };
            let ran = ran.map(names).map_err(failed);
            diesel::sql_query("SELECT pg_advisory_unlock(7070707)").execute(postgres)?;
            diesel::sql_query("SET statement_timeout = '5s'").execute(postgres)?;
            diesel::sql_query("SET lock_timeout = '2s'").execute(postgres)?;
            ran
        }
    }
}

/// Makes the schema unless it is there: to ask for what is there takes a right of its own, which an
/// operator need not give who has made it.
#[cfg(feature = "postgres")]
fn make_schema(postgres: &mut PgConnection) -> QueryResult<()> {
    postgres.batch_execute(&format!(
        "DO $$ BEGIN IF to_regnamespace('{TELEMETRY_SCHEMA}') IS NULL THEN \
         CREATE SCHEMA {TELEMETRY_SCHEMA}; END IF; END $$"
    ))
}

/// Copies a SQLite database, in use or not, into a new file.
pub(super) fn copy_sqlite(connection: &mut AnyConnection, to: &Path) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(sqlite) => {
            diesel::sql_query("VACUUM INTO ?")
                .bind::<diesel::sql_types::Text, _>(to.to_string_lossy().into_owned())
                .execute(sqlite)?;
            Ok(())
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => Err(StoreError::Unavailable(
            "copy a PostgreSQL database this way: use pg_dump (docs/operating.md)".to_owned(),
        )),
    }
}

/// Rows of one statement: far below the bound parameters that either engine takes.
const BATCH: usize = 500;

/// Inserts of many rows in few statements, which only the engine's own connection can.
macro_rules! in_batches {
    ($($name:ident: $row:ty => $table:ident),* $(,)?) => {$(
        pub(super) fn $name(connection: &mut AnyConnection, rows: &[$row]) -> QueryResult<()> {
            for batch in rows.chunks(BATCH) {
                let insert = diesel::insert_into($table::table).values(batch);
                match connection {
                    AnyConnection::Sqlite(sqlite) => insert.execute(sqlite)?,
                    #[cfg(feature = "postgres")]
                    AnyConnection::Postgres(postgres) => insert.execute(postgres)?,
                };
            }
            Ok(())
        }
    )*};
}

in_batches! {
    insert_audit: AuditRow => audit,
    insert_rollouts: RolloutRow => rollouts,
    insert_release_stages: ReleaseStageRow => release_stages,
    insert_stage_entries: StageEntryRow => stage_history,
}

/// Adds one to a number in `meta`: the rows changed. One statement, because two that read, add and
/// write could both write the same number; and the row stays locked until the commit.
pub(super) fn count_up(connection: &mut AnyConnection, name: &str) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = $1",
    )
    .bind::<diesel::sql_types::Text, _>(name.to_owned())
    .execute(connection)
}

/// Revokes a token unless it is: the rows added. One statement, because of two that look and then
/// insert one would fail; this one waits for the other, and adds nothing.
pub(super) fn add_revoked_token(
    connection: &mut AnyConnection,
    jti: &str,
    by: &str,
    reason: &str,
    at: chrono::NaiveDateTime,
) -> QueryResult<usize> {
    use diesel::sql_types::{Text, Timestamp};
    diesel::sql_query(
        "INSERT INTO revoked_tokens (jti, revoked_by, reason, revoked_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(jti.to_owned())
    .bind::<Text, _>(by.to_owned())
    .bind::<Text, _>(reason.to_owned())
    .bind::<Timestamp, _>(at)
    .execute(connection)
}

/// Sorts an engine's errors into ours.
pub(super) fn sort(error: DieselError) -> StoreError {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => StoreError::Duplicate,
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => StoreError::Busy,
        DieselError::DatabaseError(_, information) => {
            let text = information.message();
            let busy = ["database is locked", "lock timeout", "deadlock detected"];
            if busy.iter().any(|busy| text.contains(busy)) {
                StoreError::Busy
            } else {
                StoreError::Unavailable(text.to_owned())
            }
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Text;

    use super::*;

    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        value: String,
    }

    /// A process that is killed cannot show what a power loss would take: the setting can.
    #[test]
    fn an_acknowledged_commit_is_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(directory.path().join("test.db"));
        for (purpose, synchronous) in [(Purpose::Record, "2"), (Purpose::Telemetry, "1")] {
            let mut connection = connect(&database, purpose).unwrap();
            for (pragma, value) in [
                ("synchronous", synchronous),
                ("journal_mode", "wal"),
                ("foreign_keys", "1"),
            ] {
                let query = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
                let setting: Setting = diesel::sql_query(query)
                    .get_result(&mut connection)
                    .unwrap();
                assert_eq!(setting.value, value, "{pragma}");
            }
        }
    }
}
