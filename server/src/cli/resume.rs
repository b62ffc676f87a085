//! `resume`: undoes a halt, of one rollout or of many.

use clap::Args;
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::session::Session;
use crate::cli::wire::{ResumedMany, Transition};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(override_usage = "switchover resume ROUTE ENV --reason TEXT\n       \
                      switchover resume --environment ENV [--owner OWNER] [--label LABEL] [--route ROUTE]... --reason TEXT")]
pub(crate) struct ResumeArgs {
    /// Key of the one route to resume
    #[arg(requires = "place", conflicts_with = "environment")]
    one: Option<String>,
    /// Key of its environment
    #[arg(value_name = "ENV")]
    place: Option<String>,
    /// Resume many at once: all that is halted in this environment, or what follows narrows it down
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

pub(crate) fn run(file: &FileArgs, args: ResumeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    if let (Some(route), Some(environment)) = (args.one, args.place) {
        let target = TargetArgs { route, environment };
        let body = json!({ "reason": args.reason.reason });
        let reply = session.post(&target.below("resume"), &body)?;
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
    let reply = session.post("/resumes", &body)?;
    session.show(&reply, |_, done: ResumedMany| told_of_many(&done))
}

fn told_of_many(done: &ResumedMany) -> String {
    let mut text = format!("{} resumed in {}", done.resumed.len(), done.environment);
    if !done.resumed.is_empty() {
        text.push_str(&format!("\nresumed: {}", done.resumed.join(" ")));
    }
    for still in &done.still_halted {
        text.push_str(&format!(
            "\nSTILL halted: {}: {}",
            still.route, still.detail
        ));
    }
    text
}
