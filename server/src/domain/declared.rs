//! What somebody declares in one file: environments, policies, cohorts, ramp groups, routes, and what is
//! wanted of each rollout. What a file does not say is left as it is.

mod differ;
mod file;
mod goal;
mod lower;
mod order;
mod plan;
mod route;
mod step;
mod thing;
mod whole;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use switchover::{EnvironmentKind, FlagName, Mirror, Percent, RouteKey, Setting, Stage};

use crate::domain::cohort::Name;
use crate::domain::environment::EnvironmentKey;
use crate::domain::estimate::Estimate;
use crate::domain::policy::Numbers;
use crate::domain::ramp::{Hold, Step as RampStep};
use crate::domain::route::{Labels, Links, Operation};

pub use differ::FieldChange;
pub(in crate::domain) use file::from_yaml;
pub use file::{LARGEST_FILE, Unreadable};
pub use lower::Part;
pub use plan::{Allowed, Item, Note, Plan, Verb};
pub use step::{RolloutStep, Step, Treated};
pub use thing::Thing;
pub use whole::{Facts, RampFact, Whole};

/// The form that this version reads and writes.
pub const VERSION: u32 = 1;

/// What one file declares. A section that is left out says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The form of the file: [`VERSION`].
    pub version: u32,
    /// Where callers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<BTreeMap<EnvironmentKey, DeclaredEnvironment>>,
    /// Policies' documents, without their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<BTreeMap<Name, Value>>,
    /// Keys with a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohorts: Option<BTreeMap<Name, DeclaredCohort>>,
    /// What the keys of ramp groups are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_groups: Option<BTreeMap<Name, DeclaredGroup>>,
    /// Routes, and what is wanted of them in each environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<BTreeMap<RouteKey, DeclaredRoute>>,
}

/// An environment, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredEnvironment {
    /// Who runs its callers. Needed to add it; never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EnvironmentKind>,
    /// Its place in the order. Needed to add it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i32>,
    /// Whether real users depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<bool>,
}

/// A cohort, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredCohort {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All of its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<String>>,
}

/// What a ramp group states, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredGroup {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its keys are, such as `project`. Needed to add it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
}

/// A route, as far as it is said. Endpoint, operation and owner are needed to add it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in RouteSpec")]
pub struct DeclaredRoute {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_numbers: Option<Numbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<BTreeSet<RouteKey>>,
    /// Null takes it out of its group.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub ramp_group: Option<Option<Name>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Labels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<BTreeMap<EnvironmentKey, BTreeMap<Stage, NaiveDate>>>,
    /// What it is to be prepared by; null for one that is ready.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub preparation: Option<Option<DeclaredPreparation>>,
    /// Whether it is retired: final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<bool>,
    /// What is wanted of it, by environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rollouts: BTreeMap<EnvironmentKey, DeclaredRollout>,
}

/// What a route is to be prepared by. How far that is, is nobody's to declare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPreparation {
    /// Roughly how much work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Its place in the backlog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Whether an endpoint that exists serves.
    #[serde(default)]
    pub existing_endpoint: bool,
}

/// What is wanted of a route in one environment, as far as it is said. A halt is never declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredRollout {
    /// The stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What is set on top of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<DeclaredSetting>,
    /// The steps by which exposure is to go up. Whether it does, is nobody's to declare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Vec<DeclaredStep>>,
    /// What also runs on the other path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<DeclaredMirror>,
    /// Keys that take the new path, besides those of cohorts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<BTreeSet<String>>,
    /// Keys that take the old path, besides those of cohorts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<BTreeSet<String>>,
    /// Cohorts that take the new path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_cohorts: Option<BTreeSet<Name>>,
    /// Cohorts that take the old path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_cohorts: Option<BTreeSet<Name>>,
}

/// What is set on top of a stage, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSetting", into = "RawSetting")]
pub struct DeclaredSetting(pub Setting);

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSetting {
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<Percent>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    StageDefault,
    Off,
    On,
    Ramp,
}

impl TryFrom<RawSetting> for DeclaredSetting {
    type Error = &'static str;

    fn try_from(raw: RawSetting) -> Result<DeclaredSetting, &'static str> {
        match (raw.mode, raw.percent) {
            (Mode::Ramp, Some(percent)) => Ok(Setting::Ramp { percent }),
            (Mode::Ramp, None) => Err("the mode `ramp` needs its `percent`, 0 to 100"),
            (_, Some(_)) => Err("`percent` is for the mode `ramp` only"),
            (Mode::StageDefault, None) => Ok(Setting::StageDefault),
            (Mode::Off, None) => Ok(Setting::Off),
            (Mode::On, None) => Ok(Setting::On),
        }
        .map(DeclaredSetting)
    }
}

impl From<DeclaredSetting> for RawSetting {
    fn from(setting: DeclaredSetting) -> RawSetting {
        let (mode, percent) = match setting.0 {
            Setting::StageDefault => (Mode::StageDefault, None),
            Setting::Off => (Mode::Off, None),
            Setting::On => (Mode::On, None),
            Setting::Ramp { percent } => (Mode::Ramp, Some(percent)),
        };
        RawSetting { mode, percent }
    }
}

/// One step of a ramp, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredStep {
    /// The share of the keys.
    pub percent: Percent,
    /// How long it is held.
    pub hold: Hold,
}

impl From<RampStep> for DeclaredStep {
    fn from(step: RampStep) -> DeclaredStep {
        DeclaredStep {
            percent: step.percent,
            hold: step.hold,
        }
    }
}

/// What also runs on the other path, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredMirror {
    /// The share of the reads that also run there.
    pub read_percent: Percent,
    /// The share of the keys whose writes are copied there.
    pub write_percent: Percent,
}

impl From<Mirror> for DeclaredMirror {
    fn from(mirror: Mirror) -> DeclaredMirror {
        DeclaredMirror {
            read_percent: mirror.read,
            write_percent: mirror.write,
        }
    }
}

/// Tells a field that is null from one that is left out.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
