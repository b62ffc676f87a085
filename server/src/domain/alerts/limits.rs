//! What a policy limits, as far as alerts can tell of it.

use crate::domain::policy::{Measure, Policy};

/// What a policy limits: of each the strictest number of its guards and gates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Errors per call.
    pub error_rate: Option<f64>,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Mismatches per comparison.
    pub mismatch_rate: Option<f64>,
    /// Mismatches in an hour.
    pub mismatches_per_hour: Option<f64>,
    /// Whether there are guards at all.
    pub has_guards: bool,
}

impl Limits {
    /// Those of a policy, with the route's own numbers in it.
    #[must_use]
    pub fn of(policy: &Policy) -> Limits {
        let of_guards = |measure: Measure| {
            let guards = policy.guards.iter();
            let limits = guards.filter(move |guard| guard.measure == measure);
            limits.map(|guard| guard.limit)
        };
        let of_gates = |name: &'static str| {
            let rules = policy.gates.values().flatten();
            rules.filter_map(move |rule| rule.numbers.get(name).copied())
        };
        let none = || std::iter::empty::<f64>();
        Limits {
            error_rate: least(of_guards(Measure::ErrorRate), of_gates("error_rate")),
            p99_ms: least(of_guards(Measure::P99Ms), of_gates("p99_ms")),
            mismatch_rate: least(none(), of_gates("mismatch_rate")),
            mismatches_per_hour: least(of_guards(Measure::MismatchesPerHour), none()),
            has_guards: !policy.guards.is_empty(),
        }
    }

    /// The kinds of which no alert tells, because the policy has nothing about them.
    #[must_use]
    pub fn untold(&self) -> Vec<&'static str> {
        let has_mismatches = self.mismatch_rate.is_some() || self.mismatches_per_hour.is_some();
        let kinds = [
            ("errors", self.error_rate.is_some()),
            ("latency", self.p99_ms.is_some()),
            ("mismatches", has_mismatches),
            ("guards", self.has_guards),
        ];
        let untold = kinds.into_iter().filter(|(_, is_told)| !is_told);
        untold.map(|(kind, _)| kind).collect()
    }
}

fn least(one: impl Iterator<Item = f64>, other: impl Iterator<Item = f64>) -> Option<f64> {
    one.chain(other).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_number_of_a_policy_counts() {
        let [open, gitaly, data] = Policy::built_in() else {
            panic!("three")
        };
        assert_eq!(Limits::of(open), Limits::default());
        let limits = Limits::of(gitaly);
        assert_eq!(
            (limits.error_rate, limits.p99_ms),
            (Some(0.01), Some(500.0))
        );
        assert!(!limits.has_guards && limits.mismatch_rate == Some(0.01));
        let limits = Limits::of(data);
        assert_eq!(
            limits.error_rate,
            Some(0.001),
            "the gate is stricter than the guard"
        );
        assert_eq!(limits.mismatches_per_hour, Some(5.0));
        assert!(limits.has_guards);
    }

    #[test]
    fn every_kind_without_a_limit_is_named() {
        let all = ["errors", "latency", "mismatches", "guards"];
        assert_eq!(Limits::default().untold(), all);
        let errors = Limits {
            error_rate: Some(0.01),
            ..Limits::default()
        };
        assert_eq!(errors.untold(), ["latency", "mismatches", "guards"]);
        let rare = Limits {
            p99_ms: Some(300.0),
            mismatches_per_hour: Some(5.0),
            has_guards: true,
            ..Limits::default()
        };
        assert_eq!(rare.untold(), ["errors"]);
        let [open, gitaly, data] = Policy::built_in() else {
            panic!("three")
        };
        assert_eq!(Limits::of(open).untold(), all);
        assert_eq!(Limits::of(gitaly).untold(), ["guards"]);
        assert!(Limits::of(data).untold().is_empty());
    }
}
