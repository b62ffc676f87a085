//! Which of the reported counts a guard looks at, and what it does with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchover::{Path, Role, RouteCounts};

use crate::domain::guard::fleet::Cells;
use crate::domain::guard::hourly::Hourly;
use crate::domain::guard::recent::Span;
use crate::domain::guard::sequential::{Finding, Hypothesis, Sample, Sequential, Weighing};
use crate::domain::policy::{Measure, Sampled, whole_ms};
use crate::domain::telemetry::Reported;

/// Calls come every few seconds from everybody, so the last ten seconds tell who has how many.
pub const OF_CALLS: Weighing = Weighing {
    over: Span {
        bucket: 1,
        buckets: 10,
    },
    total: true,
    without_best: false,
};
/// Errors are rare, so it takes ten minutes to tell. One bad host has most of them, and must show in
/// the total. And few of them on the old path would hide many on the new one, so who says so most is
/// not heard.
pub const OF_ERRORS: Weighing = Weighing {
    over: Span {
        bucket: 60,
        buckets: 10,
    },
    total: false,
    without_best: true,
};
/// A 99th percentile is within a limit while no more than this share of the calls is slower.
const SLOW: f64 = 0.01;
/// A comparison of two paths needs so many calls of each.
const LEAST_COMPARED: u64 = 100;

/// What a guard has gathered in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gathered {
    /// Violations among trials.
    Share(Sequential),
    /// Errors of two paths.
    Ratio {
        /// The test.
        test: Sequential,
        /// Calls of the new path that the ramp sent there.
        new: u64,
        /// Calls of the old path that the ramp left there.
        old: u64,
    },
    /// Findings in an hour.
    Hourly(Hourly),
    /// What Prometheus last answered.
    Sampled(Option<Sampled>),
    /// Nothing: callers do not report this.
    Nothing,
}

/// How many calls of a path, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    made: u64,
    failed: u64,
}

impl Gathered {
    /// Nothing yet.
    #[must_use]
    pub(super) fn of(measure: Measure) -> Gathered {
        match measure {
            Measure::ErrorRate
            | Measure::P99Ms
            | Measure::MirrorFailureRate
            | Measure::MirrorP99Ms => Gathered::Share(Sequential::default()),
            Measure::ErrorRatio => Gathered::Ratio {
                test: Sequential::default(),
                new: 0,
                old: 0,
            },
            Measure::MismatchesPerHour => Gathered::Hourly(Hourly::default()),
            Measure::Prometheus => Gathered::Sampled(None),
            Measure::Inconsistency => Gathered::Nothing,
        }
    }

    /// Takes what was reported in one tick; tells whether anything of it was for this guard.
    pub(super) fn take(
        &mut self,
        (measure, limit): (Measure, f64),
        reports: &[&Reported],
        cells: &mut Cells,
        second: i64,
    ) -> bool {
        let mut taken = false;
        match self {
            Gathered::Share(test) => {
                let hypothesis = Hypothesis::share(greatest_share(measure, limit));
                let samples: Vec<Sample> = reports
                    .iter()
                    .filter_map(|reported| {
                        let (trials, violations) = trials(measure, limit, &reported.counts)?;
                        (trials > 0).then(|| Sample {
                            cell: cells.of(&reported.instance),
                            hypothesis,
                            trials,
                            violations,
                        })
                    })
                    .collect();
                taken = !samples.is_empty();
                test.take(second, OF_CALLS, &samples);
            }
            Gathered::Ratio { test, new, old } => {
                let mut by_cell = BTreeMap::<usize, (Calls, Calls)>::new();
                for reported in reports {
                    let counts = &reported.counts;
                    if counts.role == Role::Mirror || counts.ramp.trials == 0 {
                        continue;
                    }
                    taken = true;
                    let paths = by_cell.entry(cells.of(&reported.instance)).or_default();
                    let (path, all) = match counts.path {
                        Path::New => (&mut paths.0, &mut *new),
                        Path::Old => (&mut paths.1, &mut *old),
                    };
                    path.made = path.made.saturating_add(counts.ramp.trials);
                    path.failed = path.failed.saturating_add(counts.ramp.violations);
                    *all = all.saturating_add(counts.ramp.trials);
                }
                let samples: Vec<Sample> = by_cell
                    .into_iter()
                    .filter_map(|(cell, (new, old))| {
                        Some(Sample {
                            cell,
                            hypothesis: Hypothesis::ratio(limit, new.made, old.made)?,
                            trials: new.failed.saturating_add(old.failed),
                            violations: new.failed,
                        })
                    })
                    .collect();
                test.take(second, OF_ERRORS, &samples);
            }
            Gathered::Hourly(hourly) => {
                for reported in reports {
                    let counts = &reported.counts;
                    // In whichever row: the path that ran beside the call has counted it.
                    if counts.comparisons > 0 {
                        taken = true;
                        let cell = cells.of(&reported.instance);
                        hourly.take(second, cell, counts.comparisons, counts.mismatches);
                    }
                }
            }
            Gathered::Sampled(_) | Gathered::Nothing => {}
        }
        taken
    }

