//! What takes the server nearer to what is declared: one change at a time, each a request that anybody
//! could send.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};
use switchover::{RouteKey, Setting, Stage};

use crate::domain::cohort::Name;
use crate::domain::declared::{
    DeclaredCohort, DeclaredEnvironment, DeclaredGroup, DeclaredMirror, DeclaredRollout,
    DeclaredRoute, DeclaredStep,
};
use crate::domain::environment::EnvironmentKey;

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "their names say it, and Display says it in words"
)]
pub enum Step {
    AddEnvironment(EnvironmentKey, DeclaredEnvironment),
    ChangeEnvironment(EnvironmentKey, Map<String, Value>),
    /// The document is without its name.
    WritePolicy(Name, Value),
    AddCohort(Name, DeclaredCohort),
    SetCohort(Name, DeclaredCohort),
    SetGroup(Name, DeclaredGroup),
    AddRoute(RouteKey, Box<DeclaredRoute>),
    ChangeRoute(RouteKey, Map<String, Value>),
    Estimate(RouteKey, Map<String, Value>),
    Rollout(RouteKey, EnvironmentKey, RolloutStep),
    Retire(RouteKey),
    RemovePolicy(Name),
    RemoveCohort(Name),
    RemoveGroup(Name),
}

/// One change of a rollout.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in Step")]
pub enum RolloutStep {
    Promote(Stage),
    Demote(Stage),
    Set(Setting),
    Ramp(Vec<DeclaredStep>),
    Mirror(DeclaredMirror),
    Cohorts(Treated),
}

/// The keys that a rollout treats apart.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "as in DeclaredRollout")]
pub struct Treated {
    pub include: BTreeSet<String>,
    pub exclude: BTreeSet<String>,
    pub include_cohorts: BTreeSet<Name>,
    pub exclude_cohorts: BTreeSet<Name>,
}

impl DeclaredRollout {
    /// The keys that it treats apart; what it does not say is taken from another.
    pub(super) fn treated_or(&self, other: &Treated) -> Treated {
        fn or<T: Clone>(said: &Option<BTreeSet<T>>, other: &BTreeSet<T>) -> BTreeSet<T> {
            said.as_ref().unwrap_or(other).clone()
        }
        Treated {
            include: or(&self.include, &other.include),
            exclude: or(&self.exclude, &other.exclude),
            include_cohorts: or(&self.include_cohorts, &other.include_cohorts),
            exclude_cohorts: or(&self.exclude_cohorts, &other.exclude_cohorts),
        }
    }

    pub(super) fn treated(&self) -> Treated {
        self.treated_or(&Treated::default())
    }

    pub(super) fn treat(&mut self, treated: Treated) {
        self.include = Some(treated.include);
        self.exclude = Some(treated.exclude);
        self.include_cohorts = Some(treated.include_cohorts);
        self.exclude_cohorts = Some(treated.exclude_cohorts);
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::AddEnvironment(key, _) => write!(f, "add the environment {key}"),
            Step::ChangeEnvironment(key, fields) => {
                write!(f, "change {} of the environment {key}", names(fields))
            }
            Step::WritePolicy(name, _) => write!(f, "write the policy {name}"),
            Step::AddCohort(name, _) => write!(f, "make the cohort {name}"),
            Step::SetCohort(name, _) => write!(f, "change the cohort {name}"),
            Step::SetGroup(name, _) => write!(f, "state the keys of the ramp group {name}"),
            Step::AddRoute(key, _) => write!(f, "add {key}"),
            Step::ChangeRoute(key, fields) => write!(f, "change {} of {key}", names(fields)),
            Step::Estimate(key, _) => write!(f, "estimate {key}"),
            Step::Rollout(route, environment, step) => {
                write!(f, "{step}: {route} in {environment}")
            }
            Step::Retire(key) => write!(f, "retire {key}"),
            Step::RemovePolicy(name) => write!(f, "delete the policy {name}"),
            Step::RemoveCohort(name) => write!(f, "delete the cohort {name}"),
            Step::RemoveGroup(name) => write!(f, "delete the ramp group {name}"),
        }
    }
}

impl fmt::Display for RolloutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RolloutStep::Promote(to) => write!(f, "promote to {to}"),
            RolloutStep::Demote(to) => write!(f, "demote to {to}"),
            RolloutStep::Set(Setting::StageDefault) => f.write_str("set stage_default"),
            RolloutStep::Set(Setting::Off) => f.write_str("set off"),
            RolloutStep::Set(Setting::On) => f.write_str("set on"),
            RolloutStep::Set(Setting::Ramp { percent }) => write!(f, "set {percent}"),
            RolloutStep::Ramp(steps) => write!(f, "plan a ramp of {} steps", steps.len()),
            RolloutStep::Mirror(mirror) => write!(
                f,
                "mirror {} of reads, {} of writes",
                mirror.read_percent, mirror.write_percent
            ),
            RolloutStep::Cohorts(_) => f.write_str("name the keys treated apart"),
        }
    }
}

fn names(fields: &Map<String, Value>) -> String {
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.join(", ")
}
