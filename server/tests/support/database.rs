//! A database of its own for each test, and SQL to look behind the server's back.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover_server::store::{Database, Store};
use tempfile::TempDir;

use super::postgres;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

pub(crate) struct TestDatabase {
    engine: Engine,
    url: String,
    _directory: Option<TempDir>,
}

impl TestDatabase {
    pub(crate) fn new(engine: Engine) -> TestDatabase {
        match engine {
            Engine::Sqlite => {
                // Commits wait for the disk, where there is one.
                let memory = Path::new("/dev/shm");
                let directory = match memory.is_dir() {
                    true => tempfile::tempdir_in(memory).unwrap(),
                    false => tempfile::tempdir().unwrap(),
                };
                TestDatabase {
                    engine,
                    url: format!("sqlite://{}/switchover.db", directory.path().display()),
                    _directory: Some(directory),
                }
            }
            Engine::Postgres => TestDatabase {
                engine,
                url: postgres::new_database(),
                _directory: None,
            },
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(Database::parse(&self.url).unwrap()).unwrap()
    }

    /// Runs statements in one transaction: servers look at any time.
    pub(crate) fn run(&self, sql: &str) {
        self.connect().batch(&format!("BEGIN; {sql}; COMMIT"));
    }

    /// The same of statements that the database may refuse: then it keeps none of them.
    pub(crate) fn try_run(&self, sql: &str) -> QueryResult<()> {
        self.connect().transaction(sql)
    }

    /// One number.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            value: i64,
        }
        let query = diesel::sql_query(format!("SELECT ({sql}) AS value"));
        let rows: Vec<Row> = match self.connect() {
            Sql::Sqlite(mut sqlite) => query.load(&mut sqlite).unwrap(),
            Sql::Postgres(mut postgres) => query.load(&mut postgres).unwrap(),
        };
        rows[0].value
    }

    /// A column of text, which the query calls `value`.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        self.connect().texts(sql)
    }

    /// Runs statements where reports are kept.
    pub(crate) fn run_on_telemetry(&self, sql: &str) {
        self.connect_telemetry().batch(sql);
    }

    /// A column of text, which the query calls `value`, from where reports are kept.
    pub(crate) fn telemetry_texts(&self, sql: &str) -> Vec<String> {
        self.connect_telemetry().texts(sql)
    }

    fn connect_telemetry(&self) -> Sql {
        let url = self.url.replace("switchover.db", "telemetry.db");
        let mut sql = Sql::open(self.engine, &url);
        if self.engine == Engine::Postgres {
            sql.batch("SET search_path TO switchover_telemetry");
        }
        sql
    }

    /// Takes the database away from everybody, until [`TestDatabase::reconnect`].
    pub(crate) fn cut_off(&self) {
        let name = self.name();
        Sql::open(Engine::Postgres, &postgres::administration(&self.url)).batch(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
    }

    pub(crate) fn reconnect(&self) {
        let name = self.name();
        Sql::open(Engine::Postgres, &postgres::administration(&self.url))
            .batch(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    }

    /// Everything that the tables hold, to be compared.
    pub(crate) fn fingerprint(&self) -> String {
        [
            "environments",
            "routes",
            "rollouts",
            "approvals",
            "runbooks",
            "externals",
            "stage_history",
            "plans",
            "plan_gates",
            "plan_steps",
            "audit",
            "sdk_keys",
            "idempotency",
            "releases",
            "release_stages",
            "release_builds",
            "censuses",
            "webhooks",
            "webhook_deliveries",
        ]
        .map(|table| {
            format!(
                "{table}: {}",
                self.number(&format!("SELECT COUNT(*) FROM {table}"))
            )
        })
        .into_iter()
        .chain(self.texts(
            "SELECT route || ' ' || environment || ' ' || CAST(revision AS TEXT) AS value \
                 FROM rollouts ORDER BY route, environment",
        ))
        .chain(self.texts(
            "SELECT key || ' ' || CAST(revision AS TEXT) AS value FROM environments ORDER BY key",
        ))
        .collect::<Vec<_>>()
        .join("\n")
    }

    fn name(&self) -> &str {
        let (server, _) = self.url.split_once('?').unwrap();
        server.rsplit_once('/').unwrap().1
    }

    fn connect(&self) -> Sql {
        Sql::open(self.engine, &self.url)
    }
}

enum Sql {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Sql {
    fn open(engine: Engine, url: &str) -> Sql {
        match engine {
            Engine::Sqlite => {
                let path = url.strip_prefix("sqlite://").unwrap();
                let mut sqlite = SqliteConnection::establish(path).unwrap();
                sqlite.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
                Sql::Sqlite(sqlite)
            }
            Engine::Postgres => Sql::Postgres(PgConnection::establish(url).unwrap()),
        }
    }

    fn texts(&mut self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let query = diesel::sql_query(sql);
        let rows: Vec<Row> = match self {
            Sql::Sqlite(sqlite) => query.load(sqlite).unwrap(),
            Sql::Postgres(postgres) => query.load(postgres).unwrap(),
        };
        rows.into_iter().map(|row| row.value).collect()
    }

    fn batch(&mut self, sql: &str) {
        match self {
            Sql::Sqlite(sqlite) => sqlite.batch_execute(sql).unwrap(),
            Sql::Postgres(postgres) => postgres.batch_execute(sql).unwrap(),
        }
    }
    fn transaction(&mut self, sql: &str) -> QueryResult<()> {
        match self {
            Sql::Sqlite(sqlite) => {
                sqlite.batch_execute("PRAGMA foreign_keys = ON")?;
                sqlite.transaction(|sqlite| sqlite.batch_execute(sql))
            }
            Sql::Postgres(postgres) => postgres.transaction(|postgres| postgres.batch_execute(sql)),
        }
    }
}
