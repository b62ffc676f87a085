//! A route in one environment.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{
    Entry, EnvironmentKind, Mirror, Percent, RouteKey, Setting, Source, Stage, Table,
};

use crate::domain::cohort::Uses;
use crate::domain::doubling::Doubling;
use crate::domain::drill::{Drill, Sight};
use crate::domain::environment::EnvironmentKey;
use crate::domain::exposure::{Cohort, Exposure};
use crate::domain::ramp::{Position, Ramp};
use crate::domain::route::RouteSpec;

/// Since when, by whom and why everything takes the old path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Since when.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A test in front of real users, before opt-in: bounded in time and share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptanceWindow {
    /// When it closes by itself.
    pub until: DateTime<Utc>,
    /// The largest share of the keys.
    pub percent: Percent,
    /// Keys that take the new path.
    pub cohort: Cohort,
    /// Who opened it.
    pub opened_by: String,
    /// When.
    pub opened_at: DateTime<Utc>,
    /// The setting to take back when it closes.
    pub setting_before: Setting,
    /// The included keys to take back when it closes.
    pub include_before: Cohort,
}

/// What also runs on the other path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirroring {
    /// The shares.
    #[serde(flatten)]
    pub shares: Mirror,
    /// Why it was stopped, until somebody sets it again.
    #[serde(default)]
    pub stopped: Option<Stopped>,
}

/// Since when, by whom and why something does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Since when.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A route in one environment, on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// The route.
    pub route: RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
    /// The stage reached.
    pub stage: Stage,
    /// Since when.
    pub stage_since: DateTime<Utc>,
    /// What has been set on top of the stage.
    pub setting: Setting,
    /// Keys that take the new path.
    pub include: Cohort,
    /// Keys that take the old path.
    pub exclude: Cohort,
    /// Of what both are made, where cohorts with names are among them.
    pub uses: Uses,
    /// The kill switch.
    pub halt: Option<Halt>,
    /// The acceptance window that is open.
    pub acceptance: Option<AcceptanceWindow>,
    /// When it was last demoted.
    pub demoted_at: Option<DateTime<Utc>>,
    /// How far the rollback drill has come.
    pub drill: Drill,
    /// The steps by which exposure goes up, and how far it has come.
    pub ramp: Option<Ramp>,
    /// When guards halted it: the last two times.
    pub guard_halts: Vec<DateTime<Utc>>,
    /// What also runs on the other path.
    pub mirror: Mirroring,
    /// What is known of its two stores, and of who writes them.
    pub data: Doubling,
    /// Counts its changes.
    pub revision: u64,
    /// When it last changed, by more than its ramp's plan and clock.
    pub changed_at: DateTime<Utc>,
}

impl Rollout {
    /// A route that has just come to an environment: ready for testing.
    #[must_use]
    pub fn new(route: RouteKey, environment: EnvironmentKey, now: DateTime<Utc>) -> Rollout {
        Rollout {
            route,
            environment,
            stage: Stage::ReadyForTesting,
            stage_since: now,
            setting: Setting::StageDefault,
            include: Cohort::new(),
            exclude: Cohort::new(),
            uses: Uses::default(),
            halt: None,
            acceptance: None,
            demoted_at: None,
            drill: Drill::default(),
            ramp: None,
            guard_halts: Vec::new(),
            mirror: Mirroring::default(),
            data: Doubling::default(),
            revision: 1,
            changed_at: now,
        }
    }

    /// Whether what is set is what the present step of its ramp says.
    #[must_use]
    pub fn is_on_ramp(&self) -> bool {
        let share = self.ramp.as_ref().map(Ramp::share);
        share.is_some_and(|percent| self.setting == Setting::Ramp { percent })
    }

    /// When its ramp may move at the earliest; `None` while it does not move by itself.
    #[must_use]
    pub fn ramp_due(&self) -> Option<DateTime<Utc>> {
        let ramp = self.ramp.as_ref()?;
        ramp.may_move_at(self.changed_at)
            .filter(|_| self.halt.is_none())
    }

    /// Since when the clock of its ramp looks at freezes; `None` without a ramp.
    #[must_use]
    pub fn clock_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ramp = self.ramp.as_ref()?;
        Some(
            ramp.position()
                .and_then(Position::clock_since)
                .unwrap_or(now),
        )
    }

    /// Whether something else differs than its ramp's plan and clock, its mirror, and what is announced:
    /// the same keys take the same paths.
    #[must_use]
    pub fn is_more_than_ramp_of(&self, before: &Rollout) -> bool {
        let as_before = Rollout {
            ramp: before.ramp.clone(),
            data: before.data.clone(),
            mirror: before.mirror.clone(),
            ..self.clone()
        };
        as_before != *before
    }

    /// What the SDK decides by, of this route alone: without what it requires. `None` where that is
    /// no table.
    pub(super) fn table(&self, spec: &RouteSpec, kind: EnvironmentKind) -> Option<Table> {
        let published = switchover::Rollout {
            setting: self.setting,
            halted: self.halt.is_some(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            ramp_group: spec.ramp_group.clone().map(Box::from),
            ..switchover::Rollout::at(spec.flag.clone(), self.stage)
        };
        let entries = [(self.route.clone(), Entry::Known(Arc::new(published)))];
        Table::new(Source::Live, kind, entries.into()).ok()
    }

    /// What a rollback drill sees of it.
    #[must_use]
    pub fn sight(&self, kind: switchover::EnvironmentKind) -> Sight {
        let exposure = self.exposure(kind);
        Sight {
            exposed: exposure.share > Percent::ZERO || !exposure.include.is_empty(),
            halted: self.halt.is_some(),
        }
    }

    /// How much of the traffic may take the new path.
    #[must_use]
    pub fn exposure(&self, kind: switchover::EnvironmentKind) -> Exposure {
        Exposure::of(
            self.stage,
            kind,
            self.setting,
            self.halt.is_some(),
            &self.include,
            &self.exclude,
        )
    }
}
