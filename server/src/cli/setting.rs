//! `setting`: what is set on top of the stage.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use switchover::Percent;

use crate::cli::args::{LossArgs, ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::session::Session;
use crate::config::{ClientArgs, FileArgs};

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Mode {
    /// Whatever the stage says
    StageDefault,
    /// The old path
    Off,
    /// The new path
    On,
    /// The new path for a share of the keys
    Ramp,
}

#[derive(Args, Debug)]
pub(crate) struct SettingArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// What to set
    mode: Mode,
    /// The share of a ramp: 0 to 100 with up to three decimals
    #[arg(required_if_eq("mode", "ramp"))]
    percent: Option<Percent>,
    #[command(flatten)]
    loss: LossArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &SettingArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "mode": args.mode,
        "percent": args.percent,
        "reason": args.reason.reason,
        "accept_loss": args.loss.accept_loss,
    });
    let reply = session.put(&args.target.below("setting"), &body)?;
    show_done(&session, &args.target, &reply)
}
