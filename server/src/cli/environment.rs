//! `environment`: where callers run.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::wire::{Environment, Page};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// List environments, in their order
    List(ListArgs),
    /// Add an environment
    Add(AddArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Key, such as canary
    key: String,
    /// Whether callers there talk to the server (hosted) or run elsewhere (on_prem)
    #[arg(long, value_parser = ["hosted", "on_prem"])]
    kind: String,
    /// Its place in the order; routes reach a stage in lower positions first
    #[arg(long, value_name = "N")]
    position: i32,
    /// Whether real users depend on it [default: when it comes after one on which they do]
    #[arg(long, value_name = "BOOL")]
    production: Option<bool>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &EnvironmentCommand) -> Result<(), CliError> {
    match command {
        EnvironmentCommand::List(args) => list(file, args),
        EnvironmentCommand::Add(args) => add(file, args),
    }
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get("/environments", &[])?;
    session.show(&reply, |screen, page: Page<Environment>| {
        let rows = page.items.into_iter().map(|environment| {
            vec![
                environment.position.to_string().into(),
                environment.key.into(),
                environment.kind.into(),
                if environment.production { "yes" } else { "" }.into(),
                environment.revision.to_string().into(),
            ]
        });
        let header = ["position", "environment", "kind", "production", "revision"];
        screen.table(&header, rows.collect())
    })
}

fn add(file: &FileArgs, args: &AddArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "key": args.key,
        "kind": args.kind,
        "position": args.position,
        "production": args.production,
    });
    let reply = session.post("/environments", &body)?;
    session.show(&reply, |_, made: Environment| {
        format!("{} is added, at position {}", made.key, made.position)
    })
}
