//! Where the code still speaks of routes, as scans of repositories have found, and whether a route may be
//! retired by that.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::RouteKey;

use crate::domain::field::FieldError;
use crate::domain::moment;
use crate::domain::refusal::Refusal;
use crate::domain::text::{bounded, misleads};

/// The most repositories whose scans are kept.
pub const MOST_REPOSITORIES: usize = 1_000;
/// The most routes that a scan may have looked for.
pub const MOST_ROUTES: usize = 20_000;
/// The most places that are kept of a scan, over all routes.
pub const MOST_PLACES: usize = 2_000;
/// The most places that are kept of a route in a repository.
pub const MOST_PLACES_OF_ROUTE: usize = 20;
/// The most of anything that a scan counts: files, uses of a route, lines, columns.
pub const MOST_COUNTED: u64 = 1_000_000_000;
/// So far may the clock of who scans be ahead: what it says is then taken for now.
pub const CLOCKS_DIFFER: Duration = Duration::seconds(60);
/// The longest path of a file, in characters.
pub const LONGEST_PATH: usize = 1_000;
/// So many files are named where a route cannot be retired.
const NAMED: usize = 3;

/// The name of a repository: 1 to 200 printable ASCII characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RepositoryName(Box<str>);

impl RepositoryName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RepositoryName, &'static str> {
        if (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(RepositoryName(text.into()))
        } else {
            Err("is 1 to 200 printable ASCII characters without blanks")
        }
    }
}

/// The last scan of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Which repository.
    pub repository: RepositoryName,
    /// What was scanned: a commit, or what else names it.
    pub revision: String,
    /// When it was scanned.
    pub scanned_at: DateTime<Utc>,
    /// When that came to the server.
    pub posted_at: DateTime<Utc>,
    /// By whom.
    pub posted_by: String,
    /// How many files were searched.
    pub files: u64,
    /// How many routes were looked for.
    pub routes: u64,
    /// How many uses of them were found.
    pub uses: u64,
}

/// A use of a route in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path from the root of the repository.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// The flag or the key, as it stands there.
    pub name: String,
}

/// What a scan found of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub places: Vec<Place>,
}

/// What the last scan of a repository says of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanOfRoute {
    /// The scan.
    pub scan: Scan,
    /// What it found; `None` where it did not look for the route.
    pub uses: Option<Uses>,
}

/// What a scan says of its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// At this time, by the clock of who scanned.
    At(DateTime<Utc>),
    /// This long before it is posted, whatever that clock says.
    Ago(Duration),
}

impl Began {
    /// When that was, for a scan that is posted at the time `now`.
    #[must_use]
    pub fn time(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Began::At(said) if said.signed_duration_since(now) > CLOCKS_DIFFER => said,
            Began::At(said) => said.min(now),
            Began::Ago(took) => now.checked_sub_signed(took).unwrap_or(now),
        }
    }
}

