//! A clock that a test moves while the server runs, by writing a file. In no release.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Duration;

use crate::cli::error::CliError;
use crate::cli::ttl;
use crate::service::{Clock, system_clock};

/// The furthest that a clock can be ahead.
const FURTHEST_DAYS: i64 = 36_500;

/// The machine's clock, ahead by what the file says whenever somebody looks.
pub(super) fn read_from(file: PathBuf) -> Result<Clock, CliError> {
    let first = seconds_ahead(&file).map_err(|why| {
        CliError::new(format!(
            "cannot take the clock from {}: {why}",
            file.display()
        ))
    })?;
    tracing::warn!(file = %file.display(), "the clock is a test's: times are not real");
    let (real, ahead) = (system_clock(), AtomicI64::new(first));
    Ok(Arc::new(move || {
        // Whoever looks while the file is being written gets what it said before.
        if let Ok(seconds) = seconds_ahead(&file) {
            ahead.store(seconds, Ordering::SeqCst);
        }
        let now = real();
        now.checked_add_signed(Duration::seconds(ahead.load(Ordering::SeqCst)))
            .unwrap_or(now)
    }))
}

fn seconds_ahead(file: &Path) -> Result<i64, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let text = text.trim();
    let ahead = match text.parse() {
        Ok(seconds) if seconds >= 0 => Duration::try_seconds(seconds),
        Ok(_) => None,
        Err(_) => Some(ttl::parse(text)?),
    };
    ahead
        .filter(|ahead| *ahead <= Duration::days(FURTHEST_DAYS))
        .map(|ahead| ahead.num_seconds())
        .ok_or_else(|| format!("`{text}` lies in the past, or further than {FURTHEST_DAYS}d ahead"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(read_from(file.path().to_owned()).is_err(), "it is empty");
        let write = |text: &str| fs::write(file.path(), text).unwrap();
        write("0\n");
        let clock = read_from(file.path().to_owned()).unwrap();
        let real = system_clock();
        let ahead = || (clock() - real()).num_minutes();
        assert_eq!(ahead(), 0);
        for (text, minutes) in [("90", 1), ("7d\n", 10_079), ("", 10_079), ("-5", 10_079)] {
            write(text);
            assert!((minutes - 1..=minutes + 1).contains(&ahead()), "{text}");
        }
    }
}
