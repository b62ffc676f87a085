//! Gates about what running callers report: telemetry, code_deployed. Where nothing is
//! reported they answer `insufficient`.

use switchover::{EnvironmentKind, Percent};

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::{Facts, Traffic};
use crate::domain::gate::answer::{
    GateReport, GateState, fail, insufficient, list, no_hosted, pass, some, unreadable,
};
use crate::domain::number::real;
use crate::domain::policy::Rule;

/// The environments that answer: the one of the promotion, or for installations of others every
/// hosted one.
pub fn answering(facts: &Facts) -> Vec<EnvironmentKey> {
    if facts.environment.kind == EnvironmentKind::Hosted {
        return vec![facts.environment.key.clone()];
    }
    let hosted = facts.proof.hosted.iter();
    hosted.map(|rollout| rollout.environment.clone()).collect()
}

const MISMATCHES: &str = "mismatches";

/// A share that callers report, and its limit.
struct Share {
    what: &'static str,
    limit: f64,
    trials: u64,
    violations: u64,
}

pub(super) fn telemetry(rule: &Rule, facts: &Facts) -> GateReport {
    let mut state = GateState::Pass;
    let mut details = Vec::new();
    let mut numbers = Vec::new();
    let answering = answering(facts);
    if answering.is_empty() {
        return no_hosted("telemetry");
    }
    if facts.proof.unreadable {
        return unreadable("telemetry");
    }
    for environment in answering {
        let Some(traffic) = facts.proof.traffic.get(&environment) else {
            state = worse(state, GateState::Insufficient);
            details.push(format!("nothing is reported in {environment}"));
            continue;
        };
        for share in shares(rule, traffic, compares(&environment, facts)) {
            let answer = within(&share);
            state = worse(state, answer);
            numbers.push((
                format!("{environment}.{}", share.what),
                ratio(share.violations, share.trials),
            ));
            details.push(format!(
                "{environment}: {} {} of {}, limit {}{}",
                share.what,
                share.violations,
                share.trials,
                share.limit,
                match answer {
                    GateState::Pass => "",
                    GateState::Fail => " (not proven to be within)",
                    GateState::Insufficient => " (too few to tell)",
                }
            ));
        }
    }
    if details.is_empty() {
        details.push("calls are reported, and the policy sets no limit for them".to_owned());
    }
    let detail = details.join("; ");
    let report = match state {
        GateState::Pass => pass("telemetry", detail),
        GateState::Fail => fail(
            "telemetry",
            detail,
            "find out why the new path does worse, mend it, and let calls take it for a while",
        ),
        GateState::Insufficient => insufficient(
            "telemetry",
            detail,
            "let more calls take the new path, in applications whose SDK reports to this server",
        ),
    };
    numbers
        .into_iter()
        .fold(report, |report, (name, value)| report.with(&name, value))
}

/// Whether results are compared there: a route whose two paths never run beside each other has no
/// mismatches to be judged by.
fn compares(environment: &EnvironmentKey, facts: &Facts) -> bool {
    let mut hosted = facts.proof.hosted.iter();
    hosted.any(|rollout| {
        rollout.environment == *environment && rollout.mirror.shares.read > Percent::ZERO
    })
}

fn shares(rule: &Rule, traffic: &Traffic, compares: bool) -> Vec<Share> {
    let share = |name, what, limit: Option<f64>, trials, violations| {
        rule.number(name).map(|number| Share {
            what,
            limit: limit.unwrap_or(number),
            trials,
            violations,
        })
    };
    [
        share("error_rate", "errors", None, traffic.calls, traffic.errors),
        // The 99th percentile is within a limit when at most one call in a hundred takes longer.
        share("p99_ms", "slow", Some(0.01), traffic.timed, traffic.slow),
        share(
            "mismatch_rate",
            MISMATCHES,
            None,
            traffic.comparisons,
            traffic.mismatches,
        ),
        share(
            "mirror_failure_rate",
            "failed mirror writes",
            None,
            traffic.mirror_writes,
            traffic.mirror_failures,
        ),
    ]
    .into_iter()
    .flatten()
    .filter(|share| share.what != MISMATCHES || compares || share.trials > 0)
    .collect()
}

