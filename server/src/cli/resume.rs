//! `resume`: undoes a halt.

use clap::Args;
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::session::Session;
use crate::cli::wire::Transition;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ResumeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({ "reason": args.reason.reason });
    let reply = session.post(&args.target.below("resume"), &body)?;
    session.show(&reply, |_, transition: Transition| told(&transition))
}
