//! What goes to standard output.

use std::io::{self, ErrorKind, Write as _};

use crate::cli::error::CliError;

/// Prints a line.
pub(crate) fn say(line: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    // Flushed, so that a reader at the other end of a pipe sees each line when it is said.
    writeln!(out, "{}", line.as_ref())
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => CliError::ReaderGone,
            _ => CliError::new(format!("cannot write to standard output: {error}")),
        })
}
