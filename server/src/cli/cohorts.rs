//! `cohorts`: the keys that are treated apart.

use clap::Args;
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::session::Session;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct CohortsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Keys that take the new path whatever the ramp says; they replace those that are set
    #[arg(long, value_name = "KEY", num_args = 1..)]
    include: Vec<String>,
    /// Keys that take the old path whatever the ramp says; they replace those that are set
    #[arg(long, value_name = "KEY", num_args = 1..)]
    exclude: Vec<String>,
    /// Cohorts whose keys are included too; `switchover cohort list` shows what there is
    #[arg(long, value_name = "COHORT", num_args = 1..)]
    include_cohort: Vec<String>,
    /// Cohorts whose keys are excluded too
    #[arg(long, value_name = "COHORT", num_args = 1..)]
    exclude_cohort: Vec<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &CohortsArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "include": args.include,
        "exclude": args.exclude,
        "include_cohorts": args.include_cohort,
        "exclude_cohorts": args.exclude_cohort,
        "reason": args.reason.reason,
    });
    let reply = session.put(&args.target.below("cohorts"), &body)?;
    show_done(&session, &args.target, &reply)
}
