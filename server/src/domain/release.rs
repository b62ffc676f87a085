//! A version of the product that installations run, with the stages that it froze.
//!
//! A release is a draft, which can be frozen again, until it is published; then it stays as it is.
//! Which release comes after which is stated, never taken from a clock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use switchover::{EnvironmentKind, ReleaseName, Stage};

use crate::domain::environment::{Environment, EnvironmentKey};

/// Whether a release can still change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReleaseState {
    /// It can be frozen again, or deleted.
    Draft,
    /// It stays as it is.
    Published {
        /// Since when.
        #[serde(rename = "published_at")]
        at: DateTime<Utc>,
        /// By whom.
        #[serde(rename = "published_by")]
        by: String,
    },
}

/// A release on record, without its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Where its callers run.
    pub environment: EnvironmentKey,
    /// Its name.
    pub name: ReleaseName,
    /// Counts how often it was frozen.
    pub build: u64,
    /// Whether it can still change.
    pub state: ReleaseState,
    /// The release that it comes after.
    pub after: Option<ReleaseName>,
    /// The release whose stages it keeps.
    pub based_on: Option<ReleaseName>,
    /// How many routes its manifest has.
    pub routes: u64,
    /// SHA-256 of what its manifest's signatures cover, in hexadecimal.
    pub digest: String,
    /// When its stages were frozen: those of a patch, when its parent's were.
    pub frozen_at: DateTime<Utc>,
    /// When this build was made.
    pub built_at: DateTime<Utc>,
    /// By whom.
    pub built_by: String,
}

impl Release {
    /// Whether it stays as it is.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.state != ReleaseState::Draft
    }
}

/// A route's stage in a published release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenStage {
    /// The release.
    pub release: ReleaseName,
    /// Its build.
    pub build: u64,
    /// The stage that it froze the route at.
    pub stage: Stage,
    /// When the stages were frozen.
    pub frozen_at: DateTime<Utc>,
    /// When the release was published.
    pub published_at: DateTime<Utc>,
}

/// Installations that talk to a server need no manifest.
///
/// # Errors
/// When the environment is a hosted one; the text says what to do.
pub fn for_installations(environment: &Environment) -> Result<(), String> {
    if environment.kind == EnvironmentKind::OnPrem {
        return Ok(());
    }
    Err(format!(
        "{} is a hosted environment, whose callers ask the server: a release is of an environment of \
         the kind on_prem",
        environment.key
    ))
}

/// The place that a release is to have among those of its environment.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its name.
    pub name: &'a ReleaseName,
    /// The release that it comes after.
    pub after: Option<&'a ReleaseName>,
    /// The release whose stages it keeps.
    pub based_on: Option<&'a ReleaseName>,
}

/// Why a release cannot have a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// Which field is wrong.
    pub field: &'static str,
    /// What would be right.
    pub detail: String,
}

/// Checks a place: what it names is there, a parent is published, and nothing comes after itself.
///
/// # Errors
/// When it cannot have it.
pub fn check_place(
    place: Place<'_>,
    others: &BTreeMap<ReleaseName, Release>,
) -> Result<(), Misplaced> {
    let refuse = |field, detail| Err(Misplaced { field, detail });
    if let Some(parent) = place.based_on {
        match others.get(parent) {
            _ if parent == place.name => {
                return refuse("based_on", "a release is not based on itself".to_owned());
            }
            None => return refuse("based_on", format!("there is no release {parent} here")),
            Some(found) if !found.is_published() => {
                let detail =
                    format!("{parent} is a draft, whose stages may change: publish it first");
                return refuse("based_on", detail);
            }
            Some(_) => {}
        }
    }
    let Some(after) = place.after else {
        return Ok(());
    };
    if after != place.name && !others.contains_key(after) {
        return refuse("after", format!("there is no release {after} here"));
    }
    // On record nothing comes after itself, so only a way back to this one can be a circle.
    let mut at = Some(after);
    while let Some(name) = at {
        if name == place.name {
            let detail = format!("{after} comes after {name} itself: say which one is first");
            return refuse("after", detail);
        }
        at = others.get(name).and_then(|other| other.after.as_ref());
    }
    Ok(())
}

