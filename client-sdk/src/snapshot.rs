//! The wire form of an environment's state: a full snapshot, and the delta between two.
//!
//! Every entry is hashed as the bytes that were sent, and the hashes are added up, so that a reader
//! older than the writer can check what it does not understand, and a delta costs no more than what
//! it changes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::bucket::Seed;
use crate::rollout::{Rollout, RouteKey};
use crate::stage::EnvironmentKind;
use crate::table::{Entry, InvalidRequirements, Source, Table};

/// The largest snapshot that is written or read, in bytes.
pub const MAX_SNAPSHOT_BYTES: usize = 16 * 1024 * 1024;
/// The most routes that a snapshot may have.
pub const MAX_ROUTES: usize = 20_000;

/// Which state of an environment: `EPOCH.REVISION`. The revision rises with every commit; the epoch
/// changes when a database is restored, and two epochs have no order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// 1 to 32 lower-case letters and digits.
    pub epoch: Box<str>,
    /// Rises within an epoch.
    pub revision: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Version, InvalidVersion> {
        let (epoch, revision) = text.split_once('.').ok_or(InvalidVersion)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if epoch.is_empty() || epoch.len() > 32 || !epoch.bytes().all(plain) {
            return Err(InvalidVersion);
        }
        Ok(Version {
            epoch: epoch.into(),
            revision: revision.parse().map_err(|_| InvalidVersion)?,
        })
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// The text is not `EPOCH.REVISION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVersion;

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version is EPOCH.REVISION")
    }
}

impl std::error::Error for InvalidVersion {}

/// A sum over entries, each hashed with its key: independent of their order, and kept up to date by
/// subtracting what goes and adding what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHash(u64);

impl ContentHash {
    /// With this entry, given as the bytes on the wire.
    #[must_use]
    pub fn with(self, route: &RouteKey, entry: &str) -> ContentHash {
        ContentHash(self.0.wrapping_add(entry_hash(route, entry)))
    }

