//! `external`: what promotions wait for outside.

use clap::{Args, Subcommand};
use serde_json::json;
use switchover::Stage;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, moment, say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{External, Page};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ExternalCommand {
    /// State what promotions of a route wait for, or change it
    Add(AddArgs),
    /// Confirm that it is so: for its owner
    Confirm(ConfirmArgs),
    /// Take a confirmation back: for its owner
    Withdraw(NamedArgs),
    /// Let promotions wait for it no longer
    Remove(NamedArgs),
    /// List what promotions of a route wait for
    List(ListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    external: ExternalArgs,
    /// Who confirms it: the subject of their token
    #[arg(long)]
    owner: String,
    /// What must be so
    #[arg(long)]
    description: String,
    /// The stage whose promotion waits for it [default: every promotion]
    #[arg(long)]
    stage: Option<Stage>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ConfirmArgs {
    #[command(flatten)]
    external: ExternalArgs,
    /// What you looked at
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    external: ExternalArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Key of the route
    route: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
struct ExternalArgs {
    /// Key of the route
    route: String,
    /// Name of the outside dependency, such as replica
    name: String,
}

impl ExternalArgs {
    fn path(&self, rest: &str) -> String {
        let (route, name) = (encode(&self.route), encode(&self.name));
        format!("/routes/{route}/externals/{name}{rest}")
    }
}

pub(crate) fn run(file: &FileArgs, command: ExternalCommand) -> Result<(), CliError> {
    match command {
        ExternalCommand::Add(args) => {
            let session = Session::open(file, &args.client)?;
            let body = json!({
                "owner": args.owner,
                "description": args.description,
                "stage": args.stage,
                "reason": args.reason.reason,
            });
            let reply = session.put(&args.external.path(""), &body)?;
            session.show(&reply, |_, external| told(&external))
        }
        ExternalCommand::Confirm(args) => {
            let session = Session::open(file, &args.client)?;
            let path = args.external.path("/confirmation");
            let reply = session.post(&path, &json!({ "comment": args.comment }))?;
            session.show(&reply, |_, external| told(&external))
        }
        ExternalCommand::Withdraw(args) => {
            let session = Session::open(file, &args.client)?;
            let path = args.external.path("/confirmation");
            let reply = session.delete(&path, &[("reason", args.reason.reason)])?;
            session.show(&reply, |_, external| told(&external))
        }
        ExternalCommand::Remove(args) => {
            let session = Session::open(file, &args.client)?;
            let path = args.external.path("");
            session.delete(&path, &[("reason", args.reason.reason)])?;
            let name = args.external.name;
            if session.is_json() {
                return say_json(&json!({ "removed": name }));
            }
            say(format!("nothing waits for {name} any more"))
        }
        ExternalCommand::List(args) => list(file, &args),
    }
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&format!("/routes/{}/externals", encode(&args.route)), &[])?;
    session.show(&reply, |screen, page: Page<External>| {
        if page.items.is_empty() {
            return format!("{} waits for nothing outside", args.route);
        }
        let header = ["name", "needed for", "owner", "description", "confirmed"];
        let rows = page.items.into_iter().map(|external| {
            let confirmed = match &external.confirmed {
                Some(_) => Field::good(confirmed(&external)),
                None => Field::bad("no"),
            };
            vec![
                external.name.clone().into(),
                needed(&external).into(),
                external.owner.clone().into(),
                external.description.clone().into(),
                confirmed,
            ]
        });
        screen.table(&header, rows.collect())
    })
}

fn told(external: &External) -> String {
    format!(
        "{}: {} waits for it; confirmed: {}",
        external.name,
        needed(external),
        confirmed(external)
    )
}

fn needed(external: &External) -> String {
    match external.stage {
        Some(stage) => format!("the promotion to {stage}"),
        None => "every promotion".to_owned(),
    }
}

fn confirmed(external: &External) -> String {
    match &external.confirmed {
        None => format!("not yet, by {}", external.owner),
        Some(given) => {
            let place = if given.for_owner {
                " in the owner's place"
            } else {
                ""
            };
            format!(
                "by {}{place} {}: {}",
                given.by,
                moment(given.at),
                given.comment
            )
        }
    }
}
