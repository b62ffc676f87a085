//! The rollback drill: before a route is offered to anybody, somebody has halted and resumed it
//! around traffic, so that the way back is known to work.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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

/// What a drill sees of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Whether some key takes the new path.
    pub exposed: bool,
    /// Whether it is halted.
    pub halted: bool,
}

impl Drill {
    /// Whether all of it was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.resumed_at.is_some()
    }

    /// The drill after a change of the rollout. What was completed stays so.
    #[must_use]
    pub fn after(self, before: Sight, after: Sight, now: DateTime<Utc>) -> Drill {
        let mut drill = self;
        if drill.is_complete() {
            return drill;
        }
        if drill.exposed_at.is_some() && before.exposed && !before.halted && after.halted {
            drill.halted_at = Some(now);
        }
        if drill.halted_at.is_some() && before.halted && !after.halted && after.exposed {
            drill.resumed_at = Some(now);
        }
        if after.exposed && drill.exposed_at.is_none() {
            drill.exposed_at = Some(now);
        }
        drill
    }
}
