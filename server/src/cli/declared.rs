//! What `export`, `diff`, `apply` and `import` share: the server as a whole, a plan for people, and the
//! walk that carries it out.

pub(crate) mod look;
pub(crate) mod outcome;
mod request;
mod seen;
pub(crate) mod shown;
pub(crate) mod walk;

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::files::read_text;
use crate::domain::declared::{Allowed, Declared};

/// What somebody allows a file to do.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AllowedArgs {
    /// Take routes back where the file says an earlier stage
    #[arg(long)]
    pub(crate) allow_demotion: bool,
    /// Delete the cohorts, ramp groups and policies that the file's sections do not name
    #[arg(long)]
    pub(crate) prune: bool,
}

impl From<AllowedArgs> for Allowed {
    fn from(args: AllowedArgs) -> Allowed {
        Allowed {
            demotion: args.allow_demotion,
            prune: args.prune,
        }
    }
}

/// A file, or standard input, as a declaration.
pub(crate) fn read_file(from: &str) -> Result<Declared, CliError> {
    let text = read_text(from).map_err(CliError::into_trouble)?;
    Declared::read(&text).map_err(|why| CliError::Unusable(format!("{from}: {why}")))
}

/// What makes a declaration impossible here.
pub(crate) fn impossible(from: &str, complaints: &[String]) -> CliError {
    CliError::Unusable(format!("{from}:\n  {}", complaints.join("\n  ")))
}
