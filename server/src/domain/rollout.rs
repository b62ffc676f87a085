//! A route in one environment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Percent, RouteKey, Setting, Stage};

use crate::domain::drill::{Drill, Sight};
use crate::domain::environment::EnvironmentKey;
use crate::domain::exposure::{Cohort, Exposure};

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
    /// The kill switch.
    pub halt: Option<Halt>,
    /// The acceptance window that is open.
    pub acceptance: Option<AcceptanceWindow>,
    /// When it was last demoted.
    pub demoted_at: Option<DateTime<Utc>>,
    /// How far the rollback drill has come.
    pub drill: Drill,
    /// Counts its changes.
    pub revision: u64,
    /// When it last changed.
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
            halt: None,
            acceptance: None,
            demoted_at: None,
            drill: Drill::default(),
            revision: 1,
            changed_at: now,
        }
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
