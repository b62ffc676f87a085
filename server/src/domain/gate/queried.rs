//! The gate that asks Prometheus. What is no single number answers `insufficient`.

use crate::domain::facts::Facts;
use crate::domain::gate::answer::{GateReport, GateState, fail, insufficient, no_hosted, pass};
use crate::domain::gate::traffic::{answering, worse};
use crate::domain::policy::{Rule, Sampled};

const GATE: &str = "prometheus";

pub(super) fn prometheus(rule: &Rule, facts: &Facts) -> GateReport {
    let (Some(asked), Some(limit)) = (&rule.query, rule.number("limit")) else {
        return insufficient(
            GATE,
            "the policy asks nothing",
            "write it anew: switchover policy",
        );
    };
    let (name, side) = (&asked.name, asked.query.worse.name());
    let answering = answering(facts);
    if answering.is_empty() {
        return no_hosted(GATE);
    }
    let mut state = GateState::Pass;
    let (mut details, mut numbers) = (Vec::new(), Vec::new());
    for environment in answering {
        let key = (environment.clone(), name.clone());
        match facts.proof.sampled.get(&key) {
            Some(Sampled::Number(number)) => {
                let is_beyond = asked.query.is_beyond(*number, limit);
                let (answer, told) = if is_beyond {
                    (GateState::Fail, side)
                } else {
                    (GateState::Pass, "within")
                };
                state = worse(state, answer);
                numbers.push((format!("{environment}.{name}"), *number));
                details.push(format!("{environment}: {number}, {told} the limit {limit}"));
            }
            Some(Sampled::Nothing(why)) => {
                state = worse(state, GateState::Insufficient);
                details.push(format!("{environment}: {why}"));
            }
            None => {
                state = worse(state, GateState::Insufficient);
                details.push(format!("{environment}: Prometheus was not asked"));
            }
        }
    }
    let detail = format!("{name}: {}", details.join("; "));
    let report = match state {
        GateState::Pass => pass(GATE, detail),
        GateState::Fail => fail(
            GATE,
            detail,
            "find out why, mend it, and ask again when the query looks back on better times",
        ),
        GateState::Insufficient => insufficient(
            GATE,
            detail,
            "see that the policy's query has one number as its result, and that the server reaches \
             Prometheus; then ask again",
        ),
    };
    let report = report.with("limit", limit);
    let numbers = numbers.into_iter();
    numbers.fold(report, |report, (name, value)| report.with(&name, value))
}
