//! `audit`: the record of everything, and whether it is whole.

mod checkpoints;
mod export;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::args::given;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, moment};
use crate::cli::session::Session;
use crate::cli::wire::{AuditEntry, Page};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::words;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Only on this route
    #[arg(long)]
    route: Option<String>,
    /// Only in this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only by this person
    #[arg(long, value_name = "SUBJECT")]
    by: Option<String>,
    /// Only of this kind, such as halt
    #[arg(long)]
    action: Option<String>,
    /// How many entries, newest first
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Walk the whole record; exit status 1 when an entry does not fit
    Verify(verify::VerifyArgs),
    /// Write the record into a file, one JSON object a line
    Export(export::ExportArgs),
    /// Sign the record as it is now, to be kept elsewhere
    Checkpoint(checkpoints::CheckpointArgs),
    /// The signed checkpoints of the record, newest first
    Checkpoints(checkpoints::CheckpointsArgs),
}

pub(crate) fn run(file: &FileArgs, args: &AuditArgs) -> Result<(), CliError> {
    match &args.command {
        None => list(file, args),
        Some(AuditCommand::Verify(args)) => verify::run(file, args),
        Some(AuditCommand::Export(args)) => export::run(file, args),
        Some(AuditCommand::Checkpoint(args)) => checkpoints::make(file, args),
        Some(AuditCommand::Checkpoints(args)) => checkpoints::list(file, args),
    }
}

fn list(file: &FileArgs, args: &AuditArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = given([
        ("route", &args.route),
        ("environment", &args.environment),
        ("by", &args.by),
        ("action", &args.action),
    ]);
    let limit = usize::try_from(args.limit).ok();
    let reply = session.list("/audit", &query, limit)?;
    session.show(&reply, entries)
}

/// Entries of the record, as they came: newest first.
pub(crate) fn entries(screen: &Screen, page: Page<AuditEntry>) -> String {
    if page.items.is_empty() {
        return "no entries".to_owned();
    }
    let rows = page.items.into_iter().map(row).collect();
    let header = [
        "seq",
        "at",
        "by",
        "action",
        "route",
        "environment",
        "what",
        "reason",
    ];
    screen.table(&header, rows)
}

fn row(entry: AuditEntry) -> Vec<Field> {
    let action = if entry.action.contains("halt") || entry.action.contains("break_glass") {
        Field::bad(entry.action)
    } else {
        entry.action.into()
    };
    let what = words::anything(&entry.before, &entry.after);
    vec![
        entry.seq.to_string().into(),
        moment(entry.at).into(),
        entry.by.into(),
        action,
        entry.route.unwrap_or_default().into(),
        entry.environment.unwrap_or_default().into(),
        what.into(),
        entry.reason.into(),
    ]
}
