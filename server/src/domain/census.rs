//! Which environment-variable overrides are in force where, as sites that the server cannot ask have
//! written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use switchover::{FlagName, ReleaseName};

use crate::domain::environment::EnvironmentKey;
use crate::domain::moment;

/// The most variables that a census may name.
pub const MOST_OVERRIDES: usize = 1_000;
/// The most sites of one environment.
pub const MOST_SITES: usize = 5_000;
/// How far ahead of the server's clock a site's may be.
const CLOCKS_APART: Duration = Duration::hours(24);

/// The name of a site: up to 100 letters, digits, `.`, `_` and `-`, the first a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SiteName(Box<str>);

impl SiteName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SiteName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SiteName, &'static str> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let first = text.bytes().next();
        if first.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.len() <= 100
            && text.bytes().all(legal)
        {
            Ok(SiteName(text.into()))
        } else {
            Err(
                "a site is named by a letter or a digit, then up to 99 letters, digits, dots, \
                 underscores or hyphens",
            )
        }
    }
}

impl<'de> Deserialize<'de> for SiteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SiteName, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a site says about itself. Other variables than flags and `<PREFIX>_FEATURE_DEFAULT_ON` are
/// never in it: they may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Where its callers run.
    pub environment: EnvironmentKey,
    /// Which installation.
    pub site: SiteName,
    /// The release that it runs.
    pub release: Option<ReleaseName>,
    /// When it was written down there.
    pub taken_at: DateTime<Utc>,
    /// When it came to the server.
    pub imported_at: DateTime<Utc>,
    /// By whom.
    pub imported_by: String,
    /// The variables that are set to exactly `1` (true) or `0` (false).
    pub overrides: BTreeMap<FlagName, bool>,
    /// The variables that are set to something else, which counts as not set.
    pub ignored: BTreeSet<FlagName>,
}

impl Census {
    /// Whether the other one says the same of the same moment.
    #[must_use]
    pub fn says_the_same(&self, other: &Census) -> bool {
        self.environment == other.environment
            && self.site == other.site
            && self.release == other.release
            && self.taken_at == other.taken_at
            && self.overrides == other.overrides
            && self.ignored == other.ignored
    }
}

/// Checks a census by itself.
///
/// # Errors
/// Which field is wrong, and what would be right.
pub fn check(census: &Census) -> Result<(), (&'static str, String)> {
    if census.overrides.len() + census.ignored.len() > MOST_OVERRIDES {
        let detail = format!("a census names at most {MOST_OVERRIDES} variables");
        return Err(("overrides", detail));
    }
    if let Some(both) = census
        .ignored
        .iter()
        .find(|flag| census.overrides.contains_key(flag.as_str()))
    {
        let detail = format!("{both} is in force and ignored at once");
        return Err(("ignored", detail));
    }
    if let Err(detail) = moment::kept(census.taken_at) {
        let detail = format!("{detail}: set the clock of that site, and take it again");
        return Err(("taken_at", detail));
    }
    if census.taken_at > census.imported_at + CLOCKS_APART {
        let detail = "is in the future: set the clock of that site, and take it again".to_owned();
        return Err(("taken_at", detail));
    }
    Ok(())
}

/// Whether a census takes the place of what is on record of its site; `false` when it says the same.
///
/// # Errors
/// When the one on record is later; the text says what to do.
pub fn replaces(census: &Census, on_record: &Census) -> Result<bool, String> {
    if census.says_the_same(on_record) {
        return Ok(false);
    }
    if census.taken_at > on_record.taken_at {
        return Ok(true);
    }
    Err(format!(
        "a census of {} taken at {} is on record, and this one is not later: take a new one, or \
         delete that one first",
        census.site,
        on_record.taken_at.format("%Y-%m-%dT%H:%M:%SZ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(taken: i64) -> Census {
        Census {
            environment: "on-prem".parse().unwrap(),
            site: "acme".parse().unwrap(),
            release: None,
            taken_at: DateTime::from_timestamp(taken, 0).unwrap(),
            imported_at: DateTime::from_timestamp(1_000_000, 0).unwrap(),
            imported_by: "otto".to_owned(),
            overrides: BTreeMap::from([("GITALY_BLAME".parse().unwrap(), true)]),
            ignored: BTreeSet::new(),
        }
    }

    #[test]
    fn the_latest_counts() {
        assert_eq!(replaces(&census(7), &census(7)), Ok(false));
        assert_eq!(replaces(&census(8), &census(7)), Ok(true));
        assert!(replaces(&census(6), &census(7)).is_err());
        let mut other = census(7);
        other.overrides.clear();
        assert!(replaces(&other, &census(7)).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(check(&census(7)), Ok(()));
        let mut both = census(7);
        both.ignored.insert("GITALY_BLAME".parse().unwrap());
        assert_eq!(check(&both).unwrap_err().0, "ignored");
        assert_eq!(check(&census(1_000_000 + 86_400)), Ok(()));
        let ahead = check(&census(1_000_000 + 86_401));
        assert_eq!(ahead.unwrap_err().0, "taken_at");
        assert_eq!(check(&census(-1)).unwrap_err().0, "taken_at");
    }

    #[test]
    fn a_site_is_named_so_that_it_can_stand_in_an_address() {
        for good in ["a", "acme-berlin_2.example.com", &"1".repeat(100)] {
            assert!(good.parse::<SiteName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "-a", "a/b", "a b", "ä", &"a".repeat(101)] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad}");
        }
    }
}
