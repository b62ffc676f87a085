//! `openapi`: the description of the REST interface.

use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::http;

pub(crate) fn run() -> Result<(), CliError> {
    let document = http::openapi()
        .to_pretty_json()
        .map_err(|error| CliError::new(format!("cannot write the document: {error}")))?;
    say(document)
}
