//! What a process reports of itself and of its calls: the wire form, checked on the way in.
//!
//! A reader ignores fields that it does not know, so that an older server takes a newer SDK's
//! reports. Times are spans of the process's own monotonic clock: no wall clock is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decide::Path;
use crate::latency::Latency;
use crate::rollout::RouteKey;
use crate::snapshot::Version;
use crate::table::Source;
use crate::writers::LONGEST_KEY;

/// The largest batch, in bytes.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Keys whose results differed, per row.
pub(crate) const MOST_MISMATCHING_KEYS: usize = 8;
/// More than this in one batch was not counted by any process.
const MOST_CALLS: u64 = 1_000_000_000_000;
pub(crate) const LONGEST_NAME: usize = 100;
const LONGEST_ID: usize = 64;
/// A route may be counted under so many forms of its rollout in one batch, by path and role: more than
/// a process keeps apart.
const MOST_FORMS: u32 = 16;
/// The most limits that one row may count slow calls by.
pub const MOST_LIMITS: usize = 4;

/// Which of the two runs of a call was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one whose result the caller got.
    Authoritative,
    /// The one that ran beside it: a shadow read, or a copied write.
    Mirror,
}

impl Role {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Authoritative => "authoritative",
            Role::Mirror => "mirror",
        }
    }
}

/// One report of one process. It is counted once, however often it arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Which of the instance's batches: 1, 2, 3 …
    pub sequence: u64,
    /// Who reports.
    pub instance: Instance,
    /// How long ago the counts were taken, in milliseconds.
    #[serde(default)]
    pub age_ms: u64,
    /// The time over which they were counted, in milliseconds.
    #[serde(default)]
    pub interval_ms: u64,
    /// The routes that the process knows of; left out while nothing about them has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Registered>>,
    /// Whether `routes` goes on with the list of the batch before, which was not enough for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
    /// What was counted since the batch before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<RouteCounts>,
    /// Whether the process says goodbye: it is not waited for any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ends: bool,
}

/// A process with the SDK in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Random, made when the process started; up to 64 letters, digits and hyphens.
    pub id: String,
    /// What people know it by, such as `web-3:4711`.
    pub name: String,
    /// The program.
    pub application: String,
    /// Its version.
    pub version: String,
    /// The SDK and its version, such as `rust/0.1.0`.
    pub sdk: String,
    /// The version of the snapshot that it decides by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Version>,
    /// Where that came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How long it has run, in milliseconds.
    #[serde(default)]
    pub uptime_ms: u64,
    /// The CPU time that it has used, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Its resident memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// A route as a process knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Which.
    pub route: RouteKey,
    /// Whether the process's code asks for it; else only an override names it.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub in_code: bool,
    /// What the route's environment variable says here: `1` is true, `0` is false.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub flag: Option<bool>,
    /// Whether the process's own breaker keeps it off the new path.
    #[serde(default, skip_serializing_if = "is_false")]
    pub breaker_open: bool,
}

/// What was counted of one route on one path, in one role, under one form of its rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounts {
    /// Which route.
    pub route: RouteKey,
    /// Which implementation ran.
    pub path: Path,
    /// For the caller, or beside it.
    pub role: Role,
    /// The snapshot's revision with which the route came to be as it was then; 0 without a server.
    #[serde(default)]
    pub revision: u64,
    /// Calls that ended.
    #[serde(default)]
    pub calls: u64,
    /// Those that returned an error.
    #[serde(default)]
    pub errors: u64,
    /// Those that panicked.
    #[serde(default)]
    pub panics: u64,
    /// Those whose future was dropped before it was done.
    #[serde(default)]
    pub cancelled: u64,
    /// Results that were compared with the other path's.
    #[serde(default)]
    pub comparisons: u64,
    /// Those that differed.
    #[serde(default)]
    pub mismatches: u64,
    /// Keys of some of those: up to 8 of up to 256 bytes. No values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatching_keys: Vec<String>,
    /// Runs beside a call that were due and did not begin: too many were under way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Calls that a ramp's share sent to this path, and those of them that failed.
    #[serde(default)]
    pub ramp: Proportion,
    /// Calls that took longer than a limit of the snapshot, by limit. A call that has not ended is
    /// counted when it passes the limit, and not again when it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<Slow>,
    /// How long they took.
    #[serde(default)]
    pub latency: Latency,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    /// All of them.
    pub trials: u64,
    /// Those that count against it.
    pub violations: u64,
}

/// Slow calls, by one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    /// Longer than this is slow, in milliseconds.
    pub limit_ms: u32,
    /// The calls that were held against it.
    pub trials: u64,
    /// Those that took longer.
    pub violations: u64,
}

impl RouteCounts {
    /// Calls that failed: errors and panics.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.errors.saturating_add(self.panics)
    }
}

/// Why a batch is refused as a whole: nothing of it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBatch(String);

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidBatch {}

