//! Manifests from files, for commands that ask no server.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use clap::Args;
use switchover::{MAX_MANIFEST_BYTES, Manifest, ManifestKey};

use crate::cli::error::CliError;

/// Whom to believe.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// Key that has to have signed the manifest, as builds pin it; of several one is enough
    #[arg(long = "manifest-key", value_name = "KEY")]
    keys: Vec<ManifestKey>,
}

impl KeyArgs {
    /// Whether signatures are checked.
    pub(crate) fn is_given(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Reads a manifest, and checks its signature when there is a key to check it with.
    pub(crate) fn read(&self, path: &Path) -> Result<Manifest, CliError> {
        let failed = |why: String| CliError::Unusable(format!("{}: {why}", path.display()));
        let most = u64::try_from(MAX_MANIFEST_BYTES).unwrap_or(u64::MAX);
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(most + 1).read_to_string(&mut text))
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
        let read = match self.is_given() {
            true => Manifest::verify(&text, &self.keys),
            false => Manifest::read_unverified(&text),
        };
        read.map_err(|error| failed(format!("the manifest is refused: {error}")))
    }
}
