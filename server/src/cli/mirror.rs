//! `mirror`: what also runs on the other path.

use clap::Args;
use serde_json::json;
use switchover::Percent;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::session::Session;
use crate::cli::wire::Transition;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct MirrorArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The share of the reads that also run on the other path, such as 1%
    #[arg(long, value_name = "PERCENT")]
    read: Percent,
    /// The share of the keys whose writes are copied to the other side, such as 100%
    #[arg(long, value_name = "PERCENT")]
    write: Percent,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &MirrorArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "read_percent": args.read,
        "write_percent": args.write,
        "reason": args.reason.reason,
    });
    let reply = session.put(&args.target.below("mirror"), &body)?;
    session.show(&reply, |_, transition: Transition| told(&transition))
}
