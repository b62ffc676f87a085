//! The test behind limits that are proportions: an e-process with restarts, after which a look every
//! second costs nothing. docs/guards.md explains it and names its sources.
//!
//! Everything is in natural logarithms. A *cell* is one instance, or several that share it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::guard::recent::{Recent, Span};
use crate::domain::number::real;

/// How many times the limit the alternatives are.
const TIMES: [f64; GRID] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
const GRID: usize = 6;
/// The alternative by which single instances are compared: three times the limit.
const MIDDLE: usize = 2;
/// How much of what was said is left at the next tick.
const FADING: f64 = 0.999;

/// No share is held to be closer to none or to all than this.
const LEAST: f64 = 1e-9;

/// One number for each alternative.
type Grid = [f64; GRID];

/// A limit, and the rates beyond it that would speak against it most.
#[derive(Clone, Copy, Debug)]
pub struct Hypothesis {
    violation: Grid,
    none: Grid,
}

impl Hypothesis {
    /// That at most this share of the trials are violations; above 0 and below 1.
    #[must_use]
    pub fn share(limit: f64) -> Hypothesis {
        Hypothesis::of(limit, TIMES.map(|times| times * limit))
    }

    /// That errors per call of the new path are at most `ratio` times those of the old one, where so
    /// many calls took each: each error is a trial, and a violation when it is the new path's. `None`
    /// where one path was not called.
    #[must_use]
    pub fn ratio(ratio: f64, new: u64, old: u64) -> Option<Hypothesis> {
        if new == 0 || old == 0 {
            return None;
        }
        let share = |ratio: f64| ratio * real(new) / (ratio * real(new) + real(old));
        let against = TIMES.map(|times| share(times * ratio));
        Some(Hypothesis::of(share(ratio), against))
    }

    fn of(limit: f64, against: Grid) -> Hypothesis {
        // A share of counts as large as can be sent rounds to one, which has no logarithm of its rest.
        let limit = limit.clamp(LEAST, 1.0 - LEAST);
        let against = against.map(|rate| rate.clamp(LEAST, f64::midpoint(1.0, limit)));
        Hypothesis {
            violation: against.map(|rate| (rate / limit).ln()),
            none: against.map(|rate| ((1.0 - rate) / (1.0 - limit)).ln()),
        }
    }

    /// How much likelier each alternative makes these counts than the limit does.
    fn evidence(&self, trials: u64, violations: u64) -> Grid {
        let (bad, good) = (real(violations), real(trials.saturating_sub(violations)));
        zip(self.violation, self.none, |violation, none| {
            bad * violation + good * none
        })
    }
}

/// What one cell brought in one tick.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Whose.
    pub cell: usize,
    /// What it is held against.
    pub hypothesis: Hypothesis,
    /// So many trials.
    pub trials: u64,
    /// So many of them count against it.
    pub violations: u64,
}

/// What the test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing beyond chance.
    Within,
    /// The limit is passed, whichever instance is left out.
    Beyond,
    /// The limit is passed by all together, and not without this cell.
    Carried(usize),
}

/// The chance, as a logarithm of its reciprocal, that epoch number `epoch`, from 1, ever finds what
/// is not there: 10⁻³/(j(j+1)), so that all epochs of a rollout together stay below 10⁻³.
#[must_use]
pub fn bound(epoch: u64) -> f64 {
    1_000_f64.ln() + real(epoch).ln() + (real(epoch) + 1.0).ln()
}

/// The test of one limit in one epoch. Its size is bounded by the number of cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    ticks: u64,
    trials: u64,
    violations: u64,
    /// Of all instances: what the total stands at.
    all: Process,
    /// Of all instances, none with more than a third of the weight.
    weighted: Process,
    cells: Vec<Cell>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    /// Of all the others, weighted.
    without: Process,
    recent: Recent,
    /// What it brought against the new path by itself; never below nothing.
    own: f64,
    /// What it brought on the whole, fading: below nothing where it speaks for the new path.
    fading: f64,
    trials: u64,
}

/// How a kind of limit weighs its instances.
#[derive(Clone, Copy, Debug)]
pub struct Weighing {
    /// Over which trials.
    pub over: Span,
    /// Whether the total is weighted too.
    pub total: bool,
    /// Whether the one of four or more that spoke most for the new path before this tick is not
    /// heard. That is known before the tick, so it costs nothing.
    pub without_best: bool,
}

