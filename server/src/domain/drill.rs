//! The rollback drill: before a route is offered to anybody, somebody has halted and resumed it
//! around traffic, so that the way back is known to work.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{EnvironmentKind, Percent};

use crate::domain::rollout::Rollout;

/// How far the drill has come since acceptance testing began; a demotion begins it anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drill {
    /// When calls could first take the new path.
    pub exposed_at: Option<DateTime<Utc>>,
    /// When a halt took them off it.
    pub halted_at: Option<DateTime<Utc>>,
    /// When a resume brought them back.
    pub resumed_at: Option<DateTime<Utc>>,
}

impl Drill {
    /// Whether all of it was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.resumed_at.is_some()
    }

    /// The drill after a change of the rollout. What was completed stays so.
    #[must_use]
    pub(super) fn after(
        before: &Rollout,
        after: &Rollout,
        kind: EnvironmentKind,
        now: DateTime<Utc>,
    ) -> Drill {
        if after.stage < before.stage {
            return Drill::default();
        }
        let mut drill = before.drill;
        if drill.is_complete() {
            return drill;
        }
        let (was, is) = (exposes(before, kind), exposes(after, kind));
        if was && drill.exposed_at.is_some() && before.halt.is_none() && after.halt.is_some() {
            drill.halted_at = Some(now);
        }
        if is && before.halt.is_some() && after.halt.is_none() && drill.halted_at.is_some() {
            drill.resumed_at = Some(now);
        }
        if is && drill.exposed_at.is_none() {
            drill.exposed_at = Some(now);
        }
        drill
    }
}

fn exposes(rollout: &Rollout, kind: EnvironmentKind) -> bool {
    let exposure = rollout.exposure(kind);
    exposure.share > Percent::ZERO || !exposure.include.is_empty()
}
