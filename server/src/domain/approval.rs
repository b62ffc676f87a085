//! One maintainer's yes to exactly one promotion.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchover::Stage;

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::Facts;
use crate::domain::plan::Plan;
use crate::domain::rollout::Rollout;
use crate::domain::runbook::Runbook;

/// What was approved, as a SHA-256 in hexadecimal: whatever it covers, a change of it voids the
/// approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ApprovalDigest(String);

impl ApprovalDigest {
    /// The digest of promoting this rollout, as it is, to a stage: of the target, the policy, the
    /// evidence, the plan, the links and the exposure (DESIGN, section 4).
    #[must_use]
    pub fn of(facts: &Facts, rollout: &Rollout, to: Stage) -> ApprovalDigest {
        let spec = &facts.route.spec;
        // serde_json keeps its maps sorted, so equal facts are equal bytes.
        let approved = json!({
            "route": rollout.route,
            "environment": rollout.environment,
            "from": rollout.stage,
            "since": rollout.stage_since,
            "to": to,
            "policy": {
                "name": facts.policy.name,
                "gates": facts.policy.rules(to, &facts.environment),
                "ramp": facts.policy.ramp,
            },
            "evidence": facts.proof.evidence,
            "plan": facts.proof.plan.as_ref().map(Plan::digest),
            "links": spec.links,
            "runbook": facts.proof.runbook.as_ref().map(Runbook::digest),
            "exposure": {
                "setting": rollout.setting,
                "include": rollout.include,
                "exclude": rollout.exclude,
                "ramp_group": spec.ramp_group,
                "requires": spec.requires,
            },
        });
        ApprovalDigest(hex(&Sha256::digest(approved.to_string())))
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
