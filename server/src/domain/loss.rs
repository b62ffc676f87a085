//! What going back to the old store would cost.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use switchover::EnvironmentKind;

use crate::domain::facts::Facts;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, Route};

/// What of the new store's rows the old one may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Since when writes were left out on purpose, where no backfill has made that good.
    pub diverged_since: Option<DateTime<Utc>>,
    /// Writes of the new path since then, as far as they were reported.
    pub writes_since: Option<u64>,
    /// Keys that were written to the new store and not yet copied back.
    pub repairs: u64,
    /// Whether repairs may be missing from the list.
    pub unverified: bool,
}

/// What going back to the old store would cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "risk", rename_all = "snake_case")]
pub enum LossRisk {
    /// Nothing: the old store has every row.
    #[default]
    None,
    /// Writes that only the new store may have.
    AtRisk {
        /// How many; `None` where nobody knows.
        writes: Option<u64>,
    },
    /// The old store is not written any more: only a restored backup leads back.
    NeedsRestore {
        /// Since when.
        since: DateTime<Utc>,
    },
}

impl LossRisk {
    /// What going back would cost a rollout as it is now.
    #[must_use]
    pub fn of(rollout: &Rollout, route: &Route, kind: EnvironmentKind, gap: &Gap) -> LossRisk {
        let exposure = rollout.exposure(kind);
        if route.spec.operation != Operation::Write || exposure.is_nothing() {
            return LossRisk::None;
        }
        if let Some(since) = rollout.data.no_return_since {
            return LossRisk::NeedsRestore { since };
        }
        if gap.diverged_since.is_some() {
            let writes = gap.writes_since.map(|writes| writes.max(gap.repairs));
            return LossRisk::AtRisk { writes };
        }
        match (gap.unverified, gap.repairs) {
            (true, _) => LossRisk::AtRisk { writes: None },
            (false, 0) => LossRisk::None,
            (false, repairs) => LossRisk::AtRisk {
                writes: Some(repairs),
            },
        }
    }

    /// As people read it.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            LossRisk::None => "nothing would be lost".to_owned(),
            LossRisk::AtRisk { writes: Some(1) } => {
                "1 write is at risk: the old store may lack it".to_owned()
            }
            LossRisk::AtRisk {
                writes: Some(writes),
            } => format!("{writes} writes are at risk: the old store may lack them"),
            LossRisk::AtRisk { writes: None } => {
                "writes are at risk, and nobody knows how many: the old store may lack them"
                    .to_owned()
            }
            LossRisk::NeedsRestore { since } => format!(
                "the old store has not been written since {}: only a restored backup leads back",
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        }
    }
}

/// Judges a change by which keys go back to the old store.
///
/// # Errors
/// When writes would be lost, and nobody has said that this is accepted.
pub(super) fn accepted(rollout: &Rollout, after: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let kind = facts.environment.kind;
    let goes_back = rollout.exposure(kind).raises(&after.exposure(kind));
    if !goes_back || facts.accepts_loss {
        return Ok(());
    }
    let risk = LossRisk::of(rollout, &facts.route, kind, &facts.gap);
    if risk == LossRisk::None {
        return Ok(());
    }
    Err(Refusal::LossRisk {
        detail: format!(
            "going back to the old store of `{}` in {} loses data: {}; have the copies caught up \
             first (switchover repairs list {0} {1}), or accept the loss (`accept_loss`, on the \
             command line --accept-loss)",
            rollout.route,
            rollout.environment,
            risk.told()
        ),
        risk,
    })
}

#[cfg(test)]
pub(super) mod tests;
