//! `approve`: a second pair of eyes on a promotion.

use clap::Args;
use serde_json::json;
use switchover::Stage;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::promote::next_stage;
use crate::cli::session::Session;
use crate::cli::wire::Approval;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The stage that is approved [default: the next one]
    #[arg(long, value_name = "STAGE")]
    to: Option<Stage>,
    /// What you looked at
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ApproveArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let to = match args.to {
        Some(to) => to,
        None => next_stage(&session, &args.target)?,
    };
    let body = json!({ "to": to, "comment": args.comment });
    let reply = session.post(&args.target.below("approvals"), &body)?;
    session.show(&reply, |_, given: Approval| {
        format!(
            "{} in {}: promotion to {} is approved by {}, as it is now",
            given.route, given.environment, given.to, given.approver
        )
    })
}