    /// Without this entry, given as the bytes on the wire.
    #[must_use]
    pub fn without(self, route: &RouteKey, entry: &str) -> ContentHash {
        ContentHash(self.0.wrapping_sub(entry_hash(route, entry)))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn entry_hash(route: &RouteKey, entry: &str) -> u64 {
    xxh3_64_with_seed(entry.as_bytes(), Seed::of(route.as_str()).to_bits())
}

/// Why a snapshot or a delta was refused. The state before it is kept.
#[derive(Debug)]
pub enum SnapshotError {
    /// Over [`MAX_SNAPSHOT_BYTES`] or [`MAX_ROUTES`].
    TooLarge,
    /// Not the JSON it should be.
    Malformed(serde_json::Error),
    /// What arrived is not what was sent, or the delta does not lead to what it says.
    HashMismatch,
    /// A delta that starts from another version than the one at hand.
    Gap {
        /// Where the delta starts.
        from: Version,
        /// What is at hand.
        at: Version,
    },
    /// Requirements that cannot be decided.
    Requirements(InvalidRequirements),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::TooLarge => write!(
                f,
                "over the limit of {MAX_SNAPSHOT_BYTES} bytes or {MAX_ROUTES} routes"
            ),
            SnapshotError::Malformed(error) => write!(f, "malformed: {error}"),
            SnapshotError::HashMismatch => f.write_str("the content does not match its hash"),
            SnapshotError::Gap { from, at } => {
                write!(f, "a delta from version {from}, but the state is at {at}")
            }
            SnapshotError::Requirements(error) => write!(f, "invalid requirements: {error}"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// The state of one environment at one version, checked. Keeps each entry's bytes, to verify deltas
/// and to be written to disk as it came.
#[derive(Clone, Debug)]
pub struct Snapshot {
    environment: Box<str>,
    version: Version,
    hash: ContentHash,
    raw: BTreeMap<RouteKey, Arc<RawValue>>,
    table: Arc<Table>,
}

#[derive(Deserialize)]
struct SnapshotWire {
    environment: Box<str>,
    kind: EnvironmentKind,
    version: Version,
    hash: Box<str>,
    routes: BTreeMap<RouteKey, Box<RawValue>>,
}

#[derive(Deserialize)]
struct DeltaWire {
    from: Version,
    to: Version,
    hash: Box<str>,
    changes: BTreeMap<RouteKey, Box<RawValue>>,
}

impl Snapshot {
    /// Reads a full snapshot and checks it as a whole.
    ///
    /// # Errors
    /// When it is too large, malformed, not what was sent, or cannot be decided.
    pub fn from_json(text: &str, source: Source) -> Result<Snapshot, SnapshotError> {
        if text.len() > MAX_SNAPSHOT_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        let wire: SnapshotWire = serde_json::from_str(text).map_err(SnapshotError::Malformed)?;
        let raw: BTreeMap<RouteKey, Arc<RawValue>> = wire
            .routes
            .into_iter()
            .map(|(route, entry)| (route, Arc::from(entry)))
            .collect();
        let hash = raw
            .iter()
            .fold(ContentHash::default(), |hash, (route, entry)| {
                hash.with(route, entry.get())
            });
        if hash.to_string() != *wire.hash {
            return Err(SnapshotError::HashMismatch);
        }
        if raw.len() > MAX_ROUTES {
            return Err(SnapshotError::TooLarge);
        }
        let entries = raw
            .iter()
            .map(|(route, entry)| Ok((route.clone(), read_entry(entry.get())?)))
            .collect::<Result<_, SnapshotError>>()?;
        let table = Table::new(source, wire.kind, entries).map_err(SnapshotError::Requirements)?;
        Ok(Snapshot {
            environment: wire.environment,
            version: wire.version,
            hash,
            raw,
            table: Arc::new(table),
        })
    }

    /// The state after a delta.
    ///
    /// # Errors
    /// When the delta starts elsewhere, is malformed, leads to another content than it says, or to
    /// one that cannot be decided. `self` is as it was.
    pub fn apply(&self, delta: &str) -> Result<Snapshot, SnapshotError> {
        if delta.len() > MAX_SNAPSHOT_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        let wire: DeltaWire = serde_json::from_str(delta).map_err(SnapshotError::Malformed)?;
        if wire.from != self.version || wire.to.epoch != self.version.epoch {
            return Err(SnapshotError::Gap {
                from: wire.from,
                at: self.version.clone(),
            });
        }
        let mut raw = self.raw.clone();
        let mut entries = self.table.entries().clone();
        let mut hash = self.hash;
        for (route, entry) in wire.changes {
            entries.insert(route.clone(), read_entry(entry.get())?);
            hash = hash.with(&route, entry.get());
            if let Some(old) = raw.insert(route.clone(), Arc::from(entry)) {
                hash = hash.without(&route, old.get());
            }
        }
        if hash.to_string() != *wire.hash {
            return Err(SnapshotError::HashMismatch);
        }
        if raw.len() > MAX_ROUTES {
            return Err(SnapshotError::TooLarge);
        }
        let table = Table::new(self.table.source(), self.table.kind(), entries)
            .map_err(SnapshotError::Requirements)?;
        Ok(Snapshot {
            environment: self.environment.clone(),
            version: wire.to,
            hash,
            raw,
            table: Arc::new(table),
        })
    }

    /// The environment's key.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Which state this is.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The rollouts, to decide by.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The full snapshot as it goes over the wire and to disk.
    #[must_use]
    pub fn to_json(&self) -> String {
        let entries = self.raw.iter().map(|(route, entry)| (route, entry.get()));
        write_snapshot(
            &self.environment,
            self.table.kind(),
            &self.version,
            self.hash,
            entries,
        )
    }
}

/// Writes a full snapshot from entries that are JSON already.
pub fn write_snapshot<'a>(
    environment: &str,
    kind: EnvironmentKind,
    version: &Version,
    hash: ContentHash,
    entries: impl Iterator<Item = (&'a RouteKey, &'a str)>,
) -> String {
    let mut text = format!(
        r#"{{"environment":"{environment}","kind":"{kind}","version":"{version}","hash":"{hash}","routes":{{"#
    );
    write_entries(&mut text, entries);
    text.push_str("}}");
    text
}

/// Writes a delta from entries that are JSON already.
pub fn write_delta<'a>(
    from: &Version,
    to: &Version,
    hash: ContentHash,
    changes: impl Iterator<Item = (&'a RouteKey, &'a str)>,
) -> String {
    let mut text = format!(r#"{{"from":"{from}","to":"{to}","hash":"{hash}","changes":{{"#);
    write_entries(&mut text, changes);
    text.push_str("}}");
    text
}

fn write_entries<'a>(text: &mut String, entries: impl Iterator<Item = (&'a RouteKey, &'a str)>) {
    for (index, (route, entry)) in entries.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        text.push_str(route.as_str());
        text.push_str("\":");
        text.push_str(entry);
    }
}

/// A stage or a setting that this version does not know is a newer server's; anything else that
/// does not read is a broken snapshot.
pub(crate) fn read_entry(text: &str) -> Result<Entry, SnapshotError> {
    match serde_json::from_str::<Rollout>(text) {
        Ok(rollout) => Ok(Entry::Known(Arc::new(rollout))),
        Err(error) => {
            let newer: NewerEntry = serde_json::from_str(text).map_err(SnapshotError::Malformed)?;
            if newer.is_newer() {
                Ok(Entry::Unrecognized)
            } else {
                Err(SnapshotError::Malformed(error))
            }
        }
    }
}

#[derive(Deserialize)]
struct NewerEntry {
    stage: String,
    #[serde(default)]
    setting: Option<NewerSetting>,
}

#[derive(Deserialize)]
struct NewerSetting {
    mode: String,
}

impl NewerEntry {
    fn is_newer(&self) -> bool {
        const MODES: [&str; 4] = ["stage_default", "off", "on", "ramp"];
        self.stage.parse::<crate::Stage>().is_err()
            || self
                .setting
                .as_ref()
                .is_some_and(|setting| !MODES.contains(&setting.mode.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Path, Reason, decide};
    use crate::overrides::Overrides;

    const ENTRY: &str = r#"{"flag":"GITALY_FIND_COMMIT","stage":"opt_in","later":[1]}"#;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn written(entries: &[(&str, &str)], at: &str) -> String {
        let entries: Vec<(RouteKey, &str)> = entries
            .iter()
            .map(|(key, entry)| (key.parse().unwrap(), *entry))
            .collect();
        let hash = entries
            .iter()
            .fold(ContentHash::default(), |hash, (key, entry)| {
                hash.with(key, entry)
            });
        write_snapshot(
            "production",
            EnvironmentKind::Hosted,
            &version(at),
            hash,
            entries.iter().map(|(key, entry)| (key, *entry)),
        )
    }

    #[test]
    fn a_snapshot_survives_the_wire_with_fields_it_does_not_know() {
        let text = written(&[("find_commit", ENTRY)], "e1.7");
        let snapshot = Snapshot::from_json(&text, Source::Live).unwrap();
        assert_eq!(snapshot.version(), &version("e1.7"));
        assert_eq!(snapshot.to_json(), text);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let text = written(&[("find_commit", ENTRY)], "e1.7");
        for cut in 0..text.len() {
            let cut = text.get(..cut).unwrap();
            assert!(Snapshot::from_json(cut, Source::Live).is_err());
        }
        let turned = text.replace("opt_in", "opt_out");
        let refused = Snapshot::from_json(&turned, Source::Live);
        assert!(matches!(refused, Err(SnapshotError::HashMismatch)));
        let oversized = " ".repeat(MAX_SNAPSHOT_BYTES) + &text;
        let refused = Snapshot::from_json(&oversized, Source::Live);
        assert!(matches!(refused, Err(SnapshotError::TooLarge)));
    }

    #[test]
    fn a_delta_leads_to_the_same_state_as_a_full_snapshot() {
        let before =
            Snapshot::from_json(&written(&[("find_commit", ENTRY)], "e1.7"), Source::Live).unwrap();
        let entry = r#"{"flag":"GITALY_FIND_COMMIT","stage":"opt_in","halted":true}"#;
        let added = r#"{"flag":"GITALY_BLAME","stage":"mandatory"}"#;
        let full = written(&[("blame", added), ("find_commit", entry)], "e1.8");
        let full = Snapshot::from_json(&full, Source::Live).unwrap();
        let keys: [RouteKey; 2] = ["blame".parse().unwrap(), "find_commit".parse().unwrap()];
        let changes = || keys.iter().zip([added, entry]);
        let delta = write_delta(&version("e1.7"), &version("e1.8"), full.hash, changes());
        assert_eq!(before.apply(&delta).unwrap().to_json(), full.to_json());

        let gap = write_delta(&version("e1.6"), &version("e1.8"), full.hash, changes());
        assert!(matches!(before.apply(&gap), Err(SnapshotError::Gap { .. })));
        let wrong = write_delta(&version("e1.7"), &version("e1.8"), before.hash, changes());
        let refused = before.apply(&wrong);
        assert!(matches!(refused, Err(SnapshotError::HashMismatch)));
    }

    #[test]
    fn a_newer_servers_stage_or_setting_takes_the_old_path() {
        for entry in [
            r#"{"flag":"GITALY_X","stage":"perpetual"}"#,
            r#"{"flag":"GITALY_X","stage":"opt_out","setting":{"mode":"weighted","weights":[1]}}"#,
        ] {
            let text = written(&[("x", entry)], "e1.1");
            let snapshot = Snapshot::from_json(&text, Source::Live).unwrap();
            let overrides = Overrides::from_iter([("GITALY_X", "1")]);
            let decision = decide(snapshot.table(), "x", &overrides, Some("k"));
            assert_eq!(decision.path, Path::Old);
            assert_eq!(decision.reason, Reason::UnknownRoute);
        }
        let broken = written(
            &[("x", r#"{"flag":"GITALY_X","stage":"opt_out","halted":3}"#)],
            "e1.1",
        );
        assert!(Snapshot::from_json(&broken, Source::Live).is_err());
    }
}
