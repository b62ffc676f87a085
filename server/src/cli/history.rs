//! `history`: what happened to a route.

use clap::Args;

use crate::cli::api::encode;
use crate::cli::args::given;
use crate::cli::audit::entries;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    /// Key of the route
    route: String,
    /// Only in this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// How many entries, newest first
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &HistoryArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = given([("environment", &args.environment)]);
    let path = format!("/routes/{}/history", encode(&args.route));
    let limit = usize::try_from(args.limit).ok();
    let reply = session.list(&path, &query, limit)?;
    session.show(&reply, entries)
}