/// Checks what a scan says of itself, at the time `now`.
///
/// # Errors
/// Every field that is wrong, and what would be right.
pub fn check(scan: &Scan, now: DateTime<Utc>) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    if bounded(&scan.revision, 100).as_deref() != Some(scan.revision.as_str()) {
        errors.push(FieldError::new(
            "revision",
            "is 1 to 100 printable characters",
        ));
    }
    if let Err(detail) = moment::kept(scan.scanned_at) {
        errors.push(FieldError::new("scanned_at", detail));
    } else if scan.scanned_at > now {
        errors.push(FieldError::new(
            "scanned_at",
            "is in the future: leave it out for now",
        ));
    }
    if scan.files == 0 {
        errors.push(FieldError::new(
            "files",
            "no file was searched, which shows nothing: is it the root of the repository?",
        ));
    } else if scan.files > MOST_COUNTED {
        errors.push(FieldError::new("files", too_many("files")));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn too_many(what: &str) -> String {
    format!("counts at most {MOST_COUNTED} {what}")
}

/// Checks what a scan says of a route.
///
/// # Errors
/// What is wrong first, and what would be right.
pub fn check_uses(route: &RouteKey, uses: &Uses) -> Result<(), FieldError> {
    if uses.count > MOST_COUNTED {
        return Err(FieldError::new("routes", too_many("uses of a route")));
    }
    let places = uses.places.len();
    if !u64::try_from(places).is_ok_and(|places| places <= uses.count) {
        let detail = format!(
            "`{route}` has {places} places and {} uses: all of the places are among the uses",
            uses.count
        );
        return Err(FieldError::new("routes", detail));
    }
    let mut places = uses.places.iter();
    places
        .try_for_each(check_place)
        .map_err(|detail| FieldError::new("places", detail))
}

/// Checks a place.
///
/// # Errors
/// What would be right.
pub fn check_place(place: &Place) -> Result<(), &'static str> {
    let is_path = !place.file.is_empty()
        && place.file.chars().count() <= LONGEST_PATH
        && !place.file.chars().any(misleads);
    if !is_path {
        return Err("file is a path of 1 to 1,000 printable characters");
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if place.name.is_empty() || place.name.len() > 127 || !place.name.chars().all(is_name) {
        return Err("name is the flag or the key, as it stands there");
    }
    let counts = |number: u64| (1..=MOST_COUNTED).contains(&number);
    if !counts(place.line) || !counts(place.column) {
        return Err("lines and columns count from 1, to 1,000,000,000");
    }
    Ok(())
}

/// Whether a scan takes the place of what is on record of its repository.
///
/// # Errors
/// When the one on record is later; the text says so.
pub fn check_replaces(scan: &Scan, on_record: &Scan) -> Result<(), String> {
    if scan.scanned_at >= on_record.scanned_at {
        return Ok(());
    }
    Err(format!(
        "a scan of {} at {} is on record, and this one is not later",
        scan.repository,
        shown(on_record.scanned_at)
    ))
}

/// Whether the scans show that no code asks for a route any more, which reached its last stage at
/// `since`: every repository that is known was scanned after that, and has no use of it.
///
/// # Errors
/// What is lacking, repository by repository.
pub fn check_gone(
    route: &RouteKey,
    since: Option<DateTime<Utc>>,
    scans: &[ScanOfRoute],
) -> Result<(), Refusal> {
    let lacking = lacking(since, scans);
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Refusal::StillReferenced {
        detail: format!(
            "nothing shows that no code asks for `{route}` any more: {}",
            lacking.join("; ")
        ),
        lacking,
    })
}

/// What is lacking before a route may be retired, as far as its code is concerned.
#[must_use]
pub fn lacking(since: Option<DateTime<Utc>>, scans: &[ScanOfRoute]) -> Vec<String> {
    if scans.is_empty() {
        return vec![
            "no repository has been scanned: run `switchover refs --post` in each that uses it"
                .to_owned(),
        ];
    }
    scans.iter().filter_map(|of| missing(of, since)).collect()
}

fn missing(
    ScanOfRoute { scan, uses }: &ScanOfRoute,
    since: Option<DateTime<Utc>>,
) -> Option<String> {
    let Scan { repository, .. } = scan;
    let again = "run `switchover refs --post` there";
    match uses {
        None => Some(format!(
            "the last scan of {repository} did not look for it: {again}"
        )),
        Some(uses) if uses.count > 0 => Some(format!(
            "{repository} uses it {}: take that out, and {again}",
            named(uses)
        )),
        Some(_) if scan.files == 0 => Some(format!(
            "the last scan of {repository} searched no file: {again}"
        )),
        Some(_) => since.filter(|since| scan.scanned_at < *since).map(|since| {
            format!(
                "{repository} was scanned last at {}, and the route has been as it is since {}: {again}, \
                 or forget the repository if it is gone",
                shown(scan.scanned_at),
                shown(since)
            )
        }),
    }
}

fn named(uses: &Uses) -> String {
    let first = uses.places.iter().take(NAMED);
    let first: Vec<String> = first
        .map(|place| format!("{}:{}", place.file, place.line))
        .collect();
    let times = match uses.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let more = usize::try_from(uses.count).is_ok_and(|count| count > first.len());
    match (first.is_empty(), more) {
        (true, _) => times,
        (false, false) => format!("{times} ({})", first.join(", ")),
        (false, true) => format!("{times} ({}, …)", first.join(", ")),
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