impl Sequential {
    /// Takes what was reported in one tick. `second` counts seconds on any clock that goes forward.
    pub fn take(&mut self, second: i64, weighing: Weighing, samples: &[Sample]) {
        if samples.iter().all(|sample| sample.trials == 0) {
            return;
        }
        self.reach(samples);
        for sample in samples {
            self.trials = self.trials.saturating_add(sample.trials);
            self.violations = self.violations.saturating_add(sample.violations);
            if let Some(cell) = self.cells.get_mut(sample.cell) {
                cell.trials = cell.trials.saturating_add(sample.trials);
                cell.recent.add(second, weighing.over, sample.trials);
            }
        }
        let weights = self.weights(second, weighing);
        let (mut plain, mut weighted) = ([0.0; GRID], [0.0; GRID]);
        let mut own = BTreeMap::<usize, Grid>::new();
        for sample in samples {
            let evidence = sample.hypothesis.evidence(sample.trials, sample.violations);
            let weight = weights.get(sample.cell).copied().unwrap_or(1.0);
            let scaled = evidence.map(|value| weight * value);
            plain = zip(plain, evidence, |sum, value| sum + value);
            weighted = zip(weighted, scaled, |sum, value| sum + value);
            let sum = own.entry(sample.cell).or_insert([0.0; GRID]);
            *sum = zip(*sum, scaled, |sum, value| sum + value);
            if let (Some(cell), Some(value)) =
                (self.cells.get_mut(sample.cell), evidence.get(MIDDLE))
            {
                cell.own = (cell.own + value).max(0.0);
                cell.fading = FADING * cell.fading + value;
            }
        }
        let started = self.ticks > 0;
        self.ticks = self.ticks.saturating_add(1);
        let restart = -real(self.ticks).ln() - (real(self.ticks) + 1.0).ln();
        let total = if weighing.total { weighted } else { plain };
        self.all.step(started, restart, total);
        self.weighted.step(started, restart, weighted);
        for (index, cell) in self.cells.iter_mut().enumerate() {
            let others = match own.get(&index) {
                Some(own) => zip(weighted, *own, |all, own| all - own),
                None => weighted,
            };
            cell.without.step(started, restart, others);
        }
    }

    /// What it finds in epoch number `epoch`, where so many instances report on the route.
    #[must_use]
    pub fn finding(&self, epoch: u64, instances: usize) -> Finding {
        if self.ticks == 0 {
            return Finding::Within;
        }
        let bound = bound(epoch);
        let alone = self.all.e() >= bound;
        if self.reporting().max(instances) < 3 {
            return if alone {
                Finding::Beyond
            } else {
                Finding::Within
            };
        }
        if self.without_one().is_some_and(|least| least >= bound) {
            return Finding::Beyond;
        }
        let most = self.cells.iter().enumerate();
        let most = most.max_by(|(_, one), (_, other)| one.own.total_cmp(&other.own));
        match most {
            Some((cell, _)) if alone => Finding::Carried(cell),
            _ => Finding::Within,
        }
    }

    /// The logarithm of E, all instances together; `None` before the first trial.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        (self.ticks > 0).then(|| self.all.e())
    }

    /// The least logarithm of E that is left when one cell is left out.
    #[must_use]
    pub fn without_one(&self) -> Option<f64> {
        let left = self.cells.iter().map(|cell| cell.without.e());
        left.min_by(f64::total_cmp)
    }

    /// How many cells have brought trials in this epoch.
    #[must_use]
    pub fn reporting(&self) -> usize {
        self.cells.iter().filter(|cell| cell.trials > 0).count()
    }

    /// All trials of the epoch, and the violations among them.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.trials, self.violations)
    }

    /// A cell that was silent until now is left out of what the others have brought.
    fn reach(&mut self, samples: &[Sample]) {
        let needed = samples.iter().map(|sample| sample.cell.saturating_add(1));
        let needed = needed.max().unwrap_or_default();
        if needed > self.cells.len() {
            let silent = Cell {
                without: self.weighted,
                ..Cell::default()
            };
            self.cells.resize(needed, silent);
        }
    }

    /// By cell: no weight is above 1, and none of three or more has more than a third of the
    /// weighted trials. They depend on how many trials there were, and on nothing that came of those
    /// of this tick.
    fn weights(&mut self, second: i64, weighing: Weighing) -> Vec<f64> {
        let best = if weighing.without_best && self.reporting() > 3 {
            let cells = self.cells.iter().enumerate();
            let best = cells.min_by(|(_, one), (_, other)| one.fading.total_cmp(&other.fading));
            best.filter(|(_, cell)| cell.fading < 0.0)
                .map(|(index, _)| index)
        } else {
            None
        };
        let cells = self.cells.iter_mut().enumerate();
        let trials: Vec<f64> = cells
            .map(|(index, cell)| match best {
                Some(best) if best == index => 0.0,
                _ => real(cell.recent.total(second, weighing.over)),
            })
            .collect();
        let most = most_weight(&trials).unwrap_or(f64::INFINITY);
        let weighed = trials.iter().enumerate();
        weighed
            .map(|(index, trials)| match best {
                Some(best) if best == index => 0.0,
                _ if *trials > most => most / trials,
                _ => 1.0,
            })
            .collect()
    }
}

