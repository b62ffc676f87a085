//! Both engines hold the same tables.

use std::path::Path;
use std::sync::Barrier;

use switchover_server::service::{Services, system_clock};
use switchover_server::telemetry::TelemetryStore;

use crate::support::{Engine, TestDatabase, on_both_engines};

on_both_engines!(a_database_is_opened_again, nodes_that_start_at_once_agree);

#[test]
fn both_folders_have_the_same_names() {
    let names = |of: &str, engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../migrations")
            .join(of)
            .join(engine);
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for of in ["", "telemetry"] {
        assert_eq!(names(of, "sqlite"), names(of, "postgres"));
        assert!(!names(of, "sqlite").is_empty());
    }
}

/// What callers report has tables of its own, which meet none of the record's.
#[test]
fn both_engines_have_the_same_columns_for_telemetry() {
    let sqlite = TestDatabase::new(Engine::Sqlite);
    let postgres = TestDatabase::new(Engine::Postgres);
    for database in [&sqlite, &postgres] {
        let store = database.open();
        for _ in 0..2 {
            TelemetryStore::beside(store.database()).open().unwrap();
        }
    }
    let of_sqlite = sqlite.telemetry_texts(OF_SQLITE);
    let of_postgres =
        postgres.telemetry_texts(&OF_POSTGRES.replace("'public'", "current_schema()"));
    assert!(of_sqlite.len() > 50, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
    let of_postgres =
        postgres.telemetry_texts(&POSTGRES_INDEXES.replace("'public'", "current_schema()"));
    assert_eq!(sqlite.telemetry_texts(SQLITE_INDEXES), of_postgres);
    let record = sqlite.texts(OF_SQLITE);
    assert!(of_sqlite.iter().all(|column| !record.contains(column)));
}

const OF_SQLITE: &str = "SELECT m.name || '.' || c.name || CASE c.\"notnull\" WHEN 1 THEN ' NOT NULL' ELSE '' END \
     AS value FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND \
     m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name NOT LIKE '!_!_%' ESCAPE '!' ORDER BY 1";
const OF_POSTGRES: &str = "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' \
     ELSE '' END AS value FROM information_schema.columns WHERE table_schema = 'public' AND \
     table_name NOT LIKE '!_!_%' ESCAPE '!' ORDER BY 1";
const SQLITE_INDEXES: &str = "SELECT name AS value FROM sqlite_master WHERE type = 'index' AND name NOT LIKE \
     'sqlite!_%' ESCAPE '!' ORDER BY 1";
const POSTGRES_INDEXES: &str = "SELECT indexname::text AS value FROM pg_indexes WHERE schemaname = 'public' AND indexname \
     NOT LIKE '%!_pkey' ESCAPE '!' AND indexname NOT LIKE '%!_key' ESCAPE '!' ORDER BY 1";

#[test]
fn both_engines_have_the_same_columns() {
    let sqlite = TestDatabase::new(Engine::Sqlite);
    let postgres = TestDatabase::new(Engine::Postgres);
    drop((sqlite.open(), postgres.open()));
    let of_sqlite = sqlite.texts(OF_SQLITE);
    let of_postgres = postgres.texts(OF_POSTGRES);
    assert!(of_sqlite.len() > 50, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
    assert_eq!(
        sqlite.texts(SQLITE_INDEXES),
        postgres.texts(POSTGRES_INDEXES)
    );
}

fn a_database_is_opened_again(engine: Engine) {
    let database = TestDatabase::new(engine);
    let first = database.open();
    assert_eq!(first.migrate().unwrap(), Vec::<String>::new());
    let epoch = Services::start(first, system_clock())
        .unwrap()
        .epoch()
        .unwrap();
    let before = database.fingerprint();
    let again = Services::start(database.open(), system_clock()).unwrap();
    assert_eq!(again.epoch().unwrap(), epoch);
    assert_eq!(database.fingerprint(), before);
    let environments = again.environments().unwrap();
    let keys: Vec<&str> = environments
        .iter()
        .map(|(found, _)| found.key.as_str())
        .collect();
    assert_eq!(keys, ["dev", "staging", "production", "on-prem"]);
}

/// The first start of several nodes: one makes the database, and all of them serve it.
fn nodes_that_start_at_once_agree(engine: Engine) {
    let database = TestDatabase::new(engine);
    let (opened, together) = ((0..4).map(|_| database.open()), Barrier::new(4));
    let start = |store| {
        together.wait();
        Services::start(store, system_clock())
            .unwrap()
            .epoch()
            .unwrap()
    };
    let epochs: Vec<String> = std::thread::scope(|scope| {
        let start = &start;
        let nodes: Vec<_> = opened
            .map(|store| scope.spawn(move || start(store)))
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
}
