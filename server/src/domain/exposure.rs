//! How much of the traffic may take the new path, and whether a change raises that.

use std::collections::BTreeSet;

use switchover::{EnvironmentKind, Percent, Setting, Stage};

/// Keys that are treated apart from the ramp; each 1 to 256 bytes.
pub type Cohort = BTreeSet<Box<str>>;

/// The most keys that a rollout's cohorts may have each.
pub const LARGEST_COHORT: usize = 1_000;

/// The result of stage, setting, halt and cohorts. Environment variables are the installation's own
/// business and do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The share of the keys that are in no cohort.
    pub share: Percent,
    /// Keys that take the new path in any case.
    pub include: Cohort,
    /// Keys that take the old path in any case.
    pub exclude: Cohort,
}

impl Exposure {
    /// The exposure that follows from a rollout's state, by the decision's rules.
    #[must_use]
    pub fn of(
        stage: Stage,
        kind: EnvironmentKind,
        setting: Setting,
        halted: bool,
        include: &Cohort,
        exclude: &Cohort,
    ) -> Exposure {
        if stage == Stage::Mandatory {
            return Exposure::without_cohorts(Percent::HUNDRED);
        }
        if halted {
            return Exposure::without_cohorts(Percent::ZERO);
        }
        let share = match setting {
            Setting::Off => return Exposure::without_cohorts(Percent::ZERO),
            Setting::On => Percent::HUNDRED,
            Setting::Ramp { percent } => percent,
            Setting::StageDefault => match (stage, kind) {
                (Stage::OptIn, EnvironmentKind::Hosted) | (Stage::OptOut | Stage::Mandatory, _) => {
                    Percent::HUNDRED
                }
                (Stage::ReadyForTesting, _) | (Stage::OptIn, EnvironmentKind::OnPrem) => {
                    Percent::ZERO
                }
            },
        };
        Exposure {
            share,
            include: include.difference(exclude).cloned().collect(),
            exclude: exclude.clone(),
        }
    }

    /// Whether some key may take the new path here that could not `before`.
    #[must_use]
    pub fn raises(&self, before: &Exposure) -> bool {
        let newly_included = self.include.iter().any(|key| !before.exposes(key));
        let no_longer_excluded = before
            .exclude
            .difference(&self.exclude)
            .any(|key| self.include.contains(key) || self.share > Percent::ZERO);
        self.share > before.share || newly_included || no_longer_excluded
    }

    /// Whether no key takes the new path.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.share == Percent::ZERO && self.include.is_empty()
    }

    /// Whether every key takes the new path.
    #[must_use]
    pub fn is_total(&self) -> bool {
        self.share == Percent::HUNDRED && self.exclude.is_empty()
    }

    fn without_cohorts(share: Percent) -> Exposure {
        Exposure {
            share,
            include: Cohort::new(),
            exclude: Cohort::new(),
        }
    }

    fn exposes(&self, key: &str) -> bool {
        self.include.contains(key) || self.share == Percent::HUNDRED && !self.exclude.contains(key)
    }
}
