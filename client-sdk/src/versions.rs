//! Which snapshots a process takes: pure.

use std::fmt;

use crate::snapshot::{Snapshot, Version};

/// What a process has seen so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The environment of the first snapshot, live or from its cache.
    pub(crate) environment: Option<&'a str>,
    /// The version that it decides by, if the server sent it.
    pub(crate) live: Option<&'a Version>,
    /// The newest version that it has kept on disk.
    pub(crate) cached: Option<&'a Version>,
}

/// What to do with a snapshot that is sound in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Decide by it from now on.
    Apply,
    /// It is what the process decides by already.
    Known,
    /// Keep what there is.
    Refuse(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is of the same epoch as what there is, and older.
    Older { offered: Version, at: Version },
    /// It is of another environment: a wrong key, or a wrong server.
    Foreign { offered: Box<str>, own: Box<str> },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Older { offered, at } => {
                write!(f, "the server offers version {offered}, older than {at}")
            }
            Refusal::Foreign { offered, own } => write!(
                f,
                "the server offers environment `{offered}`, but this process is in `{own}`"
            ),
        }
    }
}

/// Judges a snapshot, whether it came as a whole or by a delta.
pub(crate) fn admit(seen: Seen<'_>, offered: &Snapshot) -> Admission {
    judge(seen, offered.environment(), offered.version())
}

fn judge(seen: Seen<'_>, environment: &str, version: &Version) -> Admission {
    if let Some(own) = seen.environment
        && own != environment
    {
        return Admission::Refuse(Refusal::Foreign {
            offered: environment.into(),
            own: own.into(),
        });
    }
    if seen.live == Some(version) {
        return Admission::Known;
    }
    let newer = [seen.live, seen.cached]
        .into_iter()
        .flatten()
        .find(|at| at.epoch == version.epoch && at.revision > version.revision);
    // Once the server has sent another epoch, what is on disk has no say any more.
    let is_past = |at: &Version| seen.live.is_some_and(|live| live.epoch != at.epoch);
    match newer {
        Some(at) if !is_past(at) => Admission::Refuse(Refusal::Older {
            offered: version.clone(),
            at: at.clone(),
        }),
        _ => Admission::Apply,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn older_is_refused_equal_is_known_and_another_epoch_applies() {
        let (live, cached) = (version("e1.7"), version("e1.5"));
        let seen = Seen {
            environment: Some("production"),
            live: Some(&live),
            cached: Some(&cached),
        };
        let judged = |at: &str| judge(seen, "production", &version(at));
        assert_eq!(judged("e1.7"), Admission::Known);
        assert_eq!(judged("e1.8"), Admission::Apply);
        assert_eq!(judged("e2.1"), Admission::Apply);
        assert!(matches!(judged("e1.6"), Admission::Refuse(_)));
        let foreign = judge(seen, "staging", &version("e1.9"));
        assert!(matches!(
            foreign,
            Admission::Refuse(Refusal::Foreign { .. })
        ));
    }

    #[test]
    fn the_cache_is_a_floor_until_the_server_has_spoken() {
        let cached = version("e1.5");
        let seen = Seen {
            environment: Some("production"),
            live: None,
            cached: Some(&cached),
        };
        let judged = |at: &str| judge(seen, "production", &version(at));
        assert_eq!(judged("e1.5"), Admission::Apply);
        assert!(matches!(judged("e1.4"), Admission::Refuse(_)));
        assert_eq!(judged("e2.1"), Admission::Apply);
    }

    proptest! {
        #[test]
        fn within_an_epoch_the_revision_only_rises(offers in prop::collection::vec((0..2_u8, 0..9_u64), 1..40)) {
            let mut live: Option<Version> = None;
            for (epoch, revision) in offers {
                let offered = version(&format!("e{epoch}.{revision}"));
                let seen = Seen { environment: None, live: live.as_ref(), cached: None };
                if judge(seen, "production", &offered) == Admission::Apply {
                    if let Some(live) = &live {
                        prop_assert!(live.epoch != offered.epoch || live.revision < offered.revision);
                    }
                    live = Some(offered);
                }
            }
        }
    }
}
