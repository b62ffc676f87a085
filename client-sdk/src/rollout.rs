//! What a snapshot says about one route in one environment.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bucket::BUCKETS;
use crate::stage::Stage;

/// The name of a route: `[a-z][a-z0-9_]{0,62}`. Never reused, also after the route is retired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RouteKey(Box<str>);

/// The name of a route's environment variable: `[A-Z][A-Z0-9_]{0,126}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FlagName(Box<str>);

/// The name of a release: up to 64 letters, digits, `.`, `_` and `-`, the first a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ReleaseName(Box<str>);

/// The text is not a name of its kind. The message says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(&'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name {
    ($name:ident, $valid:ident, $message:literal) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $valid(text.as_bytes()) {
                    Ok($name(text.into()))
                } else {
                    Err(InvalidName($message))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    RouteKey,
    valid_key,
    "a route key is a lower-case letter, then up to 62 lower-case letters, digits or underscores"
);
name!(
    FlagName,
    valid_flag,
    "a flag is an upper-case letter, then up to 126 upper-case letters, digits or underscores"
);

name!(
    ReleaseName,
    valid_release,
    "a release is named by a letter or a digit, then up to 63 letters, digits, dots, underscores or \
     hyphens"
);

fn valid_key(text: &[u8]) -> bool {
    valid(text, 63, u8::is_ascii_lowercase)
}

fn valid_flag(text: &[u8]) -> bool {
    valid(text, 127, u8::is_ascii_uppercase)
}

fn valid_release(text: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.first().is_some_and(u8::is_ascii_alphanumeric)
        && text.iter().all(legal)
}

fn valid(text: &[u8], longest: usize, letter: fn(&u8) -> bool) -> bool {
    text.len() <= longest
        && text.first().is_some_and(letter)
        && text
            .iter()
            .all(|byte| letter(byte) || byte.is_ascii_digit() || *byte == b'_')
}

impl FlagName {
    /// The flag up to its first underscore: `GITALY` of `GITALY_COUNT_COMMITS`. Names the variable
    /// `<PREFIX>_FEATURE_DEFAULT_ON` (decision rule 10).
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.split('_').next().unwrap_or(&self.0)
    }
}

/// A share of the traffic in thousandths of a percent; on the wire a number from 0 to 100 with up
/// to three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

/// The number is not a percentage from 0 to 100 with at most three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPercent;

impl fmt::Display for InvalidPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a percentage is a number from 0 to 100 with at most three decimals")
    }
}

impl std::error::Error for InvalidPercent {}

impl Percent {
    /// Nothing.
    pub const ZERO: Percent = Percent(0);
    /// Everything.
    pub const HUNDRED: Percent = Percent(BUCKETS);

    /// From thousandths of a percent, `0..=100_000`: as many as there are buckets below the share.
    ///
    /// # Errors
    /// When it is more than the whole.
    pub const fn from_thousandths(thousandths: u32) -> Result<Percent, InvalidPercent> {
        if thousandths <= BUCKETS {
            Ok(Percent(thousandths))
        } else {
            Err(InvalidPercent)
        }
    }

    /// In thousandths of a percent.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Percent {
    type Error = InvalidPercent;

    fn try_from(percent: f64) -> Result<Percent, InvalidPercent> {
        let rounded = (percent * 1000.0).round();
        // Division rounds to the nearest: it gives the number that the three decimals are read as.
        #[expect(clippy::float_cmp, reason = "any other number has more decimals")]
        let is_exact = rounded / 1000.0 == percent;
        if !(0.0..=100_000.0).contains(&rounded) || !is_exact {
            return Err(InvalidPercent);
        }
        #[expect(
            clippy::as_conversions,
            reason = "a whole number from 0 to 100000, checked above"
        )]
        Ok(Percent(rounded as u32))
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;

    /// Reads `12.5` and `12.5%`.
    fn from_str(text: &str) -> Result<Percent, InvalidPercent> {
        let number = text.strip_suffix('%').unwrap_or(text);
        Percent::try_from(number.parse::<f64>().map_err(|_| InvalidPercent)?)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 1000.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u32(self.0 / 1000)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Percent::try_from(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What a person or a ramp has set for one rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Setting {
    /// The stage decides.
    #[default]
    StageDefault,
    /// Every key takes the old path.
    Off,
    /// Every key takes the new path.
    On,
    /// This share of the keys takes the new path.
    Ramp {
        /// The share.
        percent: Percent,
    },
}

/// The share of calls on which the other path runs too: shadow reads and dual writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Share of the reads that are also run, and compared, on the other path.
    #[serde(default, rename = "read_percent")]
    pub read: Percent,
    /// Share of the keys whose writes are copied to the other side.
    #[serde(default, rename = "write_percent")]
    pub write: Percent,
}

/// What callers count apart for the server's guards. Limits in milliseconds, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The environment's revision from which on guards count: what was counted before is of another
    /// epoch. 0 where nothing guards the route.
    #[serde(default, skip_serializing_if = "is_default")]
    pub since: u64,
    /// Calls that take longer are slow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_ms: Vec<u32>,
    /// Mirror calls that take longer are slow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror_slow_ms: Vec<u32>,
}

