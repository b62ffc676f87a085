//! `halt`: the kill switch, of one rollout or of many.

use clap::Args;
use serde_json::json;

use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::selection::SelectionArgs;
use crate::cli::session::Session;
use crate::cli::wire::{HaltedMany, Transition};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(override_usage = "switchover halt ROUTE ENV --reason TEXT\n       \
                      switchover halt --environment ENV [--owner OWNER] [--label LABEL] [--route ROUTE]... --reason TEXT")]
pub(crate) struct HaltArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &HaltArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reason = &args.reason.reason;
    if let Some(target) = args.selection.one() {
        let reply = session.post(&target.below("halt"), &json!({ "reason": reason }))?;
        return session.show(&reply, |_, transition: Transition| told(&transition));
    }
    let reply = session.post("/halts", &args.selection.many(reason))?;
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
