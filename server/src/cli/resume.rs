//! `resume`: undoes a halt, of one rollout or of many.

use clap::Args;
use serde_json::json;

use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::selection::SelectionArgs;
use crate::cli::session::Session;
use crate::cli::wire::ResumedMany;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(override_usage = "switchover resume ROUTE ENV --reason TEXT\n       \
                      switchover resume --environment ENV [--owner OWNER] [--label LABEL] [--route ROUTE]... --reason TEXT")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ResumeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reason = &args.reason.reason;
    if let Some(target) = args.selection.one() {
        let reply = session.post(&target.below("resume"), &json!({ "reason": reason }))?;
        return show_done(&session, &target, &reply);
    }
    let reply = session.post("/resumes", &args.selection.many(reason))?;
    session.show(&reply, |_, done: ResumedMany| told_of_many(&done))
}

fn told_of_many(done: &ResumedMany) -> String {
    let mut text = format!("{} resumed in {}", done.resumed.len(), done.environment);
    if !done.resumed.is_empty() {
        text.push_str(&format!("\nresumed: {}", done.resumed.join(" ")));
    }
    if !done.announced.is_empty() {
        let announced = done.announced.join(" ");
        text.push_str(&format!(
            "\nannounced, as keys move between two stores: {announced}"
        ));
    }
    for still in &done.still_halted {
        text.push_str(&format!(
            "\nSTILL halted: {}: {}",
            still.route, still.detail
        ));
    }
    text
}