/// A route in one environment, as a snapshot publishes it. Fields that this version does not know
/// are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The route's environment variable.
    pub flag: FlagName,
    /// The stage reached here.
    pub stage: Stage,
    /// What has been set on top of the stage.
    #[serde(default, skip_serializing_if = "is_default")]
    pub setting: Setting,
    /// Whether the kill switch is on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub halted: bool,
    /// Keys that take the new path whatever the ramp says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub include: BTreeSet<Box<str>>,
    /// Keys that take the old path whatever the ramp says; stronger than `include`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exclude: BTreeSet<Box<str>>,
    /// Routes that must decide new for a key before this one may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requires: BTreeSet<RouteKey>,
    /// Routes of one group move the same keys together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ramp_group: Option<Box<str>>,
    /// What also runs on the other path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: Mirror,
    /// What callers count apart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub watch: Watch,
    /// Counts the times that authority over keys was about to move, or moved: at each hold, and at
    /// each change that moves keys without one, such as a halt. Writes and copies carry the one under
    /// which they began.
    #[serde(default, skip_serializing_if = "is_default")]
    pub generation: u64,
    /// The flip that is under way: writes of the keys that it moves wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Next>>,
}

/// What a rollout is to be after a flip, as far as it decides paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The stage.
    pub stage: Stage,
    /// The setting.
    #[serde(default, skip_serializing_if = "is_default")]
    pub setting: Setting,
    /// Whether the kill switch is on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub halted: bool,
    /// Keys that take the new path whatever the ramp says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub include: BTreeSet<Box<str>>,
    /// Keys that take the old path whatever the ramp says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exclude: BTreeSet<Box<str>>,
}

/// What is as usual is not sent: nearly every field of nearly every route.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rollout {
    /// A route at a stage with nothing set on top of it.
    #[must_use]
    pub fn at(flag: FlagName, stage: Stage) -> Rollout {
        Rollout {
            flag,
            stage,
            setting: Setting::StageDefault,
            halted: false,
            include: BTreeSet::new(),
            exclude: BTreeSet::new(),
            requires: BTreeSet::new(),
            ramp_group: None,
            mirror: Mirror::default(),
            watch: Watch::default(),
            generation: 0,
            hold: None,
        }
    }

    /// The rollout as the flip under way would leave it; `None` where none is.
    #[must_use]
    pub fn flipped(&self) -> Option<Rollout> {
        let next = self.hold.as_deref()?.clone();
        Some(Rollout {
            stage: next.stage,
            setting: next.setting,
            halted: next.halted,
            include: next.include,
            exclude: next.exclude,
            hold: None,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_ascii() {
        for good in ["a", "count_commits", "a0_", &"a".repeat(63)] {
            assert!(good.parse::<RouteKey>().is_ok(), "{good}");
        }
        for bad in ["", "_a", "0a", "A", "a-b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<RouteKey>().is_err(), "{bad}");
        }
        for good in ["1", "17.5.0", "v1_rc-2", &"a".repeat(64)] {
            assert!(good.parse::<ReleaseName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "-1", "1/2", "1 2", "1\n", "ä", &"a".repeat(65)] {
            assert!(bad.parse::<ReleaseName>().is_err(), "{bad}");
        }
        assert_eq!(
            "GITALY_COUNT_COMMITS".parse::<FlagName>().unwrap().prefix(),
            "GITALY"
        );
    }

    #[test]
    fn percentages_keep_three_decimals_and_no_more() {
        for (text, thousandths) in [("0", 0), ("12.5", 12_500), ("0.001", 1), ("100%", 100_000)] {
            assert_eq!(text.parse::<Percent>().unwrap().thousandths(), thousandths);
        }
        for bad in ["-1", "100.001", "0.0001", "NaN", "inf", "ten", ""] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        for barely in [
            "100.0000000001",
            "0.0010001",
            "12.5000000001",
            "-0.0000000001",
            "1e-12",
        ] {
            assert!(barely.parse::<Percent>().is_err(), "{barely}");
            assert!(serde_json::from_str::<Percent>(barely).is_err(), "{barely}");
        }
        for thousandths in 0..=100_000 {
            let percent = Percent::from_thousandths(thousandths).unwrap();
            let written = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            assert_eq!(written.parse::<Percent>().unwrap(), percent);
            let number = f64::from(thousandths) / 1000.0;
            assert_eq!(Percent::try_from(number).unwrap(), percent);
            let text = serde_json::to_string(&percent).unwrap();
            assert_eq!(serde_json::from_str::<Percent>(&text).unwrap(), percent);
        }
    }
}
