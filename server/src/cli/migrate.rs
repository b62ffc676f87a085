//! `migrate`: brings the database up to this version.

use clap::Args;
use serde_json::json;

use crate::cli::args::JsonArgs;
use crate::cli::error::{CliError, why};
use crate::cli::output::{count, say, say_json};
use crate::config::{Config, FileArgs, StorageArgs};
use crate::store::{Store, StoreError};

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// Refuses to make a database that is only looked at.
pub(crate) fn must_exist(config: &Config) -> Result<(), CliError> {
    if config.has_database() {
        return Ok(());
    }
    Err(CliError::new(format!(
        "there is no database at {}: name the data directory with --data-dir, or let `switchover \
         serve` make one",
        config.database
    )))
}

pub(crate) fn run(file: &FileArgs, args: &MigrateArgs) -> Result<(), CliError> {
    let config = Config::for_storage(file, &args.storage)?;
    let database = &config.database;
    must_exist(&config)?;
    let failed =
        |error: StoreError| CliError::new(format!("cannot migrate {database}: {}", why(&error)));
    let ran = Store::connect(database.clone())
        .map_err(failed)?
        .migrate()
        .map_err(failed)?;
    if args.json.json {
        return say_json(&json!({ "database": database.to_string(), "ran": ran }));
    }
    for name in &ran {
        say(format!("ran {name}"))?;
    }
    say(match ran.len() {
        0 => format!("{database} is up to date"),
        number => format!(
            "{database} is up to date: {} ran",
            count(number, "migration")
        ),
    })
}
