//! `ramp-group`: what the keys are that the routes of a group move together.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{Page, RampGroup};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RampGroupCommand {
    /// List ramp groups, what their keys are, and their routes
    List(ListArgs),
    /// State what the keys of a ramp group are
    Set(SetArgs),
    /// Delete what a ramp group states, while no route is in it
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    /// Its name
    name: String,
    /// What its keys are, such as project
    #[arg(long, value_name = "TEXT")]
    keys: String,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
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

pub(crate) fn run(file: &FileArgs, command: &RampGroupCommand) -> Result<(), CliError> {
    match command {
        RampGroupCommand::List(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get("/ramp-groups", &[])?;
            session.show(&reply, listed)
        }
        RampGroupCommand::Set(args) => {
            let session = Session::open(file, &args.client)?;
            let body = json!({
                "keys": args.keys,
                "description": args.description,
                "reason": args.reason.reason,
            });
            let reply = session.put(&at(&args.name), &body)?;
            session.show(&reply, |_, group: RampGroup| {
                format!("the keys of ramp group {} are: {}", group.name, group.keys)
            })
        }
        RampGroupCommand::Delete(args) => {
            let session = Session::open(file, &args.client)?;
            let query = [("reason", args.reason.reason.clone())];
            session.delete(&at(&args.name), &query)?;
            if session.is_json() {
                return say_json(&json!({ "deleted": args.name }));
            }
            say(format!("ramp group {} states nothing any more", args.name))
        }
    }
}

fn at(name: &str) -> String {
    format!("/ramp-groups/{}", encode(name))
}

fn listed(screen: &Screen, page: Page<RampGroup>) -> String {
    if page.items.is_empty() {
        return "no ramp group states what its keys are".to_owned();
    }
    let rows = page.items.into_iter().map(|group| {
        let row = [
            group.name,
            group.keys,
            group.routes.join(" "),
            group.description,
        ];
        row.into_iter().map(Field::from).collect()
    });
    screen.table(&["group", "keys", "routes", "for"], rows.collect())
}
