//! All that a server has of what can be declared, and what of it nobody declares.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use switchover::{EnvironmentKind, RouteKey};

use crate::domain::cohort::Name;
use crate::domain::declared::file::nameless;
use crate::domain::declared::{
    Declared, DeclaredCohort, DeclaredEnvironment, DeclaredGroup, DeclaredRollout, DeclaredRoute,
    Step, VERSION,
};
use crate::domain::environment::EnvironmentKey;

/// What is true of a rollout and in no declaration: it was done in an emergency, or goes on by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether everything takes the old path until somebody resumes.
    pub halted: bool,
    /// Whether an acceptance window is open.
    pub window: bool,
    /// Whether its mirror was stopped.
    pub mirror_stopped: bool,
    /// How far its ramp is; `None` without one.
    pub ramp: Option<RampFact>,
}

/// How far a ramp is, as far as it matters to who may set a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampFact {
    /// It goes on by itself: the setting is the ramp's.
    Moving,
    /// Somebody has to start or resume it.
    Waiting,
    /// Every step has been held.
    Finished,
}

/// All that a server has of what can be declared, said in full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Where callers run.
    pub environments: BTreeMap<EnvironmentKey, DeclaredEnvironment>,
    /// Policies that somebody wrote, without their names.
    pub policies: BTreeMap<Name, Value>,
    /// Policies that come with the product, where nobody has written others.
    pub built_in: BTreeMap<Name, Value>,
    /// Keys with a name.
    pub cohorts: BTreeMap<Name, DeclaredCohort>,
    /// What the keys of ramp groups are.
    pub ramp_groups: BTreeMap<Name, DeclaredGroup>,
    /// Routes with their rollouts.
    pub routes: BTreeMap<RouteKey, DeclaredRoute>,
    /// What else is true of rollouts.
    pub facts: BTreeMap<(RouteKey, EnvironmentKey), Facts>,
}

impl Whole {
    /// A policy as a server shows it: version 0 comes with the product.
    pub fn add_policy(&mut self, name: Name, version: u32, document: Value) {
        let place = match version {
            0 => &mut self.built_in,
            _ => &mut self.policies,
        };
        place.insert(name, nameless(document));
    }

    /// The environments in their order.
    #[must_use]
    pub fn in_order(&self) -> Vec<EnvironmentKey> {
        let mut keys: Vec<_> = self.environments.iter().collect();
        keys.sort_by_key(|(_, environment)| environment.position);
        keys.into_iter().map(|(key, _)| key.clone()).collect()
    }

    /// What is wanted of a server that is to be as this one: all but what goes on by itself. Where
    /// routes or environments are named, only those, and of the rest only what the routes use.
    #[must_use]
    pub fn to_declared(
        &self,
        routes: &BTreeSet<RouteKey>,
        environments: &BTreeSet<EnvironmentKey>,
    ) -> Declared {
        let is_here = |key: &EnvironmentKey| environments.is_empty() || environments.contains(key);
        let kept: BTreeMap<RouteKey, DeclaredRoute> = self
            .routes
            .iter()
            .filter(|(key, _)| routes.is_empty() || routes.contains(*key))
            .map(|(key, route)| (key.clone(), self.as_wanted(key, route, is_here)))
            .collect();
        let all = routes.is_empty();
        let uses = Uses::of(kept.values());
        Declared {
            version: VERSION,
            environments: Some(some_of(&self.environments, is_here)),
            policies: Some(some_of(&self.policies, |name| {
                all || uses.policies.contains(name)
            })),
            cohorts: Some(some_of(&self.cohorts, |name| {
                all || uses.cohorts.contains(name)
            })),
            ramp_groups: Some(some_of(&self.ramp_groups, |name| {
                all || uses.groups.contains(name)
            })),
            routes: Some(kept),
        }
    }

    fn as_wanted(
        &self,
        key: &RouteKey,
        route: &DeclaredRoute,
        is_here: impl Fn(&EnvironmentKey) -> bool,
    ) -> DeclaredRoute {
        let mut route = route.clone();
        route.rollouts.retain(|environment, _| is_here(environment));
        for (environment, rollout) in &mut route.rollouts {
            let facts = self.facts.get(&(key.clone(), environment.clone()));
            let facts = facts.cloned().unwrap_or_default();
            if facts.window || facts.ramp == Some(RampFact::Moving) {
                rollout.setting = None;
            }
            if facts.window {
                rollout.include = None;
                rollout.include_cohorts = None;
            }
            if facts.ramp == Some(RampFact::Finished) {
                rollout.ramp = None;
            }
            if facts.mirror_stopped {
                rollout.mirror = None;
            }
        }
        route
    }

