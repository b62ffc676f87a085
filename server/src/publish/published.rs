//! One environment's state at one version, as bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use switchover::{
    ContentHash, Entry, EnvironmentKind, InvalidRequirements, RouteKey, Source, Table, Version,
    write_delta, write_snapshot,
};

use crate::domain::environment::EnvironmentKey;
use crate::publish::Flags;
use crate::store::{PublishedChanges, StoreError};

/// One route's entry: what is sent of it, and since which revision.
#[derive(Clone, Debug)]
struct PublishedEntry {
    raw: Arc<str>,
    rollout: Arc<switchover::Rollout>,
    revision: u64,
}

/// An environment's state, immutable.
#[derive(Debug)]
pub struct Published {
    environment: EnvironmentKey,
    kind: EnvironmentKind,
    version: Version,
    etag: String,
    hash: ContentHash,
    entries: BTreeMap<RouteKey, PublishedEntry>,
    /// The event with the full snapshot; the snapshot alone is a slice of it.
    event: Bytes,
    snapshot: Bytes,
    /// The event that leads here from the state before.
    delta: Option<(u64, Bytes)>,
    table: OnceLock<Result<Arc<Table>, InvalidRequirements>>,
    flags: OnceLock<Result<Arc<Flags>, InvalidRequirements>>,
}

impl Published {
    /// The state that follows `before` by these changes; without one, the changes are everything.
    ///
    /// # Errors
    /// When an entry cannot be written.
    pub fn next(
        before: Option<&Published>,
        environment: &EnvironmentKey,
        kind: EnvironmentKind,
        epoch: &str,
        changes: PublishedChanges,
    ) -> Result<Published, StoreError> {
        let version = Version {
            epoch: epoch.into(),
            revision: changes.revision,
        };
        let mut entries = before
            .map(|before| before.entries.clone())
            .unwrap_or_default();
        let mut hash = before.map(|before| before.hash).unwrap_or_default();
        let mut changed = Vec::with_capacity(changes.changes.len());
        for (route, revision, rollout) in changes.changes {
            let raw: Arc<str> = serde_json::to_string(&rollout)
                .map_err(|error| StoreError::Corrupt(format!("{route}: {error}")))?
                .into();
            if let Some(old) = entries.get(&route) {
                hash = hash.without(&route, &old.raw);
            }
            hash = hash.with(&route, &raw);
            changed.push((route.clone(), Arc::clone(&raw)));
            let entry = PublishedEntry {
                raw,
                rollout: Arc::new(rollout),
                revision,
            };
            entries.insert(route, entry);
        }
        let delta = before.map(|before| {
            let changes = changed.iter().map(|(route, raw)| (route, &**raw));
            let data = write_delta(&before.version, &version, hash, changes);
            (before.version.revision, event("delta", &version, &data).0)
        });
        let all = entries.iter().map(|(route, entry)| (route, &*entry.raw));
        let data = write_snapshot(environment.as_str(), kind, &version, hash, all);
        let (event, snapshot) = event("snapshot", &version, &data);
        Ok(Published {
            environment: environment.clone(),
            kind,
            etag: format!("\"{version}\""),
            version,
            hash,
            entries,
            event,
            snapshot,
            delta,
            table: OnceLock::new(),
            flags: OnceLock::new(),
        })
    }

    /// Which state this is.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The tag of the snapshot: its version in quotes.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// What kind of environment it is of.
    #[must_use]
    pub fn kind(&self) -> EnvironmentKind {
        self.kind
    }

    /// What it says of every route, by key.
    pub fn rollouts(&self) -> impl Iterator<Item = (&RouteKey, &switchover::Rollout)> {
        let entries = self.entries.iter();
        entries.map(|(route, entry)| (route, &*entry.rollout))
    }

    /// Whether it has a route.
    #[must_use]
    pub fn has_route(&self, route: &RouteKey) -> bool {
        self.entries.contains_key(route)
    }

    /// The full snapshot, JSON.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        self.snapshot.clone()
    }

    /// The event that brings a reader who has `at` up to this state: nothing when it is there
    /// already, the changes since where that is possible and shorter, else the full snapshot.
    #[must_use]
    pub fn event_from(&self, at: Option<&Version>) -> Option<Bytes> {
        let at = match at {
            Some(at) if at.epoch == self.version.epoch && at.revision <= self.version.revision => {
                at
            }
            _ => return Some(self.event.clone()),
        };
        if at.revision == self.version.revision {
            return None;
        }
        match &self.delta {
            Some((from, delta)) if *from == at.revision => Some(delta.clone()),
            _ => Some(self.catch_up(at)),
        }
    }

    /// The rollouts, to decide by. Made when first asked for.
    ///
    /// # Errors
    /// When the requirements on record cannot be decided.
    pub fn table(&self) -> Result<Arc<Table>, InvalidRequirements> {
        self.table
            .get_or_init(|| {
                let entries = self
                    .entries
                    .iter()
                    .map(|(route, entry)| (route.clone(), Entry::Known(Arc::clone(&entry.rollout))))
                    .collect();
                Table::new(Source::Live, self.kind, entries).map(Arc::new)
            })
            .clone()
    }

    /// The routes as the flags of OpenFeature clients. Made when first asked for.
    ///
    /// # Errors
    /// When the requirements on record cannot be decided.
    pub fn flags(&self) -> Result<Arc<Flags>, InvalidRequirements> {
        self.flags
            .get_or_init(|| {
                let table = self.table()?;
                let routes = self.entries.iter();
                let routes = routes.map(|(name, of)| (name, of.rollout.stage, of.revision));
                let (environment, epoch) = (self.environment.as_str(), &self.version.epoch);
                let flags = Flags::new(environment, epoch, table, routes);
                Ok(Arc::new(flags))
            })
            .clone()
    }

    /// Nothing ever leaves a snapshot, so the changes since any revision of this epoch are the
    /// entries that are younger: no history is kept.
    fn catch_up(&self, at: &Version) -> Bytes {
        let younger: Vec<(&RouteKey, &str)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.revision > at.revision)
            .map(|(route, entry)| (route, &*entry.raw))
            .collect();
        let size: usize = younger.iter().map(|(_, raw)| raw.len()).sum();
        if size > self.snapshot.len() / 2 {
            return self.event.clone();
        }
        let data = write_delta(at, &self.version, self.hash, younger.into_iter());
        event("delta", &self.version, &data).0
    }
}

/// An event for the stream, and the part of it that is the data.
fn event(name: &str, version: &Version, data: &str) -> (Bytes, Bytes) {
    let mut text = String::with_capacity(data.len() + 96);
    // Writing to a String cannot fail.
    let _ = write!(text, "event: {name}\nid: {version}\ndata: ");
    let from = text.len();
    text.push_str(data);
    text.push_str("\n\n");
    let bytes = Bytes::from(text);
    let data = bytes.slice(from..from + data.len());
    (bytes, data)
}
