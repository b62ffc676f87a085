//! `openapi`: the description of the REST interface.

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::http;

#[derive(Args, Debug)]
pub(crate) struct OpenapiArgs {
    /// Changes nothing: the document is JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(_: &OpenapiArgs) -> Result<(), CliError> {
    let document = http::openapi()
        .to_pretty_json()
        .map_err(|error| CliError::new(format!("cannot write the document: {error}")))?;
    say(document)
}
