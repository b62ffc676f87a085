//! `migrate`: brings the database up to this version.

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::output::{count, say};
use crate::config::{Config, FileArgs, StorageArgs};
use crate::store::Store;

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    storage: StorageArgs,
}

pub(crate) fn run(file: &FileArgs, args: &MigrateArgs) -> Result<(), CliError> {
    let config = Config::for_storage(file, &args.storage)?;
    let database = &config.database;
    if !config.has_database() {
        return Err(CliError::new(format!(
            "there is no database at {database}: `switchover serve` makes one"
        )));
    }
    let failed = |error| CliError::new(format!("cannot migrate {database}: {error}"));
    let ran = Store::connect(database.clone())
        .map_err(failed)?
        .migrate()
        .map_err(failed)?;
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
