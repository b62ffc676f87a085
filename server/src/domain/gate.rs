//! The conditions of a promotion: each answers, with its numbers, and says how to satisfy it
//! (DESIGN, section 4).

pub mod answer;
mod lifecycle;
mod people;
mod proof;
mod traffic;

use switchover::Stage;

use crate::domain::facts::Facts;
use crate::domain::policy::{GateKind, Rule};
use crate::domain::rollout::Rollout;

pub use answer::{GateReport, GateState};

impl Facts {
    /// Every gate of the route's policy for a promotion to `to`, those that pass included.
    #[must_use]
    pub fn gates(&self, rollout: &Rollout, to: Stage) -> Vec<GateReport> {
        self.policy
            .rules(to, &self.environment)
            .iter()
            .map(|rule| judge(rule, to, rollout, self))
            .collect()
    }
}

/// Those of these answers that hold a promotion back.
#[must_use]
pub fn missing(mut reports: Vec<GateReport>) -> Vec<GateReport> {
    reports.retain(|report| report.state != GateState::Pass);
    reports
}

/// One gate's answer.
#[must_use]
pub fn judge(rule: &Rule, to: Stage, rollout: &Rollout, facts: &Facts) -> GateReport {
    match rule.gate {
        GateKind::Order => lifecycle::order(to, rollout, facts),
        GateKind::Requires => lifecycle::requires(to, facts),
        GateKind::Incident => lifecycle::incident(facts),
        GateKind::Soak => lifecycle::soak(rule, rollout, facts),
        GateKind::Acceptance => proof::acceptance(facts),
        GateKind::RollbackDrill => proof::rollback_drill(rollout, facts),
        GateKind::Dashboard => proof::dashboard(facts),
        GateKind::Alert => proof::alert(facts),
        GateKind::Approval => people::approval(rule, to, rollout, facts),
        GateKind::Telemetry => traffic::telemetry(rule, facts),
        GateKind::CodeDeployed => traffic::code_deployed(facts),
        GateKind::Repairs => traffic::repairs(facts),
        GateKind::Plan => people::plan(to, facts),
        GateKind::Release => lifecycle::release(rollout, facts),
        GateKind::Census => people::census(rule, facts),
        GateKind::Runbook => proof::runbook(facts),
        GateKind::External => people::external(to, facts),
    }
}

#[cfg(test)]
mod tests;
