//! `repairs`: keys whose two rows may differ.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count, moment};
use crate::cli::session::Session;
use crate::cli::wire::{Page, Repair, RepairsSettled};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RepairsCommand {
    /// List the repairs of a rollout that are not resolved
    List(ListArgs),
    /// Have repairs tried again now
    Retry(SettleArgs),
    /// Take repairs for settled: you have seen to it that the rows are equal
    Resolve(SettleArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only those in this state: open, failed, conflict, resolved
    #[arg(long, value_parser = ["open", "failed", "conflict", "resolved"])]
    state: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SettleArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Of these keys
    #[arg(value_name = "KEY", required_unless_present = "all", num_args = 0..)]
    keys: Vec<String>,
    /// Of every key with a repair that is not resolved
    #[arg(long, conflicts_with = "keys")]
    all: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &RepairsCommand) -> Result<(), CliError> {
    match command {
        RepairsCommand::List(args) => list(file, args),
        RepairsCommand::Retry(args) => settle(file, args, "retry"),
        RepairsCommand::Resolve(args) => settle(file, args, "resolve"),
    }
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = args.state.iter().map(|state| ("state", state.clone()));
    let query: Vec<_> = query.collect();
    let reply = session.list(&args.target.below("repairs"), &query, Some(args.limit))?;
    session.show(&reply, |screen, page: Page<Repair>| {
        if page.items.is_empty() {
            let (route, environment) = (&args.target.route, &args.target.environment);
            return format!("{route} in {environment}: no such repairs");
        }
        table(screen, &page.items)
    })
}

fn table(screen: &Screen, repairs: &[Repair]) -> String {
    let rows = repairs.iter().map(|repair| {
        let state = match repair.state.as_str() {
            "open" if repair.retry_asked => "open, retry asked".into(),
            "open" => "open".into(),
            "resolved" => Field::good("resolved"),
            other => Field::bad(other),
        };
        let failed_at = repair.failed_at.as_deref().unwrap_or("");
        vec![
            repair.key.clone().into(),
            state,
            repair.cause.clone().into(),
            repair.written.clone().into(),
            repair.attempts.to_string().into(),
            failed_at.into(),
            moment(repair.first_at).into(),
            repair.instance.clone().into(),
        ]
    });
    let header = [
        "key",
        "state",
        "cause",
        "written",
        "tries",
        "failed at",
        "since",
        "process",
    ];
    screen.table(&header, rows.collect())
}

fn settle(file: &FileArgs, args: &SettleArgs, action: &str) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let mut body = json!({ "action": action, "reason": args.reason.reason });
    if let Some(fields) = body.as_object_mut() {
        if args.all {
            fields.insert("all".to_owned(), json!(true));
        } else {
            fields.insert("keys".to_owned(), json!(args.keys));
        }
    }
    let reply = session.post(&args.target.below("repairs/settle"), &body)?;
    session.show(&reply, |_, done: RepairsSettled| {
        let what = match action {
            "retry" => "to be tried again: the process that has them is told within seconds",
            _ => "taken for settled",
        };
        let mut text = format!("{} {what}", count(done.repairs, "repair"));
        if done.unknown > 0 {
            let keys = count(done.unknown, "key");
            text.push_str(&format!("\n  {keys} without an unresolved repair"));
        }
        text
    })
}
