//! `freeze`: for a while, nothing raises exposure.

use chrono::{DateTime, Duration, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::acceptance::parse_time;
use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{moment, one_line};
use crate::cli::session::Session;
use crate::cli::ttl;
use crate::cli::wire::{Freeze, Page};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum FreezeCommand {
    /// Open a change freeze, now or later
    Open(OpenArgs),
    /// Close a change freeze before its end
    Close(CloseArgs),
    /// List change freezes: those that are open or still to come
    List(ListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct OpenArgs {
    /// Environments where it applies [default: everywhere]
    #[arg(value_name = "ENV")]
    environments: Vec<String>,
    /// When it begins, such as 2026-12-20T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// When it ends by itself [default: when somebody closes it]
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "length")]
    until: Option<DateTime<Utc>>,
    /// How long it lasts from its beginning: 30m, 2h, 1d
    #[arg(long = "for", id = "length", value_name = "TIME", value_parser = ttl::parse)]
    length: Option<Duration>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CloseArgs {
    /// Its id; `switchover freeze list` shows it
    id: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Also those that have ended or were closed
    #[arg(long)]
    past: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &FreezeCommand) -> Result<(), CliError> {
    match command {
        FreezeCommand::Open(args) => open(file, args),
        FreezeCommand::Close(args) => close(file, args),
        FreezeCommand::List(args) => list(file, args),
    }
}

fn open(file: &FileArgs, args: &OpenArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let ends = args
        .length
        .map(|length| args.from.unwrap_or_else(Utc::now) + length);
    let body = json!({
        "environments": args.environments,
        "from": args.from,
        "until": args.until.or(ends),
        "reason": args.reason.reason,
    });
    let reply = session.post("/freezes", &body)?;
    session.show(&reply, |_, freeze: Freeze| opened(&freeze))
}

fn opened(freeze: &Freeze) -> String {
    let from = if freeze.from > freeze.opened_at {
        format!(" from {}", moment(freeze.from))
    } else {
        String::new()
    };
    let until = freeze.until.map_or_else(
        || "until somebody closes it".to_owned(),
        |until| format!("until {}", moment(until)),
    );
    let (place, id) = (place(freeze), &freeze.id);
    format!(
        "change freeze {place}{from} {until}\n  to close it: switchover freeze close {id} --reason …"
    )
}

fn close(file: &FileArgs, args: &CloseArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("/freezes/{}", encode(&args.id));
    let reply = session.delete(&path, &[("reason", args.reason.reason.clone())])?;
    session.show(&reply, |_, freeze: Freeze| {
        format!("the change freeze {} is closed", place(&freeze))
    })
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get("/freezes", &[("past", args.past.to_string())])?;
    session.show(&reply, |_, page: Page<Freeze>| {
        let lines: Vec<String> = page.items.iter().map(listed).collect();
        if lines.is_empty() {
            "no change freeze is open or to come".to_owned()
        } else {
            lines.join("\n\n")
        }
    })
}

/// Not a row of a table: its id must be copied from a narrow terminal.
fn listed(freeze: &Freeze) -> String {
    let state = match (freeze.closed_at, freeze.open) {
        (Some(at), _) => format!("closed {}", moment(at)),
        (None, Some(true)) => "open".to_owned(),
        (None, _) if freeze.until.is_some_and(|until| until <= Utc::now()) => "over".to_owned(),
        (None, _) => "to come".to_owned(),
    };
    let until = freeze.until.map_or_else(
        || "until somebody closes it".to_owned(),
        |until| format!("until {}", moment(until)),
    );
    format!(
        "{}  {state}\n  {} from {} {until}\n  {}: {}",
        freeze.id,
        place(freeze),
        moment(freeze.from),
        freeze.opened_by,
        one_line(&freeze.reason)
    )
}

fn place(freeze: &Freeze) -> String {
    if freeze.environments.is_empty() {
        "everywhere".to_owned()
    } else {
        format!("in {}", freeze.environments.join(", "))
    }
}
