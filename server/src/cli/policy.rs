//! `policy`: which gates a promotion needs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Policy};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// List policies
    List(ListArgs),
    /// Print a policy's document
    Show(ShowArgs),
    /// Write a policy, or its next version, from a JSON file
    Write(WriteArgs),
    /// Delete a policy that no route has
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Name of the policy, such as gitaly
    name: String,
    /// An older version [default: the newest]
    #[arg(long)]
    version: Option<u32>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WriteArgs {
    /// The document: `name`, `gates` by stage, `ramp`, `guards`; `policy show gitaly` prints one
    file: PathBuf,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Name of the policy
    name: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &PolicyCommand) -> Result<(), CliError> {
    match command {
        PolicyCommand::List(args) => list(file, args),
        PolicyCommand::Show(args) => show(file, args),
        PolicyCommand::Write(args) => write(file, args),
        PolicyCommand::Delete(args) => delete(file, args),
    }
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get("/policies", &[])?;
    session.show(&reply, |screen, page: Page<Policy>| {
        let rows = page.items.into_iter().map(|policy| {
            let description = policy.policy.get("description");
            let description = description.and_then(Value::as_str).unwrap_or_default();
            vec![
                policy.name.into(),
                match policy.version {
                    0 => "built in".to_owned(),
                    version => version.to_string(),
                }
                .into(),
                description.to_owned().into(),
            ]
        });
        screen.table(&["policy", "version", "description"], rows.collect())
    })
}

fn show(file: &FileArgs, args: &ShowArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query: Vec<_> = args
        .version
        .iter()
        .map(|version| ("version", version.to_string()))
        .collect();
    let reply = session.get(&format!("/policies/{}", encode(&args.name)), &query)?;
    if session.is_json() {
        return say(reply.text());
    }
    // The document is what can be edited and written back, so that is what people get too.
    let policy: Policy = reply.read()?;
    say(serde_json::to_string_pretty(&policy.policy).unwrap_or_default())
}

fn write(file: &FileArgs, args: &WriteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| CliError::new(format!("{name} cannot be read: {error}")))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| CliError::new(format!("{name} is no JSON: {error}")))?;
    let body = json!({ "policy": document, "reason": args.reason.reason });
    let reply = session.post("/policies", &body)?;
    session.show(&reply, |_, policy: Policy| {
        format!(
            "policy {} is in force, in version {}",
            policy.name, policy.version
        )
    })
}

fn delete(file: &FileArgs, args: &DeleteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("/policies/{}", encode(&args.name));
    session.delete(&path, &[("reason", args.reason.reason.clone())])?;
    if session.is_json() {
        return Ok(());
    }
    say(format!("policy {} is deleted", args.name))
}
