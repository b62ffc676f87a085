//! How much work a migration is, and how urgent: within bounds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::field::FieldError;
use crate::domain::text::bounded;

/// The largest number of days that an estimate says.
pub const MOST_DAYS: u32 = 10_000;
/// The last priority; 1 is the first.
pub const LAST_PRIORITY: u32 = 1_000_000;

/// Roughly how much work it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Estimate {
    /// So many days.
    Days(u32),
    /// In words: "two sprints".
    Words(String),
}

impl Estimate {
    /// The same, when it is within bounds.
    ///
    /// # Errors
    /// When it is not; the text says what would be.
    pub fn checked(self) -> Result<Estimate, String> {
        match self {
            Estimate::Days(days @ 1..=MOST_DAYS) => Ok(Estimate::Days(days)),
            Estimate::Days(_) => Err(format!("is 1 to {MOST_DAYS} days, or words")),
            Estimate::Words(words) => bounded(&words, 200)
                .map(Estimate::Words)
                .ok_or_else(|| "is 1 to 200 printable characters, or a number of days".to_owned()),
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Estimate::Days(1) => f.write_str("1 day"),
            Estimate::Days(days) => write!(f, "{days} days"),
            Estimate::Words(words) => f.write_str(words),
        }
    }
}

/// Estimate and priority, within bounds.
///
/// # Errors
/// Everything that is wrong with them.
pub fn checked(
    estimate: Option<Estimate>,
    priority: Option<u32>,
) -> Result<(Option<Estimate>, Option<u32>), Vec<FieldError>> {
    let mut errors = Vec::new();
    let estimate = match estimate.map(Estimate::checked).transpose() {
        Ok(estimate) => estimate,
        Err(detail) => {
            errors.push(FieldError::new("estimate", detail));
            None
        }
    };
    if priority.is_some_and(|priority| !(1..=LAST_PRIORITY).contains(&priority)) {
        let detail = format!("is 1 to {LAST_PRIORITY}, and 1 comes first");
        errors.push(FieldError::new("priority", detail));
    }
    if errors.is_empty() {
        Ok((estimate, priority))
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_bounded() {
        let words = |text: &str| Estimate::Words(text.to_owned()).checked();
        assert_eq!(
            words(" two sprints "),
            Ok(Estimate::Words("two sprints".to_owned()))
        );
        for wrong in ["", "  ", "a\0", &"a".repeat(201)] {
            assert!(words(wrong).is_err());
        }
        assert!(Estimate::Days(0).checked().is_err());
        assert!(Estimate::Days(MOST_DAYS).checked().is_ok());
        assert!(Estimate::Days(MOST_DAYS + 1).checked().is_err());
        assert_eq!(Estimate::Days(1).to_string(), "1 day");
    }
}
