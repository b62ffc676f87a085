//! What the cache's files look like: one line that says what it is, with a checksum, then the content.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::rollout::RouteKey;
use crate::snapshot::{Snapshot, Version};
use crate::table::{Entry, Source};

/// The release that a process is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The one of its manifest; `None` where it has no manifest.
    Is(Option<Box<str>>),
    /// Its manifest was refused: the last good state is kept, whatever release it is of.
    Unknown,
}

impl Release {
    /// Whether a process of this release may use what was taken under that one.
    pub(super) fn allows(&self, taken_under: Option<&str>) -> bool {
        match self {
            Release::Is(own) => own.as_deref() == taken_under,
            Release::Unknown => true,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Release::Is(own) => own.as_deref(),
            Release::Unknown => None,
        }
    }
}

/// The halted routes of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halts {
    pub(crate) environment: Box<str>,
    pub(crate) version: Version,
    pub(crate) routes: BTreeSet<RouteKey>,
}

impl Halts {
    pub(crate) fn of(snapshot: &Snapshot) -> Halts {
        let entries = snapshot.table().entries().iter();
        let is_halted = |entry: &Entry| matches!(entry, Entry::Known(rollout) if rollout.halted);
        Halts {
            environment: snapshot.environment().into(),
            version: snapshot.version().clone(),
            routes: entries
                .filter(|(_, entry)| is_halted(entry))
                .map(|(route, _)| route.clone())
                .collect(),
        }
    }

    /// Whether they were taken after this version: two epochs have no order.
    pub(crate) fn are_newer_than(&self, version: &Version) -> bool {
        self.version.epoch == version.epoch && self.version.revision > version.revision
    }
}

/// `switchover-snapshot 1 ENVIRONMENT VERSION CHECKSUM`, or where there is a release
/// `switchover-snapshot 2 RELEASE ENVIRONMENT VERSION CHECKSUM`, then the snapshot as it came.
pub(super) fn encode(snapshot: &Snapshot, release: Option<&str>) -> Vec<u8> {
    let form = match release {
        None => "1".to_owned(),
        Some(release) => format!("2 {release}"),
    };
    let head = format!(
        "switchover-snapshot {form} {} {}",
        snapshot.environment(),
        snapshot.version()
    );
    sealed(&head, &snapshot.to_json())
}

/// A snapshot, and the release that it was taken under.
pub(super) fn decode(bytes: &[u8]) -> Option<(Snapshot, Option<Box<str>>)> {
    let (head, body) = unsealed(bytes)?;
    let snapshot = Snapshot::from_json(body, Source::Cache).ok()?;
    let (form, rest) = head.strip_prefix("switchover-snapshot ")?.split_once(' ')?;
    let (release, rest) = match form {
        "1" => (None, rest),
        "2" => {
            let (release, rest) = rest.split_once(' ')?;
            (Some(Box::from(release)), rest)
        }
        _ => return None,
    };
    let (environment, version) = place(rest)?;
    let matches = *snapshot.version() == version && environment == snapshot.environment();
    matches.then_some((snapshot, release))
}

/// `switchover-halts 1 ENVIRONMENT VERSION CHECKSUM`, then one route a line.
pub(super) fn encode_halts(halts: &Halts) -> Vec<u8> {
    let routes: Vec<&str> = halts.routes.iter().map(RouteKey::as_str).collect();
    let head = format!("switchover-halts 1 {} {}", halts.environment, halts.version);
    sealed(&head, &routes.join("\n"))
}

pub(super) fn decode_halts(bytes: &[u8]) -> Option<Halts> {
    let (head, body) = unsealed(bytes)?;
    let (environment, version) = place(head.strip_prefix("switchover-halts 1 ")?)?;
    Some(Halts {
        environment: environment.into(),
        version,
        routes: body
            .lines()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?,
    })
}

fn place(text: &str) -> Option<(&str, Version)> {
    let (environment, version) = text.rsplit_once(' ')?;
    Some((environment, version.parse().ok()?))
}

fn sealed(head: &str, body: &str) -> Vec<u8> {
    format!("{head} {:016x}\n{body}", checksum(head, body)).into_bytes()
}

fn unsealed(bytes: &[u8]) -> Option<(&str, &str)> {
    let (first, body) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let (head, sum) = first.rsplit_once(' ')?;
    (sum == format!("{:016x}", checksum(head, body))).then_some((head, body))
}

fn checksum(head: &str, body: &str) -> u64 {
    xxh3_64(head.as_bytes())
        .rotate_left(1)
        .wrapping_add(xxh3_64(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rollout::Rollout;
    use crate::stage::{EnvironmentKind, Stage};

    fn snapshot(at: &str, halted: bool) -> Snapshot {
        let mut rollout = Rollout::at("GITALY_BLAME".parse().unwrap(), Stage::OptIn);
        rollout.halted = halted;
        crate::testing::snapshot(
            EnvironmentKind::Hosted,
            &at.parse().unwrap(),
            &BTreeMap::from([("blame".parse().unwrap(), rollout)]),
        )
        .unwrap()
    }

    proptest! {
        #[test]
        fn one_wrong_byte_is_noticed(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let snapshots: fn(&[u8]) -> bool = |bytes| decode(bytes).is_some();
            let reads: [fn(&[u8]) -> bool; 3] =
                [snapshots, snapshots, |bytes| decode_halts(bytes).is_some()];
            let snapshot = snapshot("e1.1", true);
            for (bytes, reads) in [encode(&snapshot, None), encode(&snapshot, Some("12:1")), encode_halts(&Halts::of(&snapshot))].iter().zip(reads) {
                prop_assert!(reads(bytes));
                let mut turned = bytes.clone();
                turned[at.index(bytes.len())] ^= flip;
                prop_assert!(!reads(&turned));
                prop_assert!(!reads(&bytes[..at.index(bytes.len())]));
            }
        }

        #[test]
        fn rubbish_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_none() && decode_halts(&bytes).is_none());
        }
    }
}
