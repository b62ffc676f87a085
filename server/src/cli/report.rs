//! `report`: the whole migration of a route, as Markdown.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};
use crate::cli::session::{Session, note};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Key of the route
    route: String,
    /// File to write it to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ReportArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&format!("/routes/{}/report", encode(&args.route)), &[])?;
    if let Some(path) = &args.output {
        fs::write(path, reply.text())
            .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?;
        note(&format!("the report is in {}", path.display()));
    }
    if session.is_json() {
        let written = args.output.as_ref().map(|path| path.display().to_string());
        return say_json(&json!({ "route": args.route, "report": reply.text(), "file": written }));
    }
    match args.output {
        Some(_) => Ok(()),
        None => say(reply.text().trim_end()),
    }
}
