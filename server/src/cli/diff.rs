//! `diff`: what a file would change.

use clap::Args;
use serde_json::json;

use crate::cli::declared::walk::{Client, Walk};
use crate::cli::declared::{AllowedArgs, impossible, read_file, shown};
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// YAML or JSON, as `switchover export` writes it; - is standard input
    #[arg(value_name = "FILE")]
    from: String,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &DiffArgs) -> Result<(), CliError> {
    let declared = read_file(&args.from)?;
    let client = Client {
        file,
        args: &args.client,
    };
    let walk =
        Walk::begin(client, &declared, args.allowed.into()).map_err(CliError::into_trouble)?;
    let plan = walk
        .plan()
        .map_err(|complaints| impossible(&args.from, &complaints))?;
    let lacking = walk.lacking(&plan).map_err(CliError::into_trouble)?;
    if walk.session().is_json() {
        let (items, notes) = (&plan.items, &plan.notes);
        say_json(&json!({ "items": items, "notes": notes, "lacking": lacking }))?;
    } else {
        say(shown::plan(&plan, &lacking))?;
    }
    if plan.items.is_empty() {
        Ok(())
    } else {
        Err(CliError::No)
    }
}
