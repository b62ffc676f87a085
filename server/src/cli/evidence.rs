//! `evidence`: what was seen in a test, put on record.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::{moment, one_line};
use crate::cli::session::Session;
use crate::cli::wire::{Evidence, Page};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::evidence::{EvidenceKind, Verdict};

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Put evidence on record
    Add(AddArgs),
    /// List the evidence about a route in an environment, oldest first
    List(ListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// What it is about: performance, resources, error_rate, consistency, other; several at once
    #[arg(long, value_name = "KIND", required = true, num_args = 1.., value_delimiter = ',')]
    kind: Vec<EvidenceKind>,
    /// What you conclude: pass or fail
    #[arg(long)]
    verdict: Verdict,
    /// What you saw; it is recorded
    #[arg(long, value_name = "TEXT", required_unless_present = "from_telemetry")]
    summary: Option<String>,
    /// Add what callers reported: both paths side by side, and what the instances used before and
    /// during
    #[arg(long)]
    from_telemetry: bool,
    /// From when on callers' reports count, such as 2026-11-21T18:00:00Z [default: since the open
    /// acceptance window was opened]
    #[arg(long, value_name = "TIME", value_parser = parse_moment, requires = "from_telemetry")]
    from: Option<DateTime<Utc>>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_moment, requires = "from_telemetry")]
    until: Option<DateTime<Utc>>,
    /// Where to see it
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &EvidenceCommand) -> Result<(), CliError> {
    match command {
        EvidenceCommand::Add(args) => add(file, args),
        EvidenceCommand::List(args) => list(file, args),
    }
}

fn add(file: &FileArgs, args: &AddArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    for kind in &args.kind {
        let telemetry = args
            .from_telemetry
            .then(|| json!({ "from": args.from, "until": args.until }));
        let body = json!({
            "kind": kind.name(),
            "verdict": args.verdict.name(),
            "summary": args.summary,
            "url": args.link,
            "telemetry": telemetry,
        });
        let reply = session.post(&args.target.below("evidence"), &body)?;
        session.show(&reply, |_, given: Evidence| {
            let mut text = format!(
                "{} in {}: {} is on record as {}",
                given.route, given.environment, given.kind, given.verdict
            );
            if args.from_telemetry {
                text.push_str(&format!("\n  {}", one_line(&given.summary)));
            }
            text
        })?;
    }
    Ok(())
}

fn parse_moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| "write it as 2026-11-21T18:00:00Z".to_owned())
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&args.target.below("evidence"), &[])?;
    session.show(&reply, |_, page: Page<Evidence>| {
        let lines: Vec<String> = page.items.iter().map(listed).collect();
        if lines.is_empty() {
            "there is no evidence yet: switchover evidence add --help".to_owned()
        } else {
            lines.join("\n")
        }
    })
}

/// Not a row of a table: a link must be copied from a narrow terminal.
fn listed(found: &Evidence) -> String {
    let mut text = format!(
        "{}  {}: {}, by {}\n  {}",
        moment(found.created_at),
        found.kind,
        found.verdict,
        found.created_by,
        one_line(&found.summary)
    );
    if let Some(url) = &found.url {
        text.push_str(&format!("\n  {}", one_line(url)));
    }
    text
}