/// The most trials that one of three or more may weigh in with, so that it has a third of all at
/// most: what is cut off the largest does not count for the third either.
fn most_weight(trials: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = trials
        .iter()
        .copied()
        .filter(|trials| *trials > 0.0)
        .collect();
    sorted.sort_by(|one, other| other.total_cmp(one));
    let (&[first, second, ..], true) = (sorted.as_slice(), sorted.len() > 2) else {
        return None;
    };
    let others: f64 = sorted.iter().skip(2).sum();
    if 3.0 * first <= first + second + others {
        return None;
    }
    // One is cut, or the two largest are.
    let one = f64::midpoint(second, others);
    Some(if second <= one { one } else { others })
}

/// R for each alternative: the weighted sum of products that begin at each tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Process(Grid);

impl Process {
    /// R ← (R + w) · exp(evidence), where R is nothing before the first.
    fn step(&mut self, started: bool, restart: f64, evidence: Grid) {
        self.0 = zip(self.0, evidence, |before, evidence| {
            let begun = if started {
                add(before, restart)
            } else {
                restart
            };
            begun + evidence
        });
    }

    /// ln E: the mean of R over the alternatives.
    fn e(&self) -> f64 {
        let sum = self.0.into_iter().reduce(add).unwrap_or_default();
        sum - 6_f64.ln()
    }
}

/// ln(eᵃ + eᵇ).
fn add(one: f64, other: f64) -> f64 {
    let (most, least) = if one > other {
        (one, other)
    } else {
        (other, one)
    };
    most + (least - most).exp().ln_1p()
}

fn zip(one: Grid, other: Grid, with: impl Fn(f64, f64) -> f64) -> Grid {
    let mut done = one;
    for (value, other) in done.iter_mut().zip(other) {
        *value = with(*value, other);
    }
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Of three or more, none has more than a third of what counts, and no more is cut than that
        /// takes.
        #[test]
        fn nobody_has_more_than_a_third(trials in prop::collection::vec(1_u32..1_000_000, 3..30)) {
            let trials: Vec<f64> = trials.into_iter().map(f64::from).collect();
            let most = most_weight(&trials).unwrap_or(f64::INFINITY);
            let weighed: Vec<f64> = trials.iter().map(|trials| trials.min(most)).collect();
            let (sum, largest) = (
                weighed.iter().sum::<f64>(),
                weighed.iter().copied().fold(0.0, f64::max),
            );
            prop_assert!(3.0 * largest <= sum * (1.0 + 1e-9));
            if most.is_finite() {
                prop_assert!(3.0 * largest >= sum * (1.0 - 1e-9));
            }
        }
    }

    #[test]
    fn two_weigh_in_with_all() {
        assert_eq!(most_weight(&[]), None);
        assert_eq!(most_weight(&[1e9, 0.0, 1.0]), None);
        assert_eq!(most_weight(&[1e9, 1e9, 1.0]), Some(1.0));
        assert_eq!(most_weight(&[9.0, 2.0, 2.0, 2.0]), Some(3.0));
    }

    #[test]
    fn evidence_is_a_likelihood_ratio() {
        let evidence = Hypothesis::share(0.01).evidence(100, 3);
        let expected = 3.0 * 2_f64.ln() + 97.0 * (0.98_f64 / 0.99).ln();
        assert!((evidence[1] - expected).abs() < 1e-12);
        // As many calls of both paths: at twice the errors two of three are the new path's.
        let ratio = Hypothesis::ratio(2.0, 500, 500).unwrap().evidence(3, 3);
        assert!((ratio[1] - 3.0 * (0.8_f64 / (2.0 / 3.0)).ln()).abs() < 1e-12);
        assert!(Hypothesis::ratio(2.0, 0, 500).is_none());
    }

    #[test]
    fn no_count_makes_evidence_that_is_no_number() {
        for (new, old) in [(u64::MAX, 1), (1, u64::MAX), (10_u64.pow(15), 1)] {
            let hypothesis = Hypothesis::ratio(100.0, new, old).unwrap();
            for (trials, violations) in [(u64::MAX, 0), (u64::MAX, u64::MAX), (1, 1)] {
                let evidence = hypothesis.evidence(trials, violations);
                assert!(
                    evidence.iter().all(|value| value.is_finite()),
                    "{evidence:?}"
                );
            }
        }
    }

    #[test]
    fn restarts_add_up_to_one() {
        let mut process = Process::default();
        for tick in 1..=1_000 {
            let tick = f64::from(tick);
            process.step(tick > 1.0, -tick.ln() - (tick + 1.0).ln(), [0.0; GRID]);
        }
        assert!((process.e().exp() - 1_000.0 / 1_001.0).abs() < 1e-9);
    }
}
