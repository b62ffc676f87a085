//! `dashboard`: a route in Grafana.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::cli::alerts::{Policies, one, reporting};
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::session::{Session, note};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::dashboard::Board;

#[derive(Args, Debug)]
pub(crate) struct DashboardArgs {
    /// Key of the route
    route: String,
    /// A whole dashboard, to be imported [default: a row, to be put into one that has the variables
    /// `datasource` and `environment`]
    #[arg(long)]
    full: bool,
    /// File to write it to [default: standard output]
    #[arg(long, short, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &DashboardArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let route = one(&session, &args.route)?;
    let environments = reporting(&session)?;
    let has = |key: &String| route.rollouts.iter().any(|it| it.environment == *key);
    let board = Board {
        limits: Policies::default().limits(&session, &route)?,
        environments: environments.into_iter().filter(has).collect(),
        route: route.key.clone(),
    };
    let drawn = if args.full {
        board.dashboard()
    } else {
        board.row()
    };
    let text = serde_json::to_string_pretty(&drawn).unwrap_or_default();
    match &args.output {
        Some(path) => {
            fs::write(path, format!("{text}\n")).map_err(|error| {
                CliError::new(format!("cannot write {}: {error}", path.display()))
            })?;
            note(&format!("the dashboard is in {}", path.display()));
            Ok(())
        }
        None => say(text),
    }
}
