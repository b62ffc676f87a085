//! A rollout: what of what is wanted can be brought about by a declaration, and by which change next.
//! What runs by itself, halts, and mirrors that were stopped are left alone.

use std::collections::{BTreeMap, BTreeSet};

use switchover::{EnvironmentKind, Percent, Setting, Stage};

use crate::domain::cohort::Name;
use crate::domain::declared::step::{RolloutStep, Treated};
use crate::domain::declared::whole::{Facts, RampFact};
use crate::domain::declared::{DeclaredCohort, DeclaredRollout, DeclaredSetting};
use crate::domain::exposure::{Cohort, Exposure};

/// A rollout as it is.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) now: &'a DeclaredRollout,
    pub(super) facts: &'a Facts,
    pub(super) kind: EnvironmentKind,
    /// What the cohorts of the server bring.
    pub(super) cohorts: &'a BTreeMap<Name, DeclaredCohort>,
}

/// What is left of a wish, and what of it is left alone.
#[derive(Debug, Default)]
pub(super) struct Goal {
    pub(super) wanted: DeclaredRollout,
    pub(super) left_alone: Vec<String>,
}

impl Standing<'_> {
    pub(super) fn stage(&self) -> Stage {
        self.now.stage.unwrap_or(Stage::ReadyForTesting)
    }

    fn setting(&self) -> Setting {
        self.now.setting.map_or(Setting::StageDefault, |it| it.0)
    }

    /// The share that takes the new path at a stage, by a setting.
    fn share(&self, stage: Stage, setting: Setting) -> Percent {
        let nobody = Cohort::new();
        Exposure::of(stage, self.kind, setting, false, &nobody, &nobody).share
    }

    /// What of a wish can be brought about from here.
    pub(super) fn goal(&self, wanted: &DeclaredRollout) -> Goal {
        let mut goal = Goal {
            wanted: wanted.clone(),
            left_alone: Vec::new(),
        };
        let stage = wanted.stage.unwrap_or(self.stage());
        if stage == Stage::Mandatory && self.stage() == Stage::Mandatory {
            self.without_what_mandatory_ignores(&mut goal);
        }
        self.without_what_a_window_owns(&mut goal);
        self.without_what_a_ramp_owns(&mut goal, stage);
        self.without_a_ramp_that_cannot_be(&mut goal, stage);
        if self.facts.mirror_stopped && goal.wanted.mirror.is_some() {
            goal.wanted.mirror = None;
            goal.left_alone.push(
                "its mirror was stopped, which is left alone: somebody sets it again when the cause \
                 is gone (switchover mirror)"
                    .to_owned(),
            );
        }
        if self.facts.halted {
            goal.left_alone
                .push("it is halted, which no file says: left alone".to_owned());
        }
        goal
    }

    fn without_what_mandatory_ignores(&self, goal: &mut Goal) {
        let wanted = &mut goal.wanted;
        let sets = wanted
            .setting
            .is_some_and(|setting| setting.0 != Setting::StageDefault);
        let treats = wanted.treated() != Treated::default();
        if sets || treats || wanted.ramp.as_ref().is_some_and(|ramp| !ramp.is_empty()) {
            goal.left_alone
                .push("mandatory ignores settings, ramps and cohorts: left alone".to_owned());
        }
        goal.wanted = DeclaredRollout {
            stage: wanted.stage,
            mirror: wanted.mirror,
            ..DeclaredRollout::default()
        };
    }

    fn without_what_a_window_owns(&self, goal: &mut Goal) {
        if !self.facts.window {
            return;
        }
        let wanted = &mut goal.wanted;
        let differs = wanted.setting.is_some() && wanted.setting != self.now.setting
            || wanted.treated_or(&self.now.treated()) != self.now.treated();
        wanted.setting = None;
        wanted.include = None;
        wanted.include_cohorts = None;
        if differs {
            goal.left_alone.push(
                "an acceptance window is open: the setting and the included keys are its own until \
                 it closes"
                    .to_owned(),
            );
        }
    }

    fn without_what_a_ramp_owns(&self, goal: &mut Goal, stage: Stage) {
        let Some(wanted) = goal.wanted.setting else {
            return;
        };
        if goal.wanted.setting == self.now.setting {
            return;
        }
        let raises = self.share(stage, wanted.0) > self.share(stage, self.setting());
        let why = match self.facts.ramp {
            // Whoever resumes it should find what was halted.
            _ if self.facts.halted && raises => {
                "it is halted: a setting that raises exposure waits until somebody resumes it"
            }
            Some(RampFact::Moving) => {
                "its ramp is running, and the setting is the ramp's: left alone"
            }
            Some(RampFact::Waiting) if raises => {
                "its ramp is not finished, and exposure goes up by its steps (switchover ramp start, \
                 or resume): the setting is left alone"
            }
            _ => return,
        };
        goal.wanted.setting = None;
        goal.left_alone.push(why.to_owned());
    }

    fn without_a_ramp_that_cannot_be(&self, goal: &mut Goal, stage: Stage) {
        let Some(steps) = &goal.wanted.ramp else {
            return;
        };
        if steps.as_slice() == self.now.ramp.as_deref().unwrap_or_default() {
            return;
        }
        let is_whole = self.stage() == stage
            && self.now.ramp.is_none()
            && goal.wanted.setting.is_none_or(|it| it.0 == self.setting())
            && self.share(stage, self.setting()) == Percent::HUNDRED;
        let why = if steps.is_empty() {
            "a ramp is not taken away by a file: left alone"
        } else if self.kind == EnvironmentKind::OnPrem {
            "installations follow no ramp: its steps are left out"
        } else if matches!(stage, Stage::ReadyForTesting | Stage::Mandatory) {
            "ramps are for opt_in and opt_out: its steps are left out"
        } else if self.facts.ramp == Some(RampFact::Moving) {
            "another ramp is running: pause it first (switchover ramp pause); its steps are left alone"
        } else if is_whole {
            "every key takes the new path already: a ramp has nothing to raise"
        } else {
            return;
        };
        goal.wanted.ramp = None;
        goal.left_alone.push(why.to_owned());
    }

    /// The next change on the way to a goal; `None` when it is reached. What lets fewer keys through
    /// comes before a promotion, what lets more through after it.
    pub(super) fn next(&self, goal: &DeclaredRollout) -> Option<RolloutStep> {
        let (now, stage) = (self.stage(), goal.stage.unwrap_or(self.stage()));
        if stage < now {
            return Some(RolloutStep::Demote(stage));
        }
        if stage > now {
            let to = now.next()?;
            let mirror = self.mirror(goal, true);
            return mirror
                .or_else(|| self.before_promotion(goal, to))
                .or(Some(RolloutStep::Promote(to)));
        }
        let setting = goal.setting.map(|it| it.0);
        // Between the two, a key that is treated apart no more has the smaller share.
        self.set(setting.filter(|setting| self.is_lower(stage, *setting)))
            .or_else(|| self.cohorts(&goal.treated_or(&self.now.treated())))
            .or_else(|| self.set(setting))
            .or_else(|| self.ramp(goal))
            .or_else(|| self.mirror(goal, false))
    }

    /// The next change on the way to a goal that only lets fewer keys through, whatever cohorts bring
    /// then. A demotion is none: it is brought about at once.
    pub(super) fn lower(&self, goal: &DeclaredRollout) -> Option<RolloutStep> {
        let (now, stage) = (self.stage(), goal.stage.unwrap_or(self.stage()));
        if stage < now || stage == Stage::Mandatory || self.setting() == Setting::Off {
            return None;
        }
        let setting = match stage == now {
            true => goal.setting.map(|it| it.0),
            false => self.ceiling(goal, now.next()?),
        };
        self.cohorts(&self.narrow(goal))
            .or_else(|| self.set(setting.filter(|setting| self.is_lower(now, *setting))))
    }

    /// Whether fewer keys take the new path at a stage by a setting than by the one that is.
    fn is_lower(&self, stage: Stage, setting: Setting) -> bool {
        // Off is for included keys too.
        let rank = |setting| (self.share(stage, setting), setting != Setting::Off);
        rank(setting) < rank(self.setting())
    }

    /// The keys that both now and then are let through by their names.
    fn narrow(&self, goal: &DeclaredRollout) -> Treated {
        let (has, wanted) = (self.now.treated(), goal.treated_or(&self.now.treated()));
        let include_cohorts: BTreeSet<Name> = has
            .include_cohorts
            .intersection(&wanted.include_cohorts)
            .cloned()
            .collect();
        let exclude_cohorts: BTreeSet<Name> = has
            .exclude_cohorts
            .union(&wanted.exclude_cohorts)
            .cloned()
            .collect();
        let included = |of: &Treated| -> BTreeSet<String> {
            let brought = self.brought(&of.include_cohorts);
            of.include.union(&brought).cloned().collect()
        };
        // Keys that a cohort brings are not named besides it.
        let mut include: BTreeSet<String> = included(&has)
            .intersection(&included(&wanted))
            .cloned()
            .collect();
        let mut exclude: BTreeSet<String> = has.exclude.union(&wanted.exclude).cloned().collect();
        let (brings, bars) = (
            self.brought(&include_cohorts),
            self.brought(&exclude_cohorts),
        );
        include.retain(|key| !brings.contains(key));
        exclude.retain(|key| !bars.contains(key));
        Treated {
            include,
            exclude,
            include_cohorts,
            exclude_cohorts,
        }
    }

    fn brought(&self, names: &BTreeSet<Name>) -> BTreeSet<String> {
        let cohorts = names.iter().filter_map(|name| self.cohorts.get(name));
        let keys = cohorts.filter_map(|cohort| cohort.keys.as_ref());
        keys.flatten().cloned().collect()
    }

    fn before_promotion(&self, goal: &DeclaredRollout, to: Stage) -> Option<RolloutStep> {
        if to == Stage::Mandatory {
            return self
                .cohorts(&goal.treated_or(&self.now.treated()))
                .or_else(|| self.set(goal.setting.map(|it| it.0)));
        }
        self.cohorts(&self.narrow(goal))
            .or_else(|| self.set(self.ceiling(goal, to)))
    }

    /// What has to be set before a promotion, so that it exposes no more than is wanted.
    fn ceiling(&self, goal: &DeclaredRollout, to: Stage) -> Option<Setting> {
        let nothing = Setting::Ramp {
            percent: Percent::ZERO,
        };
        let untested = self.stage() == Stage::ReadyForTesting;
        let ramps = goal.ramp.as_ref().is_some_and(|ramp| !ramp.is_empty());
        let ceiling = match goal.setting.map(|it| it.0) {
            Some(Setting::Ramp { .. }) if untested => nothing,
            Some(setting @ (Setting::Ramp { .. } | Setting::Off)) => setting,
            None if ramps && untested => nothing,
            _ => return None,
        };
        self.is_lower(to, ceiling).then_some(ceiling)
    }

    fn ramp(&self, goal: &DeclaredRollout) -> Option<RolloutStep> {
        let steps = goal.ramp.as_ref()?;
        let has = self.now.ramp.as_deref().unwrap_or_default();
        (steps != has && !steps.is_empty()).then(|| RolloutStep::Ramp(steps.clone()))
    }

    fn cohorts(&self, wanted: &Treated) -> Option<RolloutStep> {
        (*wanted != self.now.treated()).then(|| RolloutStep::Cohorts(wanted.clone()))
    }

    fn set(&self, wanted: Option<Setting>) -> Option<RolloutStep> {
        wanted
            .filter(|setting| *setting != self.setting())
            .map(RolloutStep::Set)
    }

    fn mirror(&self, goal: &DeclaredRollout, only_up: bool) -> Option<RolloutStep> {
        let wanted = goal.mirror?;
        let has = self.now.mirror.unwrap_or_default();
        let goes_up =
            wanted.read_percent >= has.read_percent && wanted.write_percent >= has.write_percent;
        (wanted != has && (goes_up || !only_up)).then_some(RolloutStep::Mirror(wanted))
    }
}

