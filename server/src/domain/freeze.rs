//! Change freezes: while one is open, nothing raises exposure where it applies. Halts, demotions
//! and whatever else makes things safer go on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::environment::EnvironmentKey;

/// A change freeze on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freeze {
    /// Its identity.
    pub id: String,
    /// Where it applies; everywhere when empty.
    pub environments: BTreeSet<EnvironmentKey>,
    /// When it begins.
    pub from: DateTime<Utc>,
    /// When it ends by itself; `None` when somebody has to close it.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
    /// Who opened it.
    pub opened_by: String,
    /// When.
    pub opened_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Freeze {
    /// Whether it is in force. One that was opened for at once is from the moment that it is seen: by
    /// the clock it could be later for a change that waited for it, or on another node.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        let begun = self.from <= now || self.from <= self.opened_at;
        self.closed_at.is_none() && begun && self.until.is_none_or(|until| now < until)
    }

    /// Whether it applies there.
    #[must_use]
    pub fn covers(&self, environment: &EnvironmentKey) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }

    /// What people read of it.
    #[must_use]
    pub fn described(&self) -> String {
        let until = self.until.map_or_else(
            || "until it is closed".to_owned(),
            |until| format!("until {}", until.format("%Y-%m-%d %H:%M UTC")),
        );
        format!(
            "change freeze {} by {} ({until}): {}",
            self.id, self.opened_by, self.reason
        )
    }
}
