//! Which guards a policy may have.

use std::collections::BTreeSet;

use switchover::MOST_LIMITS;

use crate::domain::field::FieldError;
use crate::domain::policy::{Guard, Measure, Policy, PolicyName};

/// With fewer trials than that a guard does not answer.
const MIN_CALLS: std::ops::RangeInclusive<u64> = 1..=1_000_000_000;

pub(super) fn check_guards(guards: &[Guard], errors: &mut Vec<FieldError>) {
    if guards.len() > 50 {
        errors.push(FieldError::new("guards", "has at most 50"));
    }
    let mut names = BTreeSet::new();
    for (index, guard) in guards.iter().enumerate() {
        if guard.name.parse::<PolicyName>().is_err() || !names.insert(&guard.name) {
            let detail = "must be unique: a lower-case letter, then lower-case letters, digits or \
                          underscores";
            errors.push(FieldError::new(format!("guards[{index}].name"), detail));
        }
        if let Err(detail) = check_limit(guard.measure, guard.limit) {
            errors.push(FieldError::new(format!("guards[{index}].limit"), detail));
        }
        if guard
            .min_calls
            .is_some_and(|least| !MIN_CALLS.contains(&least))
        {
            let detail = "must be a whole number from 1 to 1000000000";
            errors.push(FieldError::new(
                format!("guards[{index}].min_calls"),
                detail,
            ));
        }
    }
}

/// Callers count slow calls by so many limits at most.
pub(super) fn check_watch(policy: &Policy) -> Result<(), FieldError> {
    let watch = policy.watch();
    for (limits, what) in [
        (watch.slow_ms, "guards with p99_ms and telemetry gates"),
        (watch.mirror_slow_ms, "guards with mirror_p99_ms"),
    ] {
        if limits.len() > MOST_LIMITS {
            let detail = format!(
                "the {what} have {} different limits: {MOST_LIMITS} at most, for callers count \
                 by each",
                limits.len()
            );
            return Err(FieldError::new("guards", detail));
        }
    }
    Ok(())
}

/// A limit that could never be passed would be no guard.
pub(super) fn check_limit(measure: Measure, limit: f64) -> Result<(), String> {
    let (least, most) = match measure {
        Measure::ErrorRate | Measure::MirrorFailureRate | Measure::Inconsistency => {
            (0.000_001, 0.5)
        }
        Measure::ErrorRatio => (0.1, 100.0),
        Measure::P99Ms | Measure::MirrorP99Ms => (1.0, 600_000.0),
        Measure::MismatchesPerHour => (0.000_001, 1_000_000.0),
    };
    if (least..=most).contains(&limit) {
        Ok(())
    } else {
        Err(format!("must be from {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Numbers;

    /// A policy with guards on these 99th percentiles, and a telemetry gate on another.
    fn with_limits(limits: &[u32], gate: u32) -> Result<Policy, Vec<FieldError>> {
        let guards: Vec<String> = limits
            .iter()
            .map(|limit| {
                format!(
                    r#"{{"name":"p{limit}","measure":"p99_ms","limit":{limit},"action":"halt"}}"#
                )
            })
            .collect();
        let text = format!(
            r#"{{"name":"a","gates":{{"opt_in":[{{"gate":"telemetry","p99_ms":{gate}}}]}},"guards":[{}]}}"#,
            guards.join(",")
        );
        Policy::parse(text.as_bytes())
    }

    #[test]
    fn callers_count_by_four_limits_at_most() {
        let policy = with_limits(&[500, 100, 300], 200).unwrap();
        assert_eq!(policy.watch().slow_ms, [100, 200, 300, 500]);
        assert!(policy.watch().mirror_slow_ms.is_empty());
        with_limits(&[500, 100, 300, 200], 200).unwrap();
        let errors = with_limits(&[500, 100, 300, 400], 200).unwrap_err();
        assert_eq!(errors[0].field, "guards");
        let policy = with_limits(&[500, 100, 300, 200], 200).unwrap();
        let fifth = Numbers::from([("opt_in.telemetry.p99_ms".to_owned(), 250.0)]);
        assert_eq!(
            policy.check_numbers(&fifth).unwrap_err()[0].field,
            "policy_numbers"
        );
    }

    #[test]
    fn a_guard_that_waits_longer_is_laxer() {
        let with = |least: &str| {
            let text = format!(
                r#"{{"name":"a","guards":[{{"name":"e","measure":"error_rate","limit":0.01,"action":"halt"{least}}}]}}"#
            );
            Policy::parse(text.as_bytes()).unwrap()
        };
        let (soon, late) = (with(""), with(r#","min_calls":1000"#));
        assert!(late.is_laxer_than(&soon) && !soon.is_laxer_than(&late));
    }
}
