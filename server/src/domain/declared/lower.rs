//! What only lets fewer keys through, which is done before a cohort lets more through.

use std::collections::{BTreeMap, BTreeSet};

use switchover::RouteKey;

use crate::domain::cohort::Name;
use crate::domain::declared::plan::{facts, section};
use crate::domain::declared::{
    Allowed, Declared, DeclaredCohort, DeclaredRollout, Step, Thing, Whole,
};
use crate::domain::environment::EnvironmentKey;

/// How much of a thing is brought about at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What lets fewer keys through, and nothing else.
    Lower,
    /// All of it.
    Whole,
}

impl Declared {
    /// The next change of a thing that only lets fewer keys through.
    pub(super) fn lower(&self, whole: &Whole, thing: &Thing) -> Option<Step> {
        match thing {
            Thing::Cohort(name) => self.lower_cohort(whole, name),
            Thing::Rollout(route, environment) => self.lower_rollout(whole, route, environment),
            _ => None,
        }
    }

    /// Where a cohort is included, fewer keys; where it is excluded, more. One that is both changes in
    /// one step: either half of it would let some key through.
    fn lower_cohort(&self, whole: &Whole, name: &Name) -> Option<Step> {
        let wanted = section(&self.cohorts, name)?.keys.as_ref()?;
        let now = whole.cohorts.get(name)?;
        let has = now.keys.clone().unwrap_or_default();
        let lowered: BTreeSet<String> = match self.sides(whole, name) {
            (true, false) => has.intersection(wanted).cloned().collect(),
            (false, true) => has.union(wanted).cloned().collect(),
            _ => return None,
        };
        if lowered == has {
            return None;
        }
        if lowered == *wanted {
            return self.next_cohort(whole, name, Allowed::default());
        }
        let cohort = DeclaredCohort {
            description: Some(now.description.clone().unwrap_or_default()),
            keys: Some(lowered),
        };
        Some(Step::SetCohort(name.clone(), cohort))
    }

    fn lower_rollout(
        &self,
        whole: &Whole,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Option<Step> {
        self.cohorts.as_ref()?;
        let facts = facts(whole, route, environment);
        let (standing, goal) = self.goal(whole, route, environment, &facts)?;
        let mut named = names(standing.now).chain(names(&goal.wanted));
        if !named.any(|name| self.moves(whole, name)) {
            return None;
        }
        let step = standing.lower(&goal.wanted)?;
        Some(Step::Rollout(route.clone(), environment.clone(), step))
    }

    /// Whether a cohort that is there is to have other keys.
    fn moves(&self, whole: &Whole, name: &Name) -> bool {
        let wanted = section(&self.cohorts, name).and_then(|cohort| cohort.keys.as_ref());
        let now = whole.cohorts.get(name);
        now.zip(wanted)
            .is_some_and(|(now, wanted)| now.keys.as_ref() != Some(wanted))
    }

    /// Whether rollouts include a cohort, and whether some exclude it, now or as declared.
    fn sides(&self, whole: &Whole, name: &Name) -> (bool, bool) {
        let has = |names: &Option<BTreeSet<Name>>| {
            names.as_ref().is_some_and(|names| names.contains(name))
        };
        let declared = self.routes.iter().flat_map(BTreeMap::values);
        let rollouts = whole.routes.values().chain(declared);
        let rollouts = rollouts.flat_map(|route| route.rollouts.values());
        rollouts.fold((false, false), |(included, excluded), rollout| {
            (
                included || has(&rollout.include_cohorts),
                excluded || has(&rollout.exclude_cohorts),
            )
        })
    }

    /// The rollouts of the file that name a cohort, now or as declared.
    pub(super) fn rollouts_with(&self, whole: &Whole, name: &Name) -> Vec<Thing> {
        let mut with = Vec::new();
        for (key, route) in self.routes.iter().flatten() {
            let now = whole.routes.get(key);
            for (environment, wanted) in &route.rollouts {
                let now = now.and_then(|now| now.rollouts.get(environment));
                let mut named = now.into_iter().flat_map(names).chain(names(wanted));
                if named.any(|named| named == name) {
                    with.push(Thing::Rollout(key.clone(), environment.clone()));
                }
            }
        }
        with
    }
}

fn names(rollout: &DeclaredRollout) -> impl Iterator<Item = &Name> {
    let sides = [&rollout.include_cohorts, &rollout.exclude_cohorts];
    sides.into_iter().flatten().flatten()
}
