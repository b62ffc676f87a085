//! Webhooks: who is told what of the record, and what becomes of what they are sent.

mod delivery;
mod event;
mod message;
mod receiver;
mod secret;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::audit::AuditEntry;
use crate::domain::environment::EnvironmentKey;

pub use delivery::{
    Attempt, Delivery, DeliveryState, GIVE_UP_AFTER, LONGEST_ANSWER, MOST_ATTEMPTS_KEPT, Outcome,
    Verdict, clean,
};
pub use event::{Selector, event_type, event_types};
pub use message::{Told, ping, told};
pub use receiver::{ReceiverUrl, ShownUrl};
pub use secret::{Previous, Secret, Secrets};

/// A webhook that has failed for so many hours is disabled when it gives up a delivery.
pub const DISABLED_AFTER_HOURS: i64 = 48;

/// Somebody who is told of what is put on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its identity.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Where it is sent to, as far as that may be shown.
    pub url: ShownUrl,
    /// Which events; all when empty.
    pub events: BTreeSet<Selector>,
    /// In which environments; in all and in none when empty.
    pub environments: BTreeSet<EnvironmentKey>,
    /// On routes of which owners; on all and on none when empty.
    pub owners: BTreeSet<String>,
    /// Whether it is sent anything.
    pub state: WebhookState,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Rises with every change.
    pub revision: u64,
}

/// Whether a webhook is sent anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WebhookState {
    /// It is.
    Active,
    /// It is not, and what happens meanwhile is not sent later.
    Disabled {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        why: String,
    },
    /// Its secret or its address cannot be read with this server's signing key. It waits for new ones,
    /// and is sent then what it has missed.
    NeedsSecret {
        /// Since when.
        since: DateTime<Utc>,
    },
}

impl WebhookState {
    /// The name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            WebhookState::Active => "active",
            WebhookState::Disabled { .. } => "disabled",
            WebhookState::NeedsSecret { .. } => "needs_secret",
        }
    }

    /// Why it is sent nothing; `None` when it is.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            WebhookState::Active => None,
            WebhookState::Disabled { why, .. } => Some(why.clone()),
            WebhookState::NeedsSecret { .. } => Some(
                "the server's signing key has changed, and its address and secret cannot be read any \
                 more: give its address with `switchover webhook change --receiver`, and then make a \
                 new secret with `switchover webhook rotate`"
                    .to_owned(),
            ),
        }
    }
}

/// How a webhook fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when nothing has arrived; `None` when the last attempt did.
    pub failing_since: Option<DateTime<Utc>>,
    /// When something arrived last.
    pub delivered_at: Option<DateTime<Utc>>,
}

impl Health {
    /// Whether the receiver took what it was sent last.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failing_since.is_none() && self.delivered_at.is_some()
    }

    /// Whether it has failed for so long that nothing more is sent.
    #[must_use]
    pub fn is_hopeless(&self, now: DateTime<Utc>) -> bool {
        self.failing_since
            .is_some_and(|since| now - since >= chrono::Duration::hours(DISABLED_AFTER_HOURS))
    }
}

impl Webhook {
    /// Whether it is sent anything.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == WebhookState::Active
    }

    /// Whether it wants to hear of an entry on a route of this owner.
    #[must_use]
    pub fn wants(&self, entry: &AuditEntry, owner: Option<&str>) -> bool {
        let heard = self.events.is_empty() || self.events.iter().any(|one| one.selects(entry));
        let here = self.environments.is_empty()
            || places(entry).any(|place| match place {
                Some(name) => self.environments.iter().any(|key| key.as_str() == name),
                // A freeze of everything.
                None => true,
            });
        let theirs =
            self.owners.is_empty() || owner.is_some_and(|owner| self.owners.contains(owner));
        heard && here && theirs
    }

    /// What the record keeps of it: no secret, and of the address no more than whose it is.
    #[must_use]
    pub fn record(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "url": self.url.to_string(),
            "events": self.events,
            "environments": self.environments,
            "owners": self.owners,
            "state": self.state.name(),
        })
    }
}

/// The environments of an entry: its own, or those of a freeze, where none is named for all.
fn places(entry: &AuditEntry) -> impl Iterator<Item = Option<&str>> {
    let frozen = match entry.action.as_str() {
        "freeze_open" | "freeze_close" => entry.after.get("environments").and_then(Value::as_array),
        _ => None,
    };
    let everywhere = frozen.is_some_and(Vec::is_empty).then_some(None);
    let named = frozen.into_iter().flatten().filter_map(Value::as_str);
    let own = entry.environment.as_deref();
    own.into_iter().chain(named).map(Some).chain(everywhere)
}

#[cfg(test)]
mod tests;