    /// The rollouts whose setting is left out of a declaration, and why.
    #[must_use]
    pub fn left_out(&self) -> Vec<(RouteKey, EnvironmentKey, &'static str)> {
        let why = |facts: &Facts| match facts {
            Facts { window: true, .. } => {
                Some("an acceptance window is open: its setting and included keys are left out")
            }
            Facts {
                ramp: Some(RampFact::Moving),
                ..
            } => Some("its ramp is running: its setting is left out"),
            Facts {
                mirror_stopped: true,
                ..
            } => Some("its mirror was stopped: it is left out"),
            Facts { halted: true, .. } => Some("it is halted, which no file says"),
            _ => None,
        };
        self.facts
            .iter()
            .filter_map(|((route, environment), facts)| {
                Some((route.clone(), environment.clone(), why(facts)?))
            })
            .collect()
    }

    pub(super) fn kind(&self, environment: &EnvironmentKey) -> EnvironmentKind {
        let found = self.environments.get(environment);
        found
            .and_then(|found| found.kind)
            .unwrap_or(EnvironmentKind::Hosted)
    }

    /// What a change makes of it, where nothing forbids it.
    pub fn make(&mut self, step: &Step) {
        match step {
            Step::AddEnvironment(key, environment) => {
                let mut environment = environment.clone();
                environment.production.get_or_insert(false);
                self.environments.insert(key.clone(), environment);
                for route in self.routes.values_mut().filter(|route| is_ready(route)) {
                    let new = DeclaredRollout::new_on_server();
                    route.rollouts.insert(key.clone(), new);
                }
            }
            Step::ChangeEnvironment(key, fields) => merge(self.environments.get_mut(key), fields),
            Step::WritePolicy(name, document) => {
                self.built_in.remove(name);
                self.policies.insert(name.clone(), document.clone());
            }
            Step::AddCohort(name, cohort) | Step::SetCohort(name, cohort) => {
                self.cohorts.insert(name.clone(), cohort.clone());
            }
            Step::SetGroup(name, group) => {
                self.ramp_groups.insert(name.clone(), group.clone());
            }
            Step::AddRoute(key, route) => {
                let mut new = route.in_full();
                if is_ready(&new) {
                    for environment in self.environments.keys() {
                        let rollout = DeclaredRollout::new_on_server();
                        new.rollouts.insert(environment.clone(), rollout);
                    }
                }
                self.routes.insert(key.clone(), new);
            }
            Step::ChangeRoute(key, fields) => merge(self.routes.get_mut(key), fields),
            Step::Estimate(key, fields) => {
                let route = self.routes.get_mut(key);
                let preparation = route.and_then(|route| route.preparation.as_mut());
                merge(preparation.and_then(Option::as_mut), fields);
            }
            Step::Rollout(route, environment, step) => {
                let route = self.routes.get_mut(route);
                let rollout = route.and_then(|route| route.rollouts.get_mut(environment));
                if let Some(rollout) = rollout {
                    rollout.after(step);
                }
            }
            Step::Retire(key) => {
                if let Some(route) = self.routes.get_mut(key) {
                    route.retired = Some(true);
                }
            }
            Step::RemovePolicy(name) => {
                self.policies.remove(name);
            }
            Step::RemoveCohort(name) => {
                self.cohorts.remove(name);
            }
            Step::RemoveGroup(name) => {
                self.ramp_groups.remove(name);
            }
        }
    }
}

/// Whether a route is in environments.
pub(super) fn is_ready(route: &DeclaredRoute) -> bool {
    !matches!(route.preparation, Some(Some(_)))
}

/// What routes use of the other sections.
#[derive(Default)]
struct Uses {
    policies: BTreeSet<Name>,
    cohorts: BTreeSet<Name>,
    groups: BTreeSet<Name>,
}

impl Uses {
    fn of<'a>(routes: impl Iterator<Item = &'a DeclaredRoute>) -> Uses {
        let mut uses = Uses::default();
        for route in routes {
            uses.policies.extend(route.policy.clone());
            uses.groups.extend(route.ramp_group.clone().flatten());
            for rollout in route.rollouts.values() {
                let sides = [&rollout.include_cohorts, &rollout.exclude_cohorts];
                uses.cohorts
                    .extend(sides.into_iter().flatten().flatten().cloned());
            }
        }
        uses
    }
}

fn some_of<K: Ord + Clone, V: Clone>(
    all: &BTreeMap<K, V>,
    wanted: impl Fn(&K) -> bool,
) -> BTreeMap<K, V> {
    let some = all.iter().filter(|(key, _)| wanted(key));
    some.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Fields over those that something has. What is no such field changes nothing.
fn merge<T: serde::Serialize + serde::de::DeserializeOwned>(
    of: Option<&mut T>,
    fields: &serde_json::Map<String, Value>,
) {
    let Some(of) = of else {
        return;
    };
    let mut all = super::differ::fields(of);
    all.extend(fields.clone());
    if let Ok(merged) = serde_json::from_value(Value::Object(all)) {
        *of = merged;
    }
}
