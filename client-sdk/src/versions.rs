//! Which snapshots a process takes: pure.

use std::fmt;

use crate::snapshot::{Snapshot, Version};

/// What a process has seen so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// What it decides by, if the server sent it.
    pub(crate) live: Option<At<'a>>,
    /// The newest that it has kept on disk.
    pub(crate) cached: Option<At<'a>>,
}

/// A snapshot's place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) environment: &'a str,
    pub(crate) version: &'a Version,
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
    // What is on disk is no reason to refuse: the server knows better where this process is.
    if let Some(live) = seen.live
        && live.environment != environment
    {
        return Admission::Refuse(Refusal::Foreign {
            offered: environment.into(),
            own: live.environment.into(),
        });
    }
    let live = seen.live.map(|live| live.version);
    if live == Some(version) {
        return Admission::Known;
    }
    let cached = seen
        .cached
        .filter(|cached| cached.environment == environment);
    let newer = [live, cached.map(|cached| cached.version)]
        .into_iter()
        .flatten()
        .find(|at| at.epoch == version.epoch && at.revision > version.revision);
    // Once the server has sent another epoch, what is on disk has no say any more.
    let is_past = |at: &Version| live.is_some_and(|live| live.epoch != at.epoch);
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

    fn production(version: &Version) -> At<'_> {
        At {
            environment: "production",
            version,
        }
    }

    #[test]
    fn older_is_refused_equal_is_known_and_another_epoch_applies() {
        let (live, cached) = (version("e1.7"), version("e1.5"));
        let seen = Seen {
            live: Some(production(&live)),
            cached: Some(production(&cached)),
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
            live: None,
            cached: Some(production(&cached)),
        };
        let judged = |at: &str| judge(seen, "production", &version(at));
        assert_eq!(judged("e1.5"), Admission::Apply);
        assert!(matches!(judged("e1.4"), Admission::Refuse(_)));
        assert_eq!(judged("e2.1"), Admission::Apply);
        let foreign = judge(seen, "staging", &version("e1.4"));
        assert_eq!(foreign, Admission::Apply, "the cache is void then");
    }

    proptest! {
        #[test]
        fn within_an_epoch_the_revision_only_rises(offers in prop::collection::vec((0..2_u8, 0..9_u64), 1..40)) {
            let mut live: Option<Version> = None;
            for (epoch, revision) in offers {
                let offered = version(&format!("e{epoch}.{revision}"));
                let seen = Seen { live: live.as_ref().map(production), cached: None };
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
