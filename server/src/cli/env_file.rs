//! Files with environment variables ([`variables`](crate::domain::variables)), and where they are.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use switchover::Overrides;

use crate::cli::error::CliError;
use crate::domain::variables::parse;

/// The largest file, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Where the variables of an installation are.
#[derive(Args, Debug)]
pub(crate) struct EnvArgs {
    /// File with the application's environment variables; of several the last that names one counts
    #[arg(long = "env-file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take the variables of this command's own environment instead
    #[arg(long = "env", conflicts_with = "files")]
    process: bool,
}

impl EnvArgs {
    /// The variables.
    pub(crate) fn read(&self) -> Result<Overrides, CliError> {
        if self.process {
            return Ok(Overrides::from_process());
        }
        let mut variables = Vec::new();
        for path in &self.files {
            let failed = |why: String| CliError::Unusable(format!("{}: {why}", path.display()));
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
                .map_err(|error| failed(format!("cannot be read: {error}")))?;
            if u64::try_from(bytes.len()).is_ok_and(|size| size > LARGEST) {
                return Err(failed(format!("has more than {LARGEST} bytes")));
            }
            let text = String::from_utf8_lossy(&bytes);
            variables.extend(parse(&text).map_err(|line| {
                failed(format!(
                    "line {line} is no NAME=VALUE, or its quotes do not end"
                ))
            })?);
        }
        Ok(variables.into_iter().collect())
    }

    /// Whether it says where they are.
    pub(crate) fn is_given(&self) -> bool {
        self.process || !self.files.is_empty()
    }
}
