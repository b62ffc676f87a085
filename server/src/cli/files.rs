//! Files that are read, and files and directories that are nobody else's business.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::cli::error::CliError;
use crate::token;

/// The text of a file, or of standard input when the file is `-`.
pub(crate) fn read_text(from: &str) -> Result<String, CliError> {
    let read = if from == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(from)
    };
    read.map_err(|error| CliError::new(format!("cannot read {from}: {error}")))
}

/// Makes a directory that only its owner may enter, unless it is there.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), CliError> {
    token::make_private_dir(path).map_err(|error| {
        CliError::new(format!(
            "cannot make the data directory {}: {error}",
            path.display()
        ))
    })
}

/// Takes a file from everybody but its owner.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    writeln!(options.open(path)?, "{text}")
}
