//! Which guards a policy may have.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use switchover::MOST_LIMITS;

use crate::domain::field::FieldError;
use crate::domain::policy::query::LIMITS;
use crate::domain::policy::{Guard, GuardAction, Measure, Policy, PolicyName, Query, Worse};

/// With fewer trials than that a guard does not answer.
const MIN_CALLS: std::ops::RangeInclusive<u64> = 1..=1_000_000_000;

/// A guard as people write it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardDocument {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measure: Option<Measure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worse: Option<Worse>,
    limit: f64,
    action: GuardAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_calls: Option<u64>,
}

/// Where a guard gets its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// From what callers report.
    Callers,
    /// From Prometheus.
    Prometheus,
}

impl From<Guard> for GuardDocument {
    fn from(guard: Guard) -> GuardDocument {
        let asks = guard.query.is_some();
        let query = guard.query.map(|query| (query.text, query.worse));
        let (query, worse) = query.unzip();
        GuardDocument {
            name: guard.name,
            source: asks.then_some(Source::Prometheus),
            measure: (!asks).then_some(guard.measure),
            query,
            worse,
            limit: guard.limit,
            action: guard.action,
            min_calls: guard.min_calls,
        }
    }
}

/// Reads guards; what is wrong with one is said by its field.
pub(super) fn read_guards(
    documents: Vec<GuardDocument>,
    errors: &mut Vec<FieldError>,
) -> Vec<Guard> {
    let guards = documents.into_iter().enumerate();
    let guards = guards.filter_map(|(index, document)| {
        let (measure, query) = match what_is_watched(&document) {
            Ok(watched) => watched,
            Err((field, detail)) => {
                errors.push(FieldError::new(format!("guards[{index}].{field}"), detail));
                return None;
            }
        };
        Some(Guard {
            name: document.name,
            measure,
            limit: document.limit,
            action: document.action,
            min_calls: document.min_calls,
            query,
        })
    });
    guards.collect()
}

fn what_is_watched(
    document: &GuardDocument,
) -> Result<(Measure, Option<Query>), (&'static str, String)> {
    let refused = |field, detail: &str| Err((field, detail.to_owned()));
    if document.source == Some(Source::Prometheus) {
        if document.measure.is_some() {
            return refused("measure", "is for what callers report: leave it out");
        }
        if document.min_calls.is_some() {
            return refused("min_calls", "is for what callers report: leave it out");
        }
        let text = document.query.as_deref().unwrap_or_default();
        let query = Query::read(text, document.worse.unwrap_or_default());
        return match query {
            Ok(query) => Ok((Measure::Prometheus, Some(query))),
            Err(detail) => Err(("query", detail)),
        };
    }
    if document.query.is_some() || document.worse.is_some() {
        return refused("query", "needs `source: prometheus`");
    }
    match document.measure {
        None => refused("measure", "is missing: say what is watched"),
        Some(Measure::Prometheus) => refused("measure", "say `source: prometheus` and a query"),
        Some(measure) => Ok((measure, None)),
    }
}

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
        Measure::Prometheus => LIMITS,
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
