//! How a guard's answer is told: one sentence, and the numbers in it.

use std::f64::consts::LN_10;

use serde_json::{Map, Value};

use crate::domain::guard::reading::Gathered;
use crate::domain::guard::sequential::{Sequential, bound};
use crate::domain::guard::watched::Watching;
use crate::domain::guard::{GuardReport, GuardState};
use crate::domain::number::real;
use crate::domain::policy::{Guard, Measure, Sampled};

/// Why nothing is known of a measure that no caller reports.
pub(super) const NOT_REPORTED: &str = "the rows of the two stores were not compared yet";

/// Why nothing is known of what Prometheus is asked.
pub(super) const NOT_ASKED: &str =
    "Prometheus was not asked of the rollout as it is now: it is while calls may take the new path";

/// The answer where nothing was reported of the rollout as it is.
pub(super) fn silent(guard: &Guard) -> GuardReport {
    let detail = match guard.measure {
        Measure::Inconsistency => NOT_REPORTED,
        Measure::Prometheus => NOT_ASKED,
        _ => "nothing is reported of the rollout as it is now",
    };
    GuardReport {
        guard: guard.clone(),
        state: GuardState::Insufficient,
        detail: detail.to_owned(),
        numbers: Map::new(),
        instance: None,
    }
}

/// What a guard has seen, as a sentence and in numbers.
pub(super) fn grounds(
    watching: &Watching,
    epoch: u64,
    instances: usize,
    second: i64,
) -> (String, Map<String, Value>) {
    let limit = watching.limit;
    let mut numbers = Map::new();
    let mut put = |name: &str, value: Value| {
        numbers.insert(name.to_owned(), value);
    };
    put("limit", limit.into());
    put("epoch", epoch.into());
    put("instances", instances.into());
    let detail = match &watching.gathered {
        Gathered::Share(test) => {
            let (trials, violations) = test.counts();
            put("trials", trials.into());
            put("violations", violations.into());
            put("rate", share(violations, trials).into());
            evidence(test, epoch, &mut put);
            let (what, most) = match watching.measure {
                Measure::P99Ms => (format!("calls took longer than {limit} ms"), 0.01),
                Measure::MirrorP99Ms => (format!("mirror calls took longer than {limit} ms"), 0.01),
                Measure::MirrorFailureRate => ("mirror calls failed".to_owned(), limit),
                _ => ("calls failed".to_owned(), limit),
            };
            let rate = percent(share(violations, trials));
            format!(
                "{violations} of {trials} {what} ({rate}), limit {}",
                percent(most)
            )
        }
        Gathered::Ratio { test, new, old } => {
            let (errors, of_new) = test.counts();
            let of_old = errors.saturating_sub(of_new);
            put("new_calls", (*new).into());
            put("new_errors", of_new.into());
            put("old_calls", (*old).into());
            put("old_errors", of_old.into());
            put("trials", errors.into());
            put("violations", of_new.into());
            if of_old > 0 && *new > 0 {
                let ratio = share(of_new, *new) / share(of_old, *old);
                put("ratio", ratio.into());
            }
            evidence(test, epoch, &mut put);
            format!(
                "of the ramp's calls {of_new} of {new} failed on the new path ({}), {of_old} of \
                 {old} on the old one ({}), limit {limit} times that",
                percent(share(of_new, *new)),
                percent(share(of_old, *old)),
            )
        }
        Gathered::Hourly(hourly) => {
            let found = hourly.found(second);
            put("trials", hourly.comparisons().into());
            put("violations", found.into());
            format!(
                "{found} mismatches in the last hour, limit {limit}; {} comparisons in this epoch",
                hourly.comparisons()
            )
        }
        Gathered::Sampled(Some(Sampled::Number(number))) => {
            put("value", (*number).into());
            format!("Prometheus answers {number}, limit {limit}")
        }
        Gathered::Sampled(Some(Sampled::Nothing(why))) => why.clone(),
        Gathered::Sampled(None) => NOT_ASKED.to_owned(),
        Gathered::Nothing => NOT_REPORTED.to_owned(),
    };
    (detail, numbers)
}

/// The evidence and what it is held against, as powers of ten: E itself has no upper end.
fn evidence(test: &Sequential, epoch: u64, put: &mut impl FnMut(&str, Value)) {
    put("reporting", test.reporting().into());
    put("log10_bound", round(bound(epoch) / LN_10).into());
    if let Some(total) = test.total() {
        put("log10_e", round(total / LN_10).into());
    }
    if let Some(least) = test.without_one() {
        put("log10_e_without_one", round(least / LN_10).into());
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        real(part) / real(whole)
    }
}

/// To three decimals, as people read it.
fn round(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn percent(share: f64) -> String {
    format!("{} %", round(share * 100.0))
}
