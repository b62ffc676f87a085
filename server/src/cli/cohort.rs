//! `cohort`: keys with a name, which several rollouts use.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count, moment, one_line, say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{Cohort, Page};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum CohortCommand {
    /// List cohorts, and how many rollouts use each
    List(ListArgs),
    /// Show the keys of a cohort, and what uses it
    Show(ShowArgs),
    /// Make a cohort
    Create(WriteArgs),
    /// Give a cohort other keys: whatever uses it changes with it
    Set(WriteArgs),
    /// Delete a cohort that nothing uses
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WriteArgs {
    /// Its name
    name: String,
    /// All of its keys
    #[arg(long = "key", value_name = "KEY", num_args = 1..)]
    keys: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &CohortCommand) -> Result<(), CliError> {
    match command {
        CohortCommand::List(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get("/cohorts", &[])?;
            session.show(&reply, listed)
        }
        CohortCommand::Show(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get(&at(&args.name), &[])?;
            session.show(&reply, |_, cohort: Cohort| shown(&cohort))
        }
        CohortCommand::Create(args) => {
            let session = Session::open(file, &args.client)?;
            let body = json!({
                "name": args.name,
                "keys": args.keys,
                "description": args.description.as_deref().unwrap_or_default(),
                "reason": args.reason.reason,
            });
            let reply = session.post("/cohorts", &body)?;
            session.show(&reply, |_, cohort: Cohort| shown(&cohort))
        }
        CohortCommand::Set(args) => {
            let session = Session::open(file, &args.client)?;
            let body = json!({
                "keys": args.keys,
                "description": args.description,
                "reason": args.reason.reason,
            });
            let reply = session.put(&at(&args.name), &body)?;
            session.show(&reply, |_, cohort: Cohort| shown(&cohort))
        }
        CohortCommand::Delete(args) => {
            let session = Session::open(file, &args.client)?;
            let query = [("reason", args.reason.reason.clone())];
            session.delete(&at(&args.name), &query)?;
            if session.is_json() {
                return say_json(&json!({ "deleted": args.name }));
            }
            say(format!("cohort {} is deleted", args.name))
        }
    }
}

fn at(name: &str) -> String {
    format!("/cohorts/{}", encode(name))
}

fn listed(screen: &Screen, page: Page<Cohort>) -> String {
    if page.items.is_empty() {
        return "no cohorts".to_owned();
    }
    let rows = page.items.into_iter().map(|cohort| {
        let row = [
            cohort.name,
            cohort.keys.len().to_string(),
            cohort.used_by.len().to_string(),
            moment(cohort.changed_at),
            cohort.description,
        ];
        row.into_iter().map(Field::from).collect()
    });
    screen.table(
        &["cohort", "keys", "used by", "changed", "for"],
        rows.collect(),
    )
}

fn shown(cohort: &Cohort) -> String {
    let mut text = format!("{}: {}", cohort.name, count(cohort.keys.len(), "key"));
    if !cohort.description.is_empty() {
        text.push_str(&format!(" ({})", one_line(&cohort.description)));
    }
    for key in &cohort.keys {
        text.push_str(&format!("\n  {}", one_line(key)));
    }
    for user in &cohort.used_by {
        text.push_str(&format!("\nused by {} in {}", user.route, user.environment));
    }
    for warning in &cohort.warnings {
        text.push_str(&format!("\nwarning: {}", one_line(warning)));
    }
    text
}
