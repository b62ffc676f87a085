//! `restore`: a backup in the place of the database.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use clap::Args;
use serde_json::json;

use crate::cli::args::JsonArgs;
use crate::cli::error::{CliError, why};
use crate::cli::files::{make_private, make_private_dir};
use crate::cli::migrate::must_exist;
use crate::cli::output::{say, say_json};
use crate::cli::session::{local_admin, note};
use crate::config::{Config, FileArgs, StorageArgs};
use crate::domain::text::Reason;
use crate::service::{Ctx, Services, system_clock};
use crate::store::{Alone, Database, Receipt, Store, StoreError};

/// How long a database that is in use is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The backup; the server must be stopped. The database that it replaces is kept beside it
    #[arg(
        value_name = "FILE",
        required_unless_present = "new_epoch",
        conflicts_with = "new_epoch"
    )]
    from: Option<PathBuf>,
    /// Only begin a new epoch, after a copy was put back by hand or by PostgreSQL's own tools
    ///
    /// Without it SDKs take the restored revisions for older than what they have, and refuse them.
    #[arg(long)]
    new_epoch: bool,
    /// Why; it is recorded [default: which file was restored]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(file: &FileArgs, args: &RestoreArgs) -> Result<(), CliError> {
    let config = Config::for_storage(file, &args.storage)?;
    match &args.from {
        None => {
            must_exist(&config)?;
            let reason = reason(args, "a copy was put back by hand")?;
            let epoch = begin_epoch(&config, &config.database, &reason)?;
            if args.json.json {
                let database = config.database.to_string();
                return say_json(&json!({ "database": database, "epoch": epoch }));
            }
            say(format!("{} has a new epoch: {epoch}", config.database))
        }
        Some(from) => {
            let reason = reason(args, &format!("restored from {}", from.display()))?;
            restore(&config, from, &reason, args.json.json)
        }
    }
}

fn restore(config: &Config, from: &Path, reason: &Reason, json: bool) -> Result<(), CliError> {
    let Database::Sqlite(to) = &config.database else {
        return Err(CliError::new(format!(
            "{} is PostgreSQL: restore it with pg_restore, and then run `switchover restore \
             --new-epoch`",
            config.database
        )));
    };
    let shown = from.display();
    let unusable = |why: String| CliError::new(format!("cannot restore {shown}: {why}"));
    let broken = |error: io::Error| unusable(error.to_string());
    let directory = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_private_dir(directory)?;
    // Everything that can fail is tried on a copy: until the last step nothing has happened.
    let workshop = tempfile::Builder::new()
        .prefix(".restore-")
        .tempdir_in(directory)
        .map_err(broken)?;
    let copy = workshop.path().join("switchover.db");
    copy_database(from, &copy).map_err(broken)?;
    Store::check_file(&copy).map_err(|error| unusable(why(&error)))?;
    let epoch = begin_epoch(config, &Database::Sqlite(copy.clone()), reason)?;
    // Alone with it, what is in its log comes into the file.
    drop(hold_alone(&copy).map_err(|error| unusable(why(&error)))?);
    let kept = replace(to, &copy, &unusable)?;

    if json {
        return say_json(&json!({
            "database": config.database.to_string(),
            "restored": shown.to_string(),
            "replaced": kept.map(|kept| kept.display().to_string()),
            "epoch": epoch,
        }));
    }
    say(format!("{} holds what {shown} held", config.database))?;
    if let Some(kept) = kept {
        say(format!("  kept what it replaced as {}", kept.display()))?;
    }
    say(format!("  began epoch {epoch}"))?;
    say(
        "  what happened since the backup is undone, halts and revocations included: look at \
         `switchover status`, and revoke again",
    )
}

/// Puts the copy in its place; gives where the database went that was there.
fn replace(
    to: &Path,
    copy: &Path,
    unusable: &dyn Fn(String) -> CliError,
) -> Result<Option<PathBuf>, CliError> {
    let broken = |error: io::Error| unusable(error.to_string());
    let mut kept = None;
    let mut held = None;
    if to.exists() {
        match hold_alone(to) {
            Ok(alone) => held = Some(alone),
            Err(StoreError::Busy) => {
                return Err(unusable(format!(
                    "{} is in use: stop the server first",
                    to.display()
                )));
            }
            Err(error) => note(&format!(
                "the present database cannot be read, and is kept as it is: {}",
                why(&error)
            )),
        }
        let stamp = Utc::now().format("replaced-%Y%m%dT%H%M%SZ");
        let aside = with_suffix(to, &format!(".{stamp}"));
        if aside.exists() {
            return Err(unusable(format!("{} exists already", aside.display())));
        }
        for sidecar in ["-wal", "-shm"] {
            let log = with_suffix(to, sidecar);
            if log.exists() {
                make_private(&log).map_err(broken)?;
                fs::rename(&log, with_suffix(&aside, sidecar)).map_err(broken)?;
            }
        }
        make_private(to).map_err(broken)?;
        fs::rename(to, &aside).map_err(broken)?;
        kept = Some(aside);
    }
    fs::rename(copy, to).map_err(broken)?;
    drop(held);
    if let Some(directory) = to.parent().filter(|path| !path.as_os_str().is_empty()) {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(broken)?;
    }
    Ok(kept)
}

/// Takes a database for itself. One that has just been closed may need a moment.
fn hold_alone(path: &Path) -> Result<Alone, StoreError> {
    let started = Instant::now();
    loop {
        match Store::hold_alone(path) {
            Err(StoreError::Busy) if started.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(50));
            }
            held => return held,
        }
    }
}

/// Copies a database with what its log holds, for its owner alone.
fn copy_database(from: &Path, to: &Path) -> io::Result<()> {
    for part in ["", "-wal"] {
        let (from, to) = (with_suffix(from, part), with_suffix(to, part));
        if !part.is_empty() && !from.exists() {
            continue;
        }
        fs::copy(from, &to)?;
        make_private(&to)?;
        File::open(&to)?.sync_all()?;
    }
    Ok(())
}

fn begin_epoch(config: &Config, database: &Database, reason: &Reason) -> Result<String, CliError> {
    let failed = |why: String| CliError::new(format!("cannot begin an epoch: {why}"));
    let store = Store::open(database.clone()).map_err(|error| failed(why(&error)))?;
    let services = Services::start(store, system_clock()).map_err(|error| failed(why(&error)))?;
    let answer = services
        .begin_epoch(&Ctx::of(local_admin(config)), reason, &|epoch| Receipt {
            status: 200,
            etag: None,
            body: epoch.clone(),
        })
        .map_err(|failure| failed(failure.to_string()))?;
    Ok(answer.receipt.body)
}

fn reason(args: &RestoreArgs, otherwise: &str) -> Result<Reason, CliError> {
    Reason::new(args.reason.as_deref().unwrap_or(otherwise))
        .map_err(|detail| CliError::new(format!("--reason: {detail}")))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
