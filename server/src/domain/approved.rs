//! What an approval covers: whatever of it changes afterwards voids the approval.

use serde_json::json;
use switchover::Stage;

use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::facts::Facts;
use crate::domain::plan::Plan;
use crate::domain::rollout::Rollout;
use crate::domain::runbook::Runbook;

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
            let of_another = approval.approver != self.actor.subject;
            let once = !counting
                .iter()
                .any(|other| other.approver == approval.approver);
            if approval.to == to && of_another && once && approval.digest == digest {
                counting.push(approval);
            }
        }
        counting
    }
}
