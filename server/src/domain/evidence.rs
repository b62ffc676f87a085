//! What was seen in a test, and what somebody concluded from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::RouteKey;

use crate::domain::environment::EnvironmentKey;
use crate::domain::stores::SERVER;

/// What a piece of evidence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Did the new path perform well?
    Performance,
    /// Did processes consume more than they should?
    Resources,
    /// Did error rates jump?
    ErrorRate,
    /// Do both stores hold the same?
    Consistency,
    /// Is the old store backed up, and was the backup restored to see that it can be?
    Backup,
    /// Is the old store archived?
    Archive,
    /// Is the archive deleted, its time being over?
    ArchiveDeleted,
    /// Anything else.
    Other,
}

impl EvidenceKind {
    /// Every kind.
    pub const ALL: [EvidenceKind; 8] = [
        EvidenceKind::Performance,
        EvidenceKind::Resources,
        EvidenceKind::ErrorRate,
        EvidenceKind::Consistency,
        EvidenceKind::Backup,
        EvidenceKind::Archive,
        EvidenceKind::ArchiveDeleted,
        EvidenceKind::Other,
    ];

    /// The three questions of an acceptance test.
    pub const ACCEPTANCE: [EvidenceKind; 3] = [
        EvidenceKind::Performance,
        EvidenceKind::Resources,
        EvidenceKind::ErrorRate,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EvidenceKind::Performance => "performance",
            EvidenceKind::Resources => "resources",
            EvidenceKind::ErrorRate => "error_rate",
            EvidenceKind::Consistency => "consistency",
            EvidenceKind::Backup => "backup",
            EvidenceKind::Archive => "archive",
            EvidenceKind::ArchiveDeleted => "archive_deleted",
            EvidenceKind::Other => "other",
        }
    }
}

impl std::str::FromStr for EvidenceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EvidenceKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names = EvidenceKind::ALL.map(EvidenceKind::name).join(", ");
                format!("`{text}` is no kind of evidence; the kinds are {names}")
            })
    }
}

/// What somebody concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good enough.
    Pass,
    /// Not good enough.
    Fail,
}

impl Verdict {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
        }
    }
}

impl std::str::FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pass" => Ok(Verdict::Pass),
            "fail" => Ok(Verdict::Fail),
            other => Err(format!("`{other}` is no verdict: say pass or fail")),
        }
    }
}

/// A piece of evidence on record. It is never changed: a newer one stands against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Its identity.
    pub id: String,
    /// About which route.
    pub route: RouteKey,
    /// Where it was taken.
    pub environment: EnvironmentKey,
    /// About what.
    pub kind: EvidenceKind,
    /// What was concluded.
    pub verdict: Verdict,
    /// Where to see it.
    pub url: Option<String>,
    /// What was seen.
    pub summary: String,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Evidence {
    /// Whether the server drew it from a consistency run: such runs come by the hour, and those that
    /// pass only say again what was known.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        self.kind == EvidenceKind::Consistency && self.by == SERVER
    }
}
