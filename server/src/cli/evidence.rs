//! `evidence`: what was seen in a test, put on record.

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
    #[arg(long, value_name = "TEXT")]
    summary: String,
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
        let body = json!({
            "kind": kind.name(),
            "verdict": args.verdict.name(),
            "summary": args.summary,
            "url": args.link,
        });
        let reply = session.post(&args.target.below("evidence"), &body)?;
        session.show(&reply, |_, given: Evidence| {
            format!(
                "{} in {}: {} is on record as {}",
                given.route, given.environment, given.kind, given.verdict
            )
        })?;
    }
    Ok(())
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
