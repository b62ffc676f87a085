//! When a flip that is held may be made.

use chrono::{DateTime, Duration, Utc};

/// For so long a flip is held at most. Writes wait two seconds at most, so that nobody fails even where
/// the flip is given up.
pub const LONGEST_HOLD: Duration = Duration::milliseconds(1_500);
/// A process that writes a data route reports every five seconds. One that has been silent for so long
/// has vanished.
pub const VANISHED_AFTER: Duration = Duration::seconds(15);

/// What is known of a process that writes a data route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What people know it by.
    pub name: String,
    /// The last generation whose hold it has done its part for.
    pub drained: Option<u64>,
}

/// What becomes of a flip that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Go,
    /// These have not done their part yet.
    Wait(Vec<String>),
    /// The time is over: it is given up, and nothing has changed. These had not done their part.
    Abandon(Vec<String>),
}

/// Judges a flip by what every known process has reported. Each must have done its part for that very
/// generation: an earlier hold's says nothing about this one, and a silent process is never taken for
/// one that does nothing.
#[must_use]
pub fn verdict(
    known: &[Known],
    generation: u64,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Verdict {
    let lacking: Vec<String> = known
        .iter()
        .filter(|process| process.drained != Some(generation))
        .map(|process| process.name.clone())
        .collect();
    if lacking.is_empty() {
        Verdict::Go
    } else if now < until {
        Verdict::Wait(lacking)
    } else {
        Verdict::Abandon(lacking)
    }
}

#[cfg(test)]
mod tests;
