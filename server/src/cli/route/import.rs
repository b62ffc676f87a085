//! `route import`: many routes from a file.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::cli::error::CliError;
use crate::cli::files::read_text;
use crate::cli::output::count;
use crate::cli::session::Session;
use crate::cli::wire::Imported;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// JSON array of routes, as POST /api/v1/routes:import takes it; - is standard input
    #[arg(value_name = "FILE")]
    from: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn run(file: &FileArgs, args: &ImportArgs) -> Result<(), CliError> {
    let text = read_text(&args.from)?;
    let rows: Vec<Value> = serde_json::from_str(&text).map_err(|error| {
        CliError::new(format!("{} is no JSON array of routes: {error}", args.from))
    })?;
    let session = Session::open(file, &args.client)?;
    let progress = progress(rows.len());
    let answered = session.post_text("/routes:import", text);
    progress.finish_and_clear();
    session.show(&answered?, |_, done: Imported| {
        format!("imported {}", count(done.imported, "route"))
    })
}

/// All rows go in one transaction, so there is a time to show and no share.
fn progress(rows: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar =
        ProgressBar::new_spinner().with_message(format!("importing {}", count(rows, "route")));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
