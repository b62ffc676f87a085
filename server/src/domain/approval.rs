//! One maintainer's yes to exactly one promotion.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use switchover::Stage;

use crate::domain::environment::EnvironmentKey;

/// What was approved, as a SHA-256 in hexadecimal: whatever it covers, a change of it voids the
/// approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ApprovalDigest(String);

impl ApprovalDigest {
    /// The digest of what these bytes say.
    #[must_use]
    pub fn over(covered: &str) -> ApprovalDigest {
        ApprovalDigest(hex(&Sha256::digest(covered)))
    }

    /// From the record.
    #[must_use]
    pub fn from_record(text: String) -> ApprovalDigest {
        ApprovalDigest(text)
    }

    /// In hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An approval on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its identity.
    pub id: String,
    /// The route.
    pub route: switchover::RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
    /// The stage that was approved.
    pub to: Stage,
    /// Who approved.
    pub approver: String,
    /// What was approved.
    pub digest: ApprovalDigest,
    /// What they said.
    pub comment: String,
    /// When.
    pub created_at: DateTime<Utc>,
}
