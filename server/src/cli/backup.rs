//! `backup`: a copy of the database while it is in use.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::args::JsonArgs;
use crate::cli::error::{CliError, why};
use crate::cli::migrate::must_exist;
use crate::cli::output::{say, say_json};
use crate::config::{Config, FileArgs, StorageArgs};
use crate::store::{Database, Store};

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to make; it must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(file: &FileArgs, args: &BackupArgs) -> Result<(), CliError> {
    let config = Config::for_storage(file, &args.storage)?;
    let database = &config.database;
    if let Database::Postgres(_) = database {
        return Err(CliError::new(format!(
            "{database} is PostgreSQL, which has backups of its own: pg_dump --format=custom"
        )));
    }
    must_exist(&config)?;
    let to = args.to.display();
    let failed = |why: String| CliError::new(format!("cannot back up into {to}: {why}"));
    if args.to.exists() {
        return Err(failed("it exists already".to_owned()));
    }
    let store = Store::connect(database.clone())
        .map_err(|error| CliError::new(format!("cannot use {database}: {}", why(&error))))?;
    let directory = match args.to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Under its name it is there whole or not at all, and its owner's alone.
    let copy = NamedTempFile::new_in(directory).map_err(|error| failed(error.to_string()))?;
    store
        .copy_to(copy.path())
        .map_err(|error| failed(why(&error)))?;
    copy.as_file()
        .sync_all()
        .map_err(|error| failed(error.to_string()))?;
    Store::check_file(copy.path()).map_err(|error| failed(why(&error)))?;
    copy.persist_noclobber(&args.to)
        .map_err(|error| failed(error.error.to_string()))?;
    if args.json.json {
        let (database, backup) = (database.to_string(), to.to_string());
        return say_json(&json!({ "database": database, "backup": backup }));
    }
    say(format!(
        "{database} is backed up into {to}\n  the signing key is not in it: keep {} safe too",
        config.data_dir.display()
    ))
}