impl DeclaredRollout {
    /// A rollout as a new route has it.
    pub(super) fn new_on_server() -> DeclaredRollout {
        let mut new = DeclaredRollout {
            stage: Some(Stage::ReadyForTesting),
            setting: Some(DeclaredSetting(Setting::StageDefault)),
            mirror: Some(crate::domain::declared::DeclaredMirror::default()),
            ..DeclaredRollout::default()
        };
        new.treat(Treated::default());
        new
    }

    /// What a change makes of it, where nothing forbids it.
    pub(super) fn after(&mut self, step: &RolloutStep) {
        match step {
            RolloutStep::Promote(to) => {
                self.stage = Some(*to);
                if *to == Stage::Mandatory {
                    self.ramp = None;
                    self.setting = Some(DeclaredSetting(Setting::StageDefault));
                    self.treat(Treated::default());
                }
            }
            RolloutStep::Demote(to) => {
                self.stage = Some(*to);
                if *to == Stage::ReadyForTesting {
                    self.ramp = None;
                    self.include = Some(BTreeSet::new());
                    self.include_cohorts = Some(BTreeSet::new());
                    if self.setting != Some(DeclaredSetting(Setting::Off)) {
                        self.setting = Some(DeclaredSetting(Setting::StageDefault));
                    }
                }
            }
            RolloutStep::Set(setting) => self.setting = Some(DeclaredSetting(*setting)),
            RolloutStep::Ramp(steps) => self.ramp = Some(steps.clone()),
            RolloutStep::Mirror(mirror) => self.mirror = Some(*mirror),
            RolloutStep::Cohorts(treated) => self.treat(treated.clone()),
        }
    }
}
