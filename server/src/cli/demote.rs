//! `demote`: any number of stages back.

use clap::Args;
use serde_json::json;
use switchover::Stage;

use crate::cli::args::{LossArgs, ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::session::Session;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct DemoteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The stage to go back to
    #[arg(long, value_name = "STAGE")]
    to: Stage,
    /// Said on purpose, by an admin: also out of mandatory
    #[arg(long)]
    break_glass: bool,
    /// Halt it in the same step
    #[arg(long)]
    halt: bool,
    /// Demote the routes that require it too
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    loss: LossArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &DemoteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "to": args.to,
        "reason": args.reason.reason,
        "break_glass": args.break_glass,
        "halt": args.halt,
        "cascade": args.cascade,
        "accept_loss": args.loss.accept_loss,
    });
    let mut answered = session.post(&args.target.below("demotions"), &body);
    if let Err(CliError::Refused(problem)) = &mut answered
        && problem.code == "mandatory"
        && !args.break_glass
    {
        // The server names the field; people have the argument.
        problem.hint =
            Some("pass --break-glass (and --halt to stop it in the same step)".to_owned());
    }
    let reply = answered?;
    show_done(&session, &args.target, &reply)
}
