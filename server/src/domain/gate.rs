//! The conditions of a promotion: each answers, with its numbers, and says how to satisfy it
//! (DESIGN, section 4).

pub mod answer;
mod lifecycle;
mod people;
mod proof;
mod queried;
mod repairs;
mod traffic;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use switchover::Stage;

use crate::domain::facts::Facts;
use crate::domain::policy::{GateKind, Query, Rule};
use crate::domain::rollout::Rollout;

pub use answer::{GateReport, GateState};
pub use traffic::answering;

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

/// What the two stores of a data route answer: keys move while they hold the same.
#[must_use]
pub fn stores(facts: &Facts) -> GateReport {
    repairs::repairs(facts)
}

/// When a rollout will have been unchanged for long enough for a promotion; `None` where no gate asks
/// for that, or time alone is not enough.
#[must_use]
pub fn soak_ends(to: Stage, rollout: &Rollout, facts: &Facts) -> Option<DateTime<Utc>> {
    let rules = facts.policy.rules(to, &facts.environment);
    let rule = rules.iter().find(|rule| rule.gate == GateKind::Soak)?;
    lifecycle::soak_ends(rule, rollout, facts)
}

/// What gates ask of running callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// How far back calls count, in minutes, and the limit for slow ones, in milliseconds.
    pub traffic: Option<(f64, Option<f64>)>,
    /// Whether the instances that run are asked for.
    pub instances: bool,
    /// What Prometheus is asked, by name.
    pub queries: BTreeMap<String, Query>,
}

impl Asked {
    /// What a promotion to `to` asks.
    #[must_use]
    pub fn of(facts: &Facts, to: Stage) -> Asked {
        let mut asked = Asked::default();
        for rule in facts.policy.rules(to, &facts.environment) {
            match rule.gate {
                GateKind::Telemetry => {
                    let minutes = rule.number("window_minutes").unwrap_or(60.0);
                    asked.traffic = Some((minutes, rule.number("p99_ms")));
                }
                GateKind::CodeDeployed | GateKind::Census => asked.instances = true,
                GateKind::Prometheus => {
                    let queries = rule.query.map(|asks| (asks.name, asks.query));
                    asked.queries.extend(queries);
                }
                _ => {}
            }
        }
        asked
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
        GateKind::Repairs => repairs::repairs(facts),
        GateKind::Plan => people::plan(to, facts),
        GateKind::Release => lifecycle::release(rollout, facts),
        GateKind::Census => people::census(rule, facts),
        GateKind::Runbook => proof::runbook(facts),
        GateKind::External => people::external(to, facts),
        GateKind::Prometheus => queried::prometheus(rule, facts),
    }
}

#[cfg(test)]
mod tests;
