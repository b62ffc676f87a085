//! How long a step of a ramp is held.

use std::fmt;
use std::str::FromStr;

use chrono::Duration;
use serde::{Deserialize, Serialize};

/// A time in whole seconds, written as `10s`, `30m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hold(u32);

const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Hold {
    /// The longest that somebody may write into a plan: 90 days. A policy may hold for a year.
    pub const LONGEST: Hold = Hold(90 * 86_400);

    /// From hours, up to the next second.
    #[must_use]
    pub fn of_hours(hours: f64) -> Hold {
        #[expect(
            clippy::as_conversions,
            reason = "seconds of a year at most, which a policy was checked for; it saturates"
        )]
        Hold((hours * 3_600.0).ceil() as u32)
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// As a span of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::seconds(i64::from(self.0))
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, length): &&(char, u32)| self.0 > 0 && self.0.is_multiple_of(*length);
        let (unit, length) = UNITS.iter().find(whole).unwrap_or(&('s', 1));
        write!(f, "{}{unit}", self.0 / length)
    }
}

impl FromStr for Hold {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Hold, &'static str> {
        const WRONG: &str = "is a whole number with a unit, such as 10s, 30m, 24h or 7d";
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit));
        let (unit, length) = unit.ok_or(WRONG)?;
        let number = text.strip_suffix(*unit).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WRONG);
        }
        let number: u32 = number.parse().map_err(|_| "is too long")?;
        number.checked_mul(*length).map(Hold).ok_or("is too long")
    }
}

impl TryFrom<String> for Hold {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Hold, &'static str> {
        text.parse()
    }
}

impl From<Hold> for String {
    fn from(hold: Hold) -> String {
        hold.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_read_and_said_in_its_largest_unit() {
        for (text, seconds, said) in [
            ("0s", 0, "0s"),
            ("0d", 0, "0s"),
            ("10s", 10, "10s"),
            ("60s", 60, "1m"),
            ("90m", 5_400, "90m"),
            ("24h", 86_400, "1d"),
            ("7d", 604_800, "7d"),
            ("36h", 129_600, "36h"),
        ] {
            let hold: Hold = text.parse().unwrap();
            assert_eq!(
                (hold.seconds(), hold.to_string()),
                (seconds, said.to_owned())
            );
            assert_eq!(said.parse(), Ok(hold));
        }
        for wrong in [
            "",
            "s",
            "10",
            "-1s",
            "+1s",
            "1.5h",
            "1 h",
            "1w",
            "1H",
            "h1",
            "ds",
            "99999999999s",
            "99999d",
            "١s",
        ] {
            assert!(wrong.parse::<Hold>().is_err(), "{wrong}");
        }
        assert_eq!(Hold::of_hours(0.000_1), Hold(1));
        assert_eq!(Hold::of_hours(24.0).to_string(), "1d");
    }
}