/// Releases by environment, each after the one that it comes after; those that nothing orders by name.
#[must_use]
pub fn in_order(mut releases: Vec<Release>) -> Vec<Release> {
    releases.sort_by(|a, b| (&a.environment, &a.name).cmp(&(&b.environment, &b.name)));
    let known: BTreeSet<_> = releases.iter().map(key).collect();
    let mut following = BTreeMap::<_, Vec<_>>::new();
    let mut open = Vec::new();
    for (index, release) in releases.iter().enumerate() {
        let before = release.after.clone();
        let before = before.map(|before| (release.environment.clone(), before));
        match before.filter(|before| known.contains(before)) {
            Some(before) => following.entry(before).or_default().push(index),
            None => open.push(index),
        }
    }
    // Depth first, so that what follows a release stands behind it; the first is at the end.
    open.reverse();
    let mut places = BTreeMap::new();
    while let Some(index) = open.pop() {
        let Some(release) = releases.get(index) else {
            continue;
        };
        places.insert(key(release), places.len());
        let next = following.remove(&key(release)).unwrap_or_default();
        open.extend(next.into_iter().rev());
    }
    // On record nothing comes after itself, so each has a place.
    releases.sort_by_key(|release| places.get(&key(release)).copied());
    releases
}

fn key(release: &Release) -> (EnvironmentKey, ReleaseName) {
    (release.environment.clone(), release.name.clone())
}

/// Whether a release may be published now.
///
/// # Errors
/// When it follows one that is not; the text says what to do.
pub fn check_publishable(
    release: &Release,
    others: &BTreeMap<ReleaseName, Release>,
) -> Result<(), String> {
    match &release.after {
        Some(after) if !others.get(after).is_some_and(Release::is_published) => Err(format!(
            "{} comes after {after}, which is not published: publish that first, or freeze {} again \
             with another `after`",
            release.name, release.name
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ReleaseName {
        text.parse().unwrap()
    }

    fn release(text: &str, after: Option<&str>, published: bool) -> (ReleaseName, Release) {
        let now = DateTime::UNIX_EPOCH;
        let state = if published {
            ReleaseState::Published {
                at: now,
                by: "mia".to_owned(),
            }
        } else {
            ReleaseState::Draft
        };
        let release = Release {
            environment: "on-prem".parse().unwrap(),
            name: name(text),
            build: 1,
            state,
            after: after.map(name),
            based_on: None,
            routes: 0,
            digest: String::new(),
            frozen_at: now,
            built_at: now,
            built_by: "mia".to_owned(),
        };
        (name(text), release)
    }

    #[test]
    fn a_place_names_what_there_is_and_goes_in_no_circle() {
        let others = BTreeMap::from([
            release("12", None, true),
            release("13", Some("12"), false),
            release("14", Some("13"), false),
        ]);
        let check = |of: &str, after: Option<&str>, based_on: Option<&str>| {
            let (of, after, based_on) = (name(of), after.map(name), based_on.map(name));
            let place = Place {
                name: &of,
                after: after.as_ref(),
                based_on: based_on.as_ref(),
            };
            check_place(place, &others).map_err(|misplaced| misplaced.field)
        };
        assert_eq!(check("15", None, None), Ok(()));
        assert_eq!(check("15", Some("14"), None), Ok(()));
        assert_eq!(check("12.1", Some("12"), Some("12")), Ok(()));
        assert_eq!(check("13", Some("12"), None), Ok(()));
        assert_eq!(check("15", Some("11"), None), Err("after"));
        assert_eq!(check("15", None, Some("11")), Err("based_on"));
        assert_eq!(check("13.1", None, Some("13")), Err("based_on"), "a draft");
        assert_eq!(check("12", None, Some("12")), Err("based_on"));
        for after in ["13", "14"] {
            assert_eq!(check("13", Some(after), None), Err("after"));
        }
        assert_eq!(check("15", Some("15"), None), Err("after"));
    }

    #[test]
    fn the_order_is_the_one_that_was_stated() {
        let all = [
            release("9", None, true),
            release("10", Some("9"), true),
            release("9.1", Some("9"), false),
            release("11", Some("10"), false),
            release("8", Some("gone"), true),
        ];
        let ordered = in_order(all.into_iter().map(|(_, release)| release).collect());
        let names: Vec<String> = ordered.iter().map(|r| r.name.to_string()).collect();
        assert_eq!(names, ["8", "9", "10", "11", "9.1"]);
    }

    #[test]
    fn what_it_comes_after_is_published_first() {
        let others = BTreeMap::from([release("12", None, true), release("13", Some("12"), false)]);
        let publishable = |after: Option<&str>| {
            let (_, release) = release("14", after, false);
            check_publishable(&release, &others).is_ok()
        };
        assert!(publishable(None) && publishable(Some("12")));
        assert!(!publishable(Some("13")) && !publishable(Some("11")));
    }
}