/// Whether the true share is proven to be below the limit: at least 3/limit trials, and the
/// one-sided 95 % upper bound (Clopper and Pearson) below it.
fn within(share: &Share) -> GateState {
    let trials = real(share.trials);
    if trials * share.limit < 3.0 {
        return GateState::Insufficient;
    }
    if lower_tail(share.trials, share.violations, share.limit) < 0.05 {
        GateState::Pass
    } else {
        GateState::Fail
    }
}

/// The chance of at most `violations` among `trials` when each happens with `chance`. The bound of
/// Clopper and Pearson is below `chance` exactly where this is below its level.
fn lower_tail(trials: u64, violations: u64, chance: f64) -> f64 {
    let (n, x) = (real(trials), real(violations));
    let mean = n * chance;
    if x >= mean {
        return 1.0;
    }
    let variance = mean * (1.0 - chance);
    if variance > 1_000.0 {
        // So many that the normal distribution differs in the third digit; its tail at the level
        // of interest is all that is asked.
        let deviations = (x + 0.5 - mean) / variance.sqrt();
        return if deviations < -1.645 { 0.0 } else { 1.0 };
    }
    let odds = (chance / (1.0 - chance)).ln();
    let mut term = n * (1.0 - chance).ln();
    let mut sum = term.exp();
    for k in 0..violations {
        let k = real(k);
        term += ((n - k) / (k + 1.0)).ln() + odds;
        sum += term.exp();
    }
    sum
}

pub(super) fn code_deployed(facts: &Facts) -> GateReport {
    let route = &facts.route.spec.key;
    let mut instances = 0;
    let (mut silent, mut lacking) = (Vec::new(), Vec::new());
    let answering = answering(facts);
    if answering.is_empty() {
        return no_hosted("code_deployed");
    }
    if facts.proof.unreadable {
        return unreadable("code_deployed");
    }
    for environment in answering {
        match facts.proof.deployed.get(&environment) {
            Some(seen) if seen.instances > 0 => {
                instances += seen.instances;
                let names = seen.lacking.iter();
                lacking.extend(names.map(|name| format!("{name} in {environment}")));
            }
            _ => silent.push(environment),
        }
    }
    let report = if !lacking.is_empty() {
        fail(
            "code_deployed",
            format!("without `{route}` in their code: {}", some(&lacking)),
            "deploy the version that has the route there, or stop what is old",
        )
    } else if !silent.is_empty() {
        insufficient(
            "code_deployed",
            format!(
                "no instance was seen in the last 10 minutes in {}",
                list(&silent)
            ),
            "start the application there with an SDK that reports to this server",
        )
    } else {
        pass(
            "code_deployed",
            format!("every one of {instances} instances has `{route}` in its code"),
        )
    };
    report
        .with("instances", instances)
        .with("lacking", lacking.len())
}

pub(super) fn worse(one: GateState, other: GateState) -> GateState {
    match (one, other) {
        (GateState::Fail, _) | (_, GateState::Fail) => GateState::Fail,
        (GateState::Insufficient, _) | (_, GateState::Insufficient) => GateState::Insufficient,
        _ => GateState::Pass,
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        real(part) / real(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(trials: u64, violations: u64, limit: f64) -> GateState {
        within(&Share {
            what: "errors",
            limit,
            trials,
            violations,
        })
    }

    #[test]
    fn a_share_is_judged_by_its_upper_bound() {
        // Rule of three: without any error, 3/limit calls suffice.
        assert_eq!(answer(299, 0, 0.01), GateState::Insufficient);
        assert_eq!(answer(300, 0, 0.01), GateState::Pass);
        assert_eq!(answer(300, 1, 0.01), GateState::Fail);
        // With one error the exact bound needs 473 calls, with ten errors 1,693.
        assert_eq!(answer(472, 1, 0.01), GateState::Fail);
        assert_eq!(answer(473, 1, 0.01), GateState::Pass);
        assert_eq!(answer(1_692, 10, 0.01), GateState::Fail);
        assert_eq!(answer(1_693, 10, 0.01), GateState::Pass);
        assert_eq!(answer(1_000_000, 9_999, 0.01), GateState::Fail);
        assert_eq!(answer(1_000_000, 9_000, 0.01), GateState::Pass);
        assert_eq!(answer(u64::MAX, 0, 0.01), GateState::Pass);
        assert_eq!(answer(u64::MAX, u64::MAX, 0.01), GateState::Fail);
        assert_eq!(answer(0, 0, 0.01), GateState::Insufficient);
        assert_eq!(answer(1, 5, 0.5), GateState::Insufficient);
    }
}