impl Batch {
    /// Reads a batch, and checks that it is one that a process can have counted.
    ///
    /// # Errors
    /// When it is too large, cannot be read, or says what cannot be.
    pub fn from_json(text: &[u8]) -> Result<Batch, InvalidBatch> {
        if text.len() > MAX_BATCH_BYTES {
            return Err(InvalidBatch(format!(
                "a batch has {MAX_BATCH_BYTES} bytes at most"
            )));
        }
        let batch: Batch =
            serde_json::from_slice(text).map_err(|error| InvalidBatch(error.to_string()))?;
        batch.check().map_err(InvalidBatch)?;
        Ok(batch)
    }

    fn check(&self) -> Result<(), String> {
        self.instance.check()?;
        if self.sequence == 0 || self.sequence >= 1 << 53 {
            return Err("sequence: batches are numbered from 1".to_owned());
        }
        let mut seen = BTreeSet::new();
        for registered in self.routes.iter().flatten() {
            if !seen.insert(registered.route.as_str()) {
                return Err(format!("routes: {} is named twice", registered.route));
            }
        }
        let mut forms = BTreeMap::<_, u32>::new();
        let mut seen = BTreeSet::new();
        for counts in &self.counts {
            let (route, revision) = (counts.route.as_str(), counts.revision);
            if !seen.insert((route, counts.path.name(), counts.role, revision)) {
                return Err(format!("counts: {route} is counted twice"));
            }
            let many = forms
                .entry((route, counts.path.name(), counts.role))
                .or_default();
            *many += 1;
            if *many > MOST_FORMS {
                return Err(format!(
                    "counts: {route} is counted under too many revisions"
                ));
            }
            counts
                .check()
                .map_err(|what| format!("counts: {route}: {what}"))?;
        }
        Ok(())
    }
}

impl Instance {
    fn check(&self) -> Result<(), String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.id.is_empty() || self.id.len() > LONGEST_ID || !self.id.bytes().all(legal) {
            return Err("instance.id: up to 64 letters, digits and hyphens".to_owned());
        }
        let texts = [
            ("name", &self.name),
            ("application", &self.application),
            ("version", &self.version),
            ("sdk", &self.sdk),
        ];
        for (field, text) in texts {
            if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
                return Err(format!(
                    "instance.{field}: 1 to {LONGEST_NAME} bytes without control characters"
                ));
            }
        }
        Ok(())
    }
}

impl RouteCounts {
    fn check(&self) -> Result<(), String> {
        let sane = |trials: u64, violations: u64| violations <= trials && trials <= MOST_CALLS;
        let ended = self.failures().saturating_add(self.cancelled);
        if !sane(self.calls, ended) {
            return Err("more calls failed than were made, or more than can be".to_owned());
        }
        if !sane(self.comparisons, self.mismatches) {
            return Err("more results differed than were compared".to_owned());
        }
        let is_long = |key: &String| key.len() > LONGEST_KEY;
        if self.mismatching_keys.len() > MOST_MISMATCHING_KEYS
            || self.mismatching_keys.iter().any(is_long)
        {
            return Err(format!(
                "mismatching_keys: {MOST_MISMATCHING_KEYS} keys of {LONGEST_KEY} bytes at most"
            ));
        }
        if self.dropped > MOST_CALLS {
            return Err("more calls were dropped than can be".to_owned());
        }
        let ramp = self.ramp;
        if ramp.trials > self.calls || ramp.violations > ramp.trials.min(self.failures()) {
            return Err("more calls by the ramp than calls".to_owned());
        }
        let mut limits = BTreeSet::new();
        for slow in &self.slow {
            if !sane(slow.trials, slow.violations) || !limits.insert(slow.limit_ms) {
                return Err("more slow calls than calls, or a limit twice".to_owned());
            }
        }
        if limits.len() > MOST_LIMITS {
            return Err(format!("slow: {MOST_LIMITS} limits at most"));
        }
        if self.latency.count() != self.calls {
            return Err("latency: counts other calls than `calls`".to_owned());
        }
        Ok(())
    }
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this form"
)]
const fn is_true(value: &bool) -> bool {
    *value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this form"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this form"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(forms: u64) -> Result<Batch, InvalidBatch> {
        let counts: Vec<_> = (1..=forms)
            .map(|revision| {
                serde_json::json!({
                    "route": "a", "path": "new", "role": "authoritative", "revision": revision,
                    "calls": 1, "latency": [[7, 1]],
                })
            })
            .collect();
        let batch = serde_json::json!({
            "sequence": 1,
            "instance": {"id": "i", "name": "n", "application": "a", "version": "1", "sdk": "s"},
            "counts": counts,
        });
        Batch::from_json(batch.to_string().as_bytes())
    }

    #[test]
    fn a_route_is_counted_under_few_forms() {
        assert_eq!(batch(16).unwrap().counts.len(), 16);
        assert!(batch(17).is_err());
    }
}
