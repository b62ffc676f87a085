//! `halt`: the kill switch, of one rollout or of many.

use clap::Args;
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::session::Session;
use crate::cli::wire::{HaltedMany, Transition};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(override_usage = "switchover halt ROUTE ENV --reason TEXT\n       \
                      switchover halt --environment ENV [--owner OWNER] [--label LABEL] [--route ROUTE]... --reason TEXT")]
pub(crate) struct HaltArgs {
    /// Key of the one route to halt
    #[arg(requires = "place", conflicts_with = "environment")]
    one: Option<String>,
    /// Key of its environment
    #[arg(value_name = "ENV")]
    place: Option<String>,
    /// Halt many at once: everything in this environment, or what follows narrows it down to
    #[arg(long, value_name = "ENV", required_unless_present = "one")]
    environment: Option<String>,
    /// Only routes of this owner
    #[arg(long, requires = "environment", conflicts_with = "one")]
    owner: Option<String>,
    /// Only routes with this label: NAME or NAME=VALUE
    #[arg(long, requires = "environment", conflicts_with = "one")]
    label: Option<String>,
    /// Only this route; can be repeated
    #[arg(
        long = "route",
        value_name = "ROUTE",
        requires = "environment",
        conflicts_with = "one"
    )]
    routes: Vec<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: HaltArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    if let (Some(route), Some(environment)) = (args.one, args.place) {
        let target = TargetArgs { route, environment };
        let body = json!({ "reason": args.reason.reason });
        let reply = session.post(&target.below("halt"), &body)?;
        return session.show(&reply, |_, transition: Transition| told(&transition));
    }
    let mut body = json!({
        "environment": args.environment,
        "owner": args.owner,
        "label": args.label,
        "reason": args.reason.reason,
    });
    if let (false, Some(fields)) = (args.routes.is_empty(), body.as_object_mut()) {
        fields.insert("routes".to_owned(), json!(args.routes));
    }
    let reply = session.post("/halts", &body)?;
    session.show(&reply, |_, done: HaltedMany| told_of_many(&done))
}

fn told_of_many(done: &HaltedMany) -> String {
    let mut text = format!(
        "{} halted in {}, {} were halted already",
        done.halted.len(),
        done.environment,
        done.already_halted.len()
    );
    if !done.halted.is_empty() {
        text.push_str(&format!("\nhalted: {}", done.halted.join(" ")));
    }
    if !done.mandatory.is_empty() {
        text.push_str(&format!(
            "\nNOT halted, because they are mandatory: {}\n  an admin can take one back: switchover \
             demote ROUTE {} --to opt_out --break-glass --halt --reason TEXT",
            done.mandatory.join(" "),
            done.environment
        ));
    }
    text
}
