//! The example of a data migration, with this build: ten days with traffic, and no write is lost.

use std::path::PathBuf;

use clap::Parser as _;
use gear_operations::{Options, Summary};

use crate::support::{Engine, TestDatabase};

fn migrate(more: &[&str]) -> Summary {
    let sizes = ["--users", "300", "--items", "1000", "--batch", "250"];
    let pace = ["--pause", "100", "--seconds", "1", "--writers", "4"];
    let words = ["gear-operations"].into_iter().chain(sizes).chain(pace);
    let mut options = Options::parse_from(words.chain(more.iter().copied()));
    options.switchover = Some(PathBuf::from(env!("CARGO_BIN_EXE_switchover")));
    let mut story = Vec::new();
    let told = gear_operations::run(&options, &mut |line| story.push(line.to_owned()));
    let story = story.join("\n");
    let summary = told.unwrap_or_else(|why| panic!("{story}\n{why}"));
    assert!(summary.is_good(), "{story}");
    assert!(summary.backfilled >= 1_000, "{story}");
    assert!(summary.days >= 9, "{story}");
    summary
}

#[test]
fn nothing_is_lost_between_two_files_while_three_things_go_wrong() {
    let summary = migrate(&[]);
    assert_eq!(summary.guards.len(), 3, "{summary}");
}

#[test]
fn nothing_is_lost_between_two_databases_of_postgres() {
    let old = TestDatabase::new(Engine::Postgres);
    let new = TestDatabase::new(Engine::Postgres);
    let summary = migrate(&["--old", old.url(), "--new", new.url(), "--no-faults"]);
    assert!(summary.guards.is_empty(), "{summary}");
}
