//! What holds whatever is reported.

use proptest::prelude::*;

use super::fleet::{Fleet, error_rate};
use crate::domain::guard::GuardState;
use crate::domain::guard::reading::OF_CALLS;
use crate::domain::guard::sequential::{Finding, Hypothesis, Sample, Sequential};

fn sample(cell: usize, trials: u64, violations: u64) -> Sample {
    Sample {
        cell,
        hypothesis: Hypothesis::share(0.01),
        trials,
        violations,
    }
}

/// Ticks of reports: instance, trials, and the share that fails.
fn ticks() -> impl Strategy<Value = Vec<Vec<(usize, u64, f64)>>> {
    let report = (0_usize..6, 0_u64..2_000, 0.0..=1.0);
    prop::collection::vec(prop::collection::vec(report, 0..6), 1..60)
}

#[expect(clippy::as_conversions, reason = "a test's rounding")]
fn part(trials: u64, share: f64) -> u64 {
    (trials as f64 * share) as u64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one of four instances says, without errors of the others nothing is beyond.
    #[test]
    fn one_alone_is_never_beyond(ticks in ticks()) {
        let mut test = Sequential::default();
        for (second, tick) in (0..).zip(&ticks) {
            let mut samples: Vec<Sample> = (1..4).map(|cell| sample(cell, 10, 0)).collect();
            let liar = tick.iter();
            samples.extend(liar.map(|(_, trials, share)| sample(0, *trials, part(*trials, *share))));
            test.take(second, OF_CALLS, &samples);
            prop_assert_ne!(test.finding(1, 4), Finding::Beyond);
        }
    }

    /// Numbers stay numbers, and a state is the same after it was kept.
    #[test]
    fn states_are_kept_whole(ticks in ticks()) {
        let mut test = Sequential::default();
        for (second, tick) in (0..).zip(&ticks) {
            let reports = tick.iter();
            let samples: Vec<Sample> = reports
                .map(|(cell, trials, share)| sample(*cell, *trials, part(*trials, *share)))
                .collect();
            test.take(second, OF_CALLS, &samples);
            prop_assert!(test.total().is_none_or(f64::is_finite));
            prop_assert!(test.without_one().is_none_or(f64::is_finite));
            let kept = serde_json::to_string(&test).unwrap();
            let read: Sequential = serde_json::from_str(&kept).unwrap();
            prop_assert_eq!(read.finding(1, 0), test.finding(1, 0));
            prop_assert_eq!(read.counts(), test.counts());
        }
    }

    /// Of all that is reported within a limit, nothing is ever beyond it.
    #[test]
    fn health_is_never_a_breach(ticks in ticks()) {
        let mut fleet = Fleet::of(6, &[error_rate(0.01)]);
        for tick in &ticks {
            fleet.second(|report| {
                let own = report.id;
                for (_, trials, _) in tick.iter().filter(|(id, ..)| *id == own) {
                    report.calls(*trials, trials / 100);
                }
            });
            prop_assert_ne!(fleet.state(), GuardState::Breach);
            prop_assert_eq!(fleet.due(), vec![]);
        }
    }
}
