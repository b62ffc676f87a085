//! The conditions of a promotion: each answers, with its numbers, and says how to satisfy it
//! (DESIGN, section 4).

mod lifecycle;
mod people;
mod proof;
mod traffic;

use serde::Serialize;
use serde_json::{Map, Value};
use switchover::Stage;

use crate::domain::facts::Facts;
use crate::domain::policy::{GateKind, Rule};
use crate::domain::rollout::Rollout;

/// A gate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Satisfied.
    Pass,
    /// Not satisfied.
    Fail,
    /// Too little is known; counts as not satisfied.
    Insufficient,
}

/// A gate's answer with its grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateReport {
    /// Which gate.
    pub gate: &'static str,
    /// Its answer.
    pub state: GateState,
    /// The facts it answered from.
    pub detail: String,
    /// The numbers among them, and the limits; their names say the units.
    pub numbers: Map<String, Value>,
    /// What would satisfy it; empty when it passes.
    pub remedy: String,
}

impl GateReport {
    fn with(mut self, name: &str, value: impl Into<Value>) -> GateReport {
        self.numbers.insert(name.to_owned(), value.into());
        self
    }
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

fn report(gate: &'static str, state: GateState, detail: String, remedy: String) -> GateReport {
    GateReport {
        gate,
        state,
        detail,
        numbers: Map::new(),
        remedy,
    }
}

fn pass(gate: &'static str, detail: impl Into<String>) -> GateReport {
    report(gate, GateState::Pass, detail.into(), String::new())
}

fn fail(gate: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> GateReport {
    report(gate, GateState::Fail, detail.into(), remedy.into())
}

fn insufficient(
    gate: &'static str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
) -> GateReport {
    report(gate, GateState::Insufficient, detail.into(), remedy.into())
}

fn list(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    names.join(", ")
}
