//! What an approval covers: whatever of it changes afterwards voids the approval.

use serde_json::json;
use switchover::Stage;

use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::evidence::{Evidence, Verdict};
use crate::domain::facts::Facts;
use crate::domain::plan::Plan;
use crate::domain::promoted::promoted;
use crate::domain::rollout::Rollout;
use crate::domain::runbook::Runbook;

impl ApprovalDigest {
    /// The digest of promoting this rollout, as it is, to a stage: of the target, the policy, the
    /// evidence, the plan, the links and the exposure (DESIGN, section 4).
    #[must_use]
    pub fn of(facts: &Facts, rollout: &Rollout, to: Stage) -> ApprovalDigest {
        let spec = &facts.route.spec;
        let promoted = promoted(rollout, to, facts);
        // Who approves a rollout on its ramp approves the steps that are still to come.
        let setting = |of: &Rollout| match &rollout.ramp {
            Some(ramp) if rollout.is_on_ramp() => json!({ "ramp": ramp.steps }),
            _ => json!(of.setting),
        };
        let ramp = if facts.policy.starts_ramps() {
            json!({ "steps": facts.policy.ramp, "start": facts.policy.ramp_start })
        } else {
            json!(facts.policy.ramp)
        };
        // A consistency run that is as good as those before changes nothing that was approved.
        let evidence: Vec<&Evidence> = facts
            .proof
            .evidence
            .iter()
            .filter(|found| !(found.is_drawn() && found.verdict == Verdict::Pass))
            .collect();
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
                "ramp": ramp,
                "guards": facts.policy.guards,
            },
            "endpoint": spec.endpoint,
            "operation": spec.operation,
            "evidence": evidence,
            "plan": facts.proof.plan.as_ref().map(Plan::digest),
            "links": spec.links,
            "runbook": facts.proof.runbook.as_ref().map(Runbook::digest),
            "exposure": {
                "setting": setting(rollout),
                "include": rollout.include,
                "exclude": rollout.exclude,
                // A promotion closes a window, and takes back what was set before it.
                "promoted": {
                    "setting": setting(&promoted),
                    "include": promoted.include,
                    "exclude": promoted.exclude,
                },
                "ramp_group": spec.ramp_group,
                "requires": spec.requires,
            },
        });
        ApprovalDigest::over(&approved.to_string())
    }
}

impl Facts {
    /// The approvals that count for a promotion by this actor: of others, of exactly this.
    #[must_use]
    pub fn counting_approvals(&self, rollout: &Rollout, to: Stage) -> Vec<&Approval> {
        let digest = ApprovalDigest::of(self, rollout, to);
        let mut counting: Vec<&Approval> = Vec::new();
        for approval in &self.proof.approvals {
            let of_another = !is_same_person(&approval.approver, &self.actor.subject);
            let once = !counting
                .iter()
                .any(|other| is_same_person(&other.approver, &approval.approver));
            if approval.to == to && of_another && once && approval.digest == digest {
                counting.push(approval);
            }
        }
        counting
    }
}

/// Addresses differ by more than their case where people do.
fn is_same_person(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
