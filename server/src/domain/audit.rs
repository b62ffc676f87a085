//! The record of who changed what, when and why: a chain in which every entry vouches for the one
//! before it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::domain::actor::Actor;
use crate::domain::approval::hex;

/// What an entry says, before it has its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditDraft {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What, such as `promote`.
    pub action: &'static str,
    /// On which route.
    pub route: Option<String>,
    /// In which environment.
    pub environment: Option<String>,
    /// Why.
    pub reason: String,
    /// As it was; null where there was nothing.
    pub before: Value,
    /// As it is.
    pub after: Value,
}

/// An entry as it is written: its canonical bytes are this, serialised in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place: 1, 2, 3 and so on.
    pub seq: u64,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: String,
    /// On which route.
    pub route: Option<String>,
    /// In which environment.
    pub environment: Option<String>,
    /// Why.
    pub reason: String,
    /// As it was.
    pub before: Value,
    /// As it is.
    pub after: Value,
}

impl AuditEntry {
    /// The draft in its place.
    #[must_use]
    pub fn at_place(draft: AuditDraft, seq: u64) -> AuditEntry {
        AuditEntry {
            seq,
            at: draft.at,
            actor: draft.actor,
            action: draft.action.to_owned(),
            route: draft.route,
            environment: draft.environment,
            reason: draft.reason,
            before: draft.before,
            after: draft.after,
        }
    }
}

/// The hash of an entry: SHA-256 over the hash before it and the entry's stored bytes.
#[must_use]
pub fn chain_hash(previous: impl AsRef<[u8]>, canonical: impl AsRef<[u8]>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(b"\n");
    hasher.update(canonical);
    hex(&hasher.finalize())
}
