//! Cohorts with a name: keys that several rollouts treat apart, edited in one place. What a rollout
//! uses is expanded into what it publishes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::exposure::Cohort;
use crate::domain::rollout::Rollout;

/// The name of a cohort or a ramp group: `[a-z][a-z0-9_]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Name, &'static str> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if first && text.len() <= 63 && text.bytes().all(legal) {
            Ok(Name(text.to_owned()))
        } else {
            Err("is a lower-case letter, then up to 62 lower-case letters, digits or underscores")
        }
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Name, &'static str> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// A cohort on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedCohort {
    /// Its name.
    pub name: Name,
    /// Its keys.
    pub keys: Cohort,
    /// What it is for.
    pub description: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// What a ramp group's keys are, so that all callers pass the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RampGroup {
    /// Its name.
    pub name: Name,
    /// What its keys are, such as `project`.
    pub keys: String,
    /// What it is for.
    pub description: String,
}

/// One side of what a rollout treats apart: keys that it names itself, and cohorts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Keys of its own.
    pub keys: Cohort,
    /// The cohorts whose keys are added.
    pub cohorts: BTreeSet<Name>,
}

/// Of what the included and excluded keys of a rollout are made; empty on a side that uses no cohort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// Of what the included ones are made.
    pub include: Side,
    /// Of what the excluded ones are made.
    pub exclude: Side,
}

impl Side {
    /// Its own keys and those of its cohorts.
    #[must_use]
    pub fn expanded(&self, cohorts: &[NamedCohort]) -> Cohort {
        let used = cohorts
            .iter()
            .filter(|cohort| self.cohorts.contains(&cohort.name));
        let named = used.flat_map(|cohort| cohort.keys.iter().cloned());
        named.chain(self.keys.iter().cloned()).collect()
    }
}

impl Uses {
    /// Every cohort that is used, on either side.
    #[must_use]
    pub fn cohorts(&self) -> BTreeSet<Name> {
        self.include
            .cohorts
            .union(&self.exclude.cohorts)
            .cloned()
            .collect()
    }

    /// The same without what says nothing: keys of its own are on the rollout where no cohort is.
    #[must_use]
    pub fn kept(mut self) -> Uses {
        for side in [&mut self.include, &mut self.exclude] {
            if side.cohorts.is_empty() {
                side.keys.clear();
            }
        }
        self
    }

    /// What changes by other means than these cohorts is no longer made of them.
    pub(super) fn follow(&mut self, before: &Rollout, include: &Cohort, exclude: &Cohort) {
        if *include != before.include {
            self.include = Side::default();
        }
        if *exclude != before.exclude {
            self.exclude = Side::default();
        }
    }
}

/// What somebody may not have meant: a key that is both included and excluded, a cohort without keys.
#[must_use]
pub fn warnings(rollout: &Rollout, cohorts: &[NamedCohort]) -> Vec<String> {
    let used = rollout.uses.cohorts();
    let empty = cohorts
        .iter()
        .filter(|cohort| cohort.keys.is_empty() && used.contains(&cohort.name))
        .map(|cohort| without_keys(&cohort.name));
    let mut warnings: Vec<String> = empty.collect();
    warnings.extend(overlap(&rollout.include, &rollout.exclude));
    warnings
}

/// A cohort that treats nobody apart.
#[must_use]
pub fn without_keys(name: &Name) -> String {
    format!("cohort `{name}` has no keys: it treats nobody apart")
}

/// Keys that are both included and excluded.
#[must_use]
pub fn overlap(include: &Cohort, exclude: &Cohort) -> Option<String> {
    let both: Vec<&str> = include.intersection(exclude).map(AsRef::as_ref).collect();
    let named = both.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = match both.len() {
        0 => return None,
        1..=3 => String::new(),
        all => format!(" and {} more", all - 3),
    };
    Some(format!(
        "both included and excluded, so that they take the old path: {named}{more}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_told_by_its_first_keys() {
        let keys = |text: &str| -> Cohort { text.split(' ').map(Box::from).collect() };
        assert_eq!(overlap(&keys("a b"), &keys("c")), None);
        let told = overlap(&keys("a b c d e"), &keys("a b c d z")).unwrap();
        assert!(told.ends_with("a, b, c and 1 more"), "{told}");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for good in ["a", "beta_testers", "x1"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "1a", "a-b", "_a", &"a".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
