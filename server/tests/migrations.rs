//! Both engines hold the same tables.

use std::path::Path;
use std::sync::Barrier;

use switchover_server::service::{Services, system_clock};

use crate::support::{Engine, TestDatabase, on_both_engines};

on_both_engines!(a_database_is_opened_again, nodes_that_start_at_once_agree);

#[test]
fn both_folders_have_the_same_names() {
    let names = |engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../migrations")
            .join(engine);
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

#[test]
fn both_engines_have_the_same_columns() {
    let sqlite = TestDatabase::new(Engine::Sqlite);
    let postgres = TestDatabase::new(Engine::Postgres);
    drop((sqlite.open(), postgres.open()));
    let of_sqlite = sqlite.texts(
        "SELECT m.name || '.' || c.name || CASE c.\"notnull\" WHEN 1 THEN ' NOT NULL' ELSE '' END \
         AS value FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND \
         m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name NOT LIKE '!_!_%' ESCAPE '!' ORDER BY 1",
    );
    let of_postgres = postgres.texts(
        "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' \
         ELSE '' END AS value FROM information_schema.columns WHERE table_schema = 'public' AND \
         table_name NOT LIKE '!_!_%' ESCAPE '!' ORDER BY 1",
    );
    assert!(of_sqlite.len() > 50, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
    let indexes = "SELECT name AS value FROM sqlite_master WHERE type = 'index' AND name NOT LIKE \
                   'sqlite!_%' ESCAPE '!' ORDER BY 1";
    let of_postgres = postgres.texts(
        "SELECT indexname::text AS value FROM pg_indexes WHERE schemaname = 'public' AND indexname \
         NOT LIKE '%!_pkey' ESCAPE '!' AND indexname NOT LIKE '%!_key' ESCAPE '!' ORDER BY 1",
    );
    assert_eq!(sqlite.texts(indexes), of_postgres);
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
