//! The conditions of a promotion: each answers, and says how to satisfy it.

use serde::Serialize;
use switchover::{RouteKey, Stage};

use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::policy::Gate;
use crate::domain::rollout::Rollout;
use crate::domain::route::RouteSpec;

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
    /// What would satisfy it; empty when it passes.
    pub remedy: String,
}

/// What gates judge by.
#[derive(Clone, Debug)]
pub struct GateFacts<'a> {
    /// The route.
    pub spec: &'a RouteSpec,
    /// Where it is to be promoted.
    pub environment: &'a Environment,
    /// As it is now.
    pub rollout: &'a Rollout,
    /// Every environment with a lower position, and the route's stage there.
    pub earlier: &'a [(EnvironmentKey, Stage)],
    /// The required routes and their stage here.
    pub required: &'a [(RouteKey, Stage)],
    /// The approvals on record for this promotion, void ones included.
    pub approvals: &'a [Approval],
    /// Who would promote.
    pub promoter: &'a str,
}

/// Every gate's answer, those that pass included.
#[must_use]
pub fn evaluate(gates: &[Gate], to: Stage, facts: &GateFacts<'_>) -> Vec<GateReport> {
    gates
        .iter()
        .map(|gate| match gate {
            Gate::Order => order(to, facts),
            Gate::Requires => requires(to, facts),
            Gate::Approval { count } => approval(*count, to, facts),
        })
        .collect()
}

fn order(to: Stage, facts: &GateFacts<'_>) -> GateReport {
    let behind: Vec<&(EnvironmentKey, Stage)> = facts
        .earlier
        .iter()
        .filter(|(_, stage)| *stage < to)
        .collect();
    let route = &facts.spec.key;
    match facts.rollout.stage.next() {
        Some(next) if next == to && behind.is_empty() => pass(
            "order",
            format!("{to} is next, and every earlier environment has it"),
        ),
        Some(next) if next == to => {
            let names = list(behind.iter().map(|(key, stage)| format!("{key} ({stage})")));
            let first = behind.first().map_or("", |(key, _)| key.as_str());
            fail(
                "order",
                format!("{to} is next, but not reached in {names}"),
                format!("promote there first: switchover promote {route} {first} --reason …"),
            )
        }
        Some(next) => fail(
            "order",
            format!(
                "the stage after {} is {next}, not {to}",
                facts.rollout.stage
            ),
            format!("promote to {next}: stages are not skipped"),
        ),
        None => fail(
            "order",
            "mandatory is the last stage".to_owned(),
            "nothing is left to promote".to_owned(),
        ),
    }
}

fn requires(to: Stage, facts: &GateFacts<'_>) -> GateReport {
    let behind: Vec<String> = facts
        .required
        .iter()
        .filter(|(_, stage)| *stage < to)
        .map(|(key, stage)| format!("{key} ({stage})"))
        .collect();
    if facts.required.is_empty() {
        pass("requires", "requires no other route".to_owned())
    } else if behind.is_empty() {
        pass(
            "requires",
            format!("every required route is at {to} or later here"),
        )
    } else {
        fail(
            "requires",
            format!("not at {to} here: {}", behind.join(", ")),
            "promote those first, or promote with `cascade`".to_owned(),
        )
    }
}

fn approval(count: usize, to: Stage, facts: &GateFacts<'_>) -> GateReport {
    let digest = ApprovalDigest::of(facts.spec, facts.rollout, to);
    let of_others = facts
        .approvals
        .iter()
        .filter(|approval| approval.approver != facts.promoter);
    let (current, void): (Vec<&Approval>, Vec<&Approval>) =
        of_others.partition(|approval| approval.digest == digest);
    let mut detail = format!(
        "{} of {count} approvals by maintainers other than {}",
        current.len(),
        facts.promoter
    );
    if current.len() >= count {
        let names = list(current.iter().map(|approval| approval.approver.clone()));
        return pass("approval", format!("{detail}: {names}"));
    }
    if !void.is_empty() {
        let names = list(void.iter().map(|approval| approval.approver.clone()));
        detail.push_str(&format!("; void because something changed since: {names}"));
    }
    let (route, environment) = (&facts.spec.key, &facts.environment.key);
    fail(
        "approval",
        detail,
        format!("ask a maintainer: switchover approve {route} {environment} --to {to}"),
    )
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn pass(gate: &'static str, detail: String) -> GateReport {
    GateReport {
        gate,
        state: GateState::Pass,
        detail,
        remedy: String::new(),
    }
}

fn fail(gate: &'static str, detail: String, remedy: String) -> GateReport {
    GateReport {
        gate,
        state: GateState::Fail,
        detail,
        remedy,
    }
}