    /// What follows from it in epoch number `epoch`, where so many instances report.
    #[must_use]
    pub(super) fn finding(&self, limit: f64, epoch: u64, instances: usize, second: i64) -> Finding {
        match self {
            Gathered::Share(test) | Gathered::Ratio { test, .. } => test.finding(epoch, instances),
            Gathered::Hourly(hourly) => hourly.finding(second, limit, instances),
            Gathered::Sampled(_) | Gathered::Nothing => Finding::Within,
        }
    }

    /// How many trials there were, and how many it takes to answer, where the policy asks for
    /// `least`.
    #[must_use]
    pub(super) fn trials(
        &self,
        (measure, limit): (Measure, f64),
        least: Option<u64>,
    ) -> (u64, u64) {
        let least = least.unwrap_or(1).max(1);
        match self {
            Gathered::Share(test) => {
                let needed = whole((1.0 / greatest_share(measure, limit)).ceil());
                (test.counts().0, needed.max(least))
            }
            Gathered::Ratio { new, old, .. } => (*new.min(old), LEAST_COMPARED.max(least)),
            Gathered::Hourly(hourly) => (hourly.comparisons(), least),
            // One number is all that is asked for.
            Gathered::Sampled(_) => (least, least),
            Gathered::Nothing => (0, least),
        }
    }
}

/// A number that is a count: limits are above a millionth.
#[expect(
    clippy::as_conversions,
    reason = "there is no other conversion; it saturates"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// The greatest share of violations that is within a limit.
fn greatest_share(measure: Measure, limit: f64) -> f64 {
    match measure {
        Measure::P99Ms | Measure::MirrorP99Ms => SLOW,
        _ => limit,
    }
}

/// The trials in a row of a report, and the violations among them; `None` where it is about
/// something else. Calls of the mirror count for its own guards alone.
fn trials(measure: Measure, limit: f64, counts: &RouteCounts) -> Option<(u64, u64)> {
    let is_mirror = counts.role == Role::Mirror;
    let is_new = !is_mirror && counts.path == Path::New;
    match measure {
        Measure::ErrorRate if is_new => Some((counts.calls, counts.failures())),
        Measure::MirrorFailureRate if is_mirror => Some((counts.calls, counts.failures())),
        Measure::P99Ms if is_new => slow(limit, counts),
        Measure::MirrorP99Ms if is_mirror => slow(limit, counts),
        _ => None,
    }
}

fn slow(limit: f64, counts: &RouteCounts) -> Option<(u64, u64)> {
    let by_limit = counts.slow.iter();
    let mut by_limit = by_limit.filter(|slow| slow.limit_ms == whole_ms(limit));
    by_limit.next().map(|slow| (slow.trials, slow.violations))
}
