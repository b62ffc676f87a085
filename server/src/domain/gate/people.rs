//! The gate that asks other people: approval.

use switchover::Stage;

use crate::domain::facts::Facts;
use crate::domain::gate::{GateReport, fail, list, pass};
use crate::domain::policy::Rule;
use crate::domain::rollout::Rollout;

pub(super) fn approval(rule: &Rule, to: Stage, rollout: &Rollout, facts: &Facts) -> GateReport {
    let wanted = rule.number("count").unwrap_or(1.0);
    let counting = facts.counting_approvals(rollout, to);
    let given = u32::try_from(counting.len()).unwrap_or(u32::MAX);
    let detail = format!(
        "{given} of {wanted} approvals by maintainers other than {}",
        facts.actor.subject
    );
    let numbers = |report: GateReport| report.with("given", given).with("required", wanted);
    if f64::from(given) >= wanted {
        let names = list(counting.iter().map(|approval| &approval.approver));
        return numbers(pass("approval", format!("{detail}: {names}")));
    }
    let void: Vec<&str> = facts
        .proof
        .approvals
        .iter()
        .filter(|approval| approval.approver != facts.actor.subject)
        .filter(|approval| !counting.iter().any(|other| other.id == approval.id))
        .map(|approval| approval.approver.as_str())
        .collect();
    let detail = if void.is_empty() {
        detail
    } else {
        format!(
            "{detail}; void because something changed since: {}",
            list(void)
        )
    };
    let (route, environment) = (&facts.route.spec.key, &facts.environment.key);
    numbers(fail(
        "approval",
        detail,
        format!("ask a maintainer: switchover approve {route} {environment} --to {to}"),
    ))
}
