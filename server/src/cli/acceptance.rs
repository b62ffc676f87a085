//! `acceptance`: a window in which a route is tested, up to a share and a time.

use chrono::{DateTime, Duration, Utc};
use clap::Args;
use serde_json::json;
use switchover::Percent;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::session::Session;
use crate::cli::ttl;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct AcceptanceArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// When it closes by itself, such as 2026-11-21T18:00:00Z; at most 30 days ahead
    #[arg(long, value_name = "TIME", value_parser = parse_time, required_unless_present_any = ["length", "close"], conflicts_with = "length")]
    until: Option<DateTime<Utc>>,
    /// How long it stays open: 30m, 2h, 1d
    #[arg(long = "for", id = "length", value_name = "TIME", value_parser = ttl::parse)]
    length: Option<Duration>,
    /// The largest share of the keys [default: 0, with --cohort]
    #[arg(long, required_unless_present_any = ["cohort", "close"])]
    percent: Option<Percent>,
    /// Keys that take the new path
    #[arg(long, value_name = "KEY", num_args = 1..)]
    cohort: Vec<String>,
    /// Close the window, and take the setting back
    #[arg(long, conflicts_with_all = ["until", "length", "percent", "cohort"])]
    close: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &AcceptanceArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = args.target.below("acceptance");
    let reply = if args.close {
        session.delete(&path, &[("reason", args.reason.reason.clone())])?
    } else {
        let ends = args.length.map(|length| Utc::now() + length);
        let body = json!({
            "until": args.until.or(ends),
            "percent": args.percent,
            "cohort": args.cohort,
            "reason": args.reason.reason,
        });
        session.post(&path, &body)?
    };
    show_done(&session, &args.target, &reply)
}

/// A time as a person writes it.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "write it as 2026-11-21T18:00:00Z, or say how long with --for 2h".to_owned())
}
