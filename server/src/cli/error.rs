//! Why a command did not do what it was asked, and how that is told.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::cli::problem::Problem;
use crate::config::ConfigError;
use crate::store::StoreError;
use crate::token::TokenError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// What failed, in one line or more.
    Failed(String),
    /// The server refused.
    Refused(Box<Problem>),
    /// There is no server at the address.
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// What the question is about cannot be read or is not believed, so there is no answer: not the
    /// exit status of a no.
    Unusable(String),
    /// The answer is no, and has been printed.
    No,
    /// What was waited for is another thing than hoped for, and has been printed: this exit status.
    Ended(u8),
    /// The reader of standard output has gone, as `head` does: nobody is left to tell.
    ReaderGone,
}

impl CliError {
    pub(crate) fn new(text: impl Into<String>) -> CliError {
        CliError::Failed(text.into())
    }

    /// The same as trouble: for commands whose status 1 is an answer.
    pub(crate) fn into_trouble(self) -> CliError {
        match self {
            CliError::ReaderGone | CliError::No | CliError::Ended(_) => self,
            other => CliError::Unusable(other.to_string()),
        }
    }

    /// Tells standard error; gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if matches!(self, CliError::ReaderGone) {
            return ExitCode::SUCCESS;
        }
        if !matches!(self, CliError::No | CliError::Ended(_)) {
            // Standard error may be closed; the exit status still says it.
            let _ = writeln!(io::stderr(), "switchover: {self}");
        }
        match self {
            CliError::Unusable(_) => ExitCode::from(2),
            CliError::Ended(status) => ExitCode::from(*status),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Failed(text) | CliError::Unusable(text) => f.write_str(text),
            CliError::Refused(problem) => write!(f, "{problem}"),
            CliError::Unreachable { url, why } => write!(
                f,
                "there is no server at {url} ({why})\n  start one with `switchover serve`, or name \
                 another with --url or SWITCHOVER_URL"
            ),
            CliError::No => f.write_str("no"),
            CliError::Ended(_) => f.write_str("it ended"),
            CliError::ReaderGone => f.write_str("the reader has gone"),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> CliError {
        CliError::new(error.to_string())
    }
}

impl From<TokenError> for CliError {
    fn from(error: TokenError) -> CliError {
        CliError::new(error.to_string())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        CliError::new(why(&error))
    }
}

/// What a database said, in one line: PostgreSQL's client library takes several.
pub(crate) fn why(error: &StoreError) -> String {
    let text = match error {
        StoreError::Unavailable(why) => why.clone(),
        other => other.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
