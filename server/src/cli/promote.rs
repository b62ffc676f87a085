//! `promote`: one stage forward.

use clap::Args;
use serde_json::json;
use switchover::Stage;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::session::Session;
use crate::cli::wire::Rollout;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The stage to reach [default: the next one]
    #[arg(long, value_name = "STAGE")]
    to: Option<Stage>,
    /// Promote the routes that it requires too, where they are one stage behind
    #[arg(long)]
    cascade: bool,
    /// Pass over the gates that ask for proof: for admins, and the record shows it
    #[arg(long)]
    break_glass: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &PromoteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let to = match args.to {
        Some(to) => to,
        None => next_stage(&session, &args.target)?,
    };
    let body = json!({
        "to": to,
        "reason": args.reason.reason,
        "cascade": args.cascade,
        "break_glass": args.break_glass,
    });
    let reply = session.post(&args.target.below("promotions"), &body)?;
    show_done(&session, &args.target, &reply)
}

/// The stage that a rollout may be promoted to.
pub(crate) fn next_stage(session: &Session, target: &TargetArgs) -> Result<Stage, CliError> {
    let rollout: Rollout = session.get(&target.path(), &[])?.read()?;
    rollout.next_stage.ok_or_else(|| {
        CliError::new(format!(
            "{} is {} in {}: nothing is left to promote",
            target.route, rollout.stage, target.environment
        ))
    })
}
