//! The plan: what differs, in the order in which it is brought about, and what is left alone.

use std::collections::BTreeSet;

use serde::Serialize;
use switchover::{RouteKey, Stage};

use crate::domain::cohort::Name;
use crate::domain::declared::differ::differences;
use crate::domain::declared::goal::{Goal, Standing};
use crate::domain::declared::order::{check, needs, things};
use crate::domain::declared::thing::Thing;
use crate::domain::declared::whole::is_ready;
use crate::domain::declared::{
    Declared, DeclaredEnvironment, DeclaredRollout, DeclaredRoute, Facts, FieldChange, Part, Step,
    Whole,
};
use crate::domain::environment::EnvironmentKey;

/// What is to happen to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Verb {
    Add,
    Change,
    Remove,
}

/// One thing that is to be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Which.
    pub thing: Thing,
    /// How much of it: a thing may be lowered first, and come again.
    #[serde(skip)]
    pub part: Part,
    /// What is to happen to it.
    pub verb: Verb,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// The changes that lead there where nothing refuses one, in words.
    pub steps: Vec<String>,
    /// Why it is not done, where it is not allowed.
    pub held_back: Option<String>,
    /// What has to be done before, as far as it is in the plan.
    #[serde(skip)]
    pub needs: BTreeSet<Thing>,
}

/// What is left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about.
    pub thing: Thing,
    /// What is said of it.
    pub text: String,
}

/// What differs, in the order in which it is brought about.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What is to be another.
    pub items: Vec<Item>,
    /// What is left alone.
    pub notes: Vec<Note>,
}

/// What somebody allows beyond what every file may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Lower stages.
    pub demotion: bool,
    /// Removing what a section of the file does not name.
    pub prune: bool,
}

impl Plan {
    /// Compares what is with what is declared.
    ///
    /// # Errors
    /// Everything that makes the declaration impossible here, whatever anybody allows.
    pub fn make(whole: &Whole, declared: &Declared, allowed: Allowed) -> Result<Plan, Vec<String>> {
        check(whole, declared)?;
        let mut plan = Plan::default();
        let mut after = whole.clone();
        let things = things(whole, declared, allowed);
        for (part, thing) in &things {
            let item = declared.item(whole, &mut after, (*part, thing), allowed);
            plan.items.extend(item);
            if *part == Part::Whole {
                plan.notes.extend(declared.left_alone(&after, thing));
            }
        }
        let planned: BTreeSet<Thing> = plan.items.iter().map(|item| item.thing.clone()).collect();
        for item in &mut plan.items {
            item.needs = needs(whole, declared, item.part, &item.thing);
            item.needs
                .retain(|need| planned.contains(need) && *need != item.thing);
        }
        Ok(plan)
    }
}

impl Declared {
    /// The next change that takes a part of a thing nearer to what is declared; `None` when it is there,
    /// or as near as a declaration takes it.
    #[must_use]
    pub fn next(
        &self,
        whole: &Whole,
        (part, thing): (Part, &Thing),
        allowed: Allowed,
    ) -> Option<Step> {
        if part == Part::Lower {
            return self.lower(whole, thing);
        }
        match thing {
            Thing::Environment(key) => self.next_environment(whole, key),
            Thing::Policy(name) => match section(&self.policies, name) {
                Some(wanted) => {
                    let now = whole.policies.get(name).or(whole.built_in.get(name));
                    (now != Some(wanted)).then(|| Step::WritePolicy(name.clone(), wanted.clone()))
                }
                None => (allowed.prune && whole.policies.contains_key(name))
                    .then(|| Step::RemovePolicy(name.clone())),
            },
            Thing::Cohort(name) => self.next_cohort(whole, name, allowed),
            Thing::RampGroup(name) => self.next_group(whole, name, allowed),
            Thing::Route(key) => {
                let wanted = section(&self.routes, key)?;
                match whole.routes.get(key) {
                    Some(now) => wanted.next(key, now),
                    None => Some(Step::AddRoute(key.clone(), Box::new(wanted.clone()))),
                }
            }
            Thing::Rollout(route, environment) => {
                let facts = facts(whole, route, environment);
                let (standing, goal) = self.goal(whole, route, environment, &facts)?;
                let demotes = goal.wanted.stage < standing.now.stage && goal.wanted.stage.is_some();
                if demotes && !allowed.demotion {
                    return None;
                }
                let step = standing.next(&goal.wanted)?;
                Some(Step::Rollout(route.clone(), environment.clone(), step))
            }
            Thing::Retirement(key) => {
                let wanted = section(&self.routes, key)?.retired == Some(true);
                let now = whole.routes.get(key)?;
                (wanted && now.retired != Some(true)).then(|| Step::Retire(key.clone()))
            }
        }
    }

    /// What is said of a thing, and left alone.
    #[must_use]
    pub fn left_alone(&self, whole: &Whole, thing: &Thing) -> Vec<Note> {
        let texts: Vec<String> = match thing {
            Thing::Route(key) => {
                let said = section(&self.routes, key).zip(whole.routes.get(key));
                said.map(|(wanted, now)| wanted.left_alone(now))
                    .unwrap_or_default()
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            }
            Thing::Rollout(route, environment) => {
                let unready = whole.routes.get(route).is_some_and(|now| !is_ready(now));
                let facts = facts(whole, route, environment);
                match self.goal(whole, route, environment, &facts) {
                    Some((_, goal)) => goal.left_alone,
                    None if unready => {
                        vec![
                            "it is being prepared, and in no environment yet: left alone"
                                .to_owned(),
                        ]
                    }
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let note = |text| Note {
            thing: thing.clone(),
            text,
        };
        texts.into_iter().map(note).collect()
    }

    /// What of a rollout's wish can be brought about. `None` when nothing is wanted of it, or it is
    /// not there, or its route is retired.
    pub(super) fn goal<'a>(
        &self,
        whole: &'a Whole,
        route: &RouteKey,
        environment: &EnvironmentKey,
        facts: &'a Facts,
    ) -> Option<(Standing<'a>, Goal)> {
        let wanted = section(&self.routes, route)?.rollouts.get(environment)?;
        let has = whole.routes.get(route)?;
        if has.retired == Some(true) {
            return None;
        }
        let now = has.rollouts.get(environment)?;
        let standing = Standing {
            now,
            facts,
            kind: whole.kind(environment),
            cohorts: &whole.cohorts,
        };
        let goal = standing.goal(&self.settled(whole, now, wanted));
        Some((standing, goal))
    }

    /// Keys that a cohort brings are not named besides it: the server does not tell the two apart.
    fn settled(
        &self,
        whole: &Whole,
        now: &DeclaredRollout,
        wanted: &DeclaredRollout,
    ) -> DeclaredRollout {
        let mut settled = wanted.clone();
        let sides = [
            (
                &mut settled.include,
                &wanted.include_cohorts,
                &now.include_cohorts,
            ),
            (
                &mut settled.exclude,
                &wanted.exclude_cohorts,
                &now.exclude_cohorts,
            ),
        ];
        for (keys, wanted, now) in sides {
            let Some(keys) = keys else { continue };
            for name in wanted.as_ref().or(now.as_ref()).into_iter().flatten() {
                let declared = section(&self.cohorts, name).and_then(|cohort| cohort.keys.as_ref());
                let on_server = whole
                    .cohorts
                    .get(name)
                    .and_then(|cohort| cohort.keys.as_ref());
                let brought = declared.or(on_server);
                keys.retain(|key| !brought.is_some_and(|brought| brought.contains(key)));
            }
        }
        settled
    }

    fn item(
        &self,
        whole: &Whole,
        after: &mut Whole,
        (part, thing): (Part, &Thing),
        allowed: Allowed,
    ) -> Option<Item> {
        let is_lower = part == Part::Lower;
        if is_lower && self.next(after, (part, thing), allowed).is_none() {
            return None;
        }
        let had = is_lower.then(|| state(after, thing));
        let held_back = match part {
            Part::Lower => None,
            Part::Whole => self.held_back(whole, thing, allowed),
        };
        let mut fields = self.changes(whole, after, thing);
        let mut steps = Vec::new();
        while let Some(step) = self.next(after, (part, thing), allowed) {
            let text = step.to_string();
            // A model that stands still would go on for ever.
            if steps.last() == Some(&text) {
                break;
            }
            after.make(&step);
            steps.push(text);
        }
        if steps.is_empty() && held_back.is_none() {
            return None;
        }
        if let Some(had) = had {
            fields = differences(&had, &state(after, thing));
        }
        Some(Item {
            thing: thing.clone(),
            part,
            verb: self.verb(whole, thing),
            fields,
            steps,
            held_back,
            needs: BTreeSet::new(),
        })
    }

    fn verb(&self, whole: &Whole, thing: &Thing) -> Verb {
        let (is_there, is_named) = match thing {
            Thing::Environment(key) => (whole.environments.contains_key(key), true),
            Thing::Policy(name) => (
                whole.policies.contains_key(name) || whole.built_in.contains_key(name),
                section(&self.policies, name).is_some(),
            ),
            Thing::Cohort(name) => (
                whole.cohorts.contains_key(name),
                section(&self.cohorts, name).is_some(),
            ),
            Thing::RampGroup(name) => (
                whole.ramp_groups.contains_key(name),
                section(&self.ramp_groups, name).is_some(),
            ),
            Thing::Route(key) => (whole.routes.contains_key(key), true),
            Thing::Rollout(..) | Thing::Retirement(_) => (true, true),
        };
        match (is_there, is_named) {
            (false, _) => Verb::Add,
            (true, true) => Verb::Change,
            (true, false) => Verb::Remove,
        }
    }

    /// What differs, field by field.
    fn changes(&self, whole: &Whole, after: &Whole, thing: &Thing) -> Vec<FieldChange> {
        match thing {
            Thing::Environment(key) => changed(
                whole.environments.get(key),
                section(&self.environments, key),
            ),
            Thing::Policy(name) => {
                let now = whole.policies.get(name).or(whole.built_in.get(name));
                changed(now, section(&self.policies, name))
            }
            Thing::Cohort(name) => changed(after.cohorts.get(name), section(&self.cohorts, name)),
            Thing::RampGroup(name) => changed(
                whole.ramp_groups.get(name),
                section(&self.ramp_groups, name),
            ),
            Thing::Route(key) => match (whole.routes.get(key), section(&self.routes, key)) {
                (Some(now), Some(wanted)) => wanted.changes(now),
                (None, Some(wanted)) => {
                    let mut said = wanted.clone();
                    said.retired = None;
                    changed(None::<&DeclaredRoute>, Some(&said))
                }
                _ => Vec::new(),
            },
            Thing::Rollout(route, environment) => {
                let facts = facts(after, route, environment);
                match self.goal(after, route, environment, &facts) {
                    Some((standing, goal)) => differences(standing.now, &goal.wanted),
                    None => Vec::new(),
                }
            }
            Thing::Retirement(_) => Vec::new(),
        }
    }

    fn held_back(&self, whole: &Whole, thing: &Thing, allowed: Allowed) -> Option<String> {
        let Thing::Rollout(route, environment) = thing else {
            return None;
        };
        let facts = facts(whole, route, environment);
        let (standing, goal) = self.goal(whole, route, environment, &facts)?;
        let (now, wanted): (Stage, Stage) = (standing.stage(), goal.wanted.stage?);
        (wanted < now && !allowed.demotion).then(|| {
            format!(
                "a demotion from {now} to {wanted} needs --allow-demotion; nothing of it is done"
            )
        })
    }

    fn next_environment(&self, whole: &Whole, key: &EnvironmentKey) -> Option<Step> {
        let wanted = section(&self.environments, key)?;
        let Some(now) = whole.environments.get(key) else {
            return Some(Step::AddEnvironment(key.clone(), wanted.clone()));
        };
        let fields: serde_json::Map<_, _> = changed(Some(now), Some(wanted))
            .into_iter()
            .map(|change| (change.field, change.to))
            .collect();
        (!fields.is_empty()).then(|| Step::ChangeEnvironment(key.clone(), fields))
    }

    pub(super) fn next_cohort(&self, whole: &Whole, name: &Name, allowed: Allowed) -> Option<Step> {
        let now = whole.cohorts.get(name);
        let Some(wanted) = section(&self.cohorts, name) else {
            return (allowed.prune && now.is_some()).then(|| Step::RemoveCohort(name.clone()));
        };
        let mut full = now.cloned().unwrap_or_default();
        full.keys = Some(wanted.keys.clone().or(full.keys).unwrap_or_default());
        full.description = wanted.description.clone().or(full.description);
        full.description.get_or_insert_default();
        match now {
            None => Some(Step::AddCohort(name.clone(), full)),
            Some(now) => (*now != full).then(|| Step::SetCohort(name.clone(), full)),
        }
    }

    fn next_group(&self, whole: &Whole, name: &Name, allowed: Allowed) -> Option<Step> {
        let now = whole.ramp_groups.get(name);
        let Some(wanted) = section(&self.ramp_groups, name) else {
            return (allowed.prune && now.is_some()).then(|| Step::RemoveGroup(name.clone()));
        };
        let mut full = now.cloned().unwrap_or_default();
        full.keys = wanted.keys.clone().or(full.keys);
        full.description = wanted.description.clone().or(full.description);
        full.description.get_or_insert_default();
        (now != Some(&full)).then(|| Step::SetGroup(name.clone(), full))
    }
}

/// What a section says of a thing.
pub(super) fn section<'a, K: Ord, V>(
    section: &'a Option<std::collections::BTreeMap<K, V>>,
    key: &K,
) -> Option<&'a V> {
    section.as_ref()?.get(key)
}

fn changed<T: Serialize>(now: Option<&T>, wanted: Option<&T>) -> Vec<FieldChange> {
    match (now, wanted) {
        (Some(now), Some(wanted)) => differences(now, wanted),
        (None, Some(wanted)) => {
            let says = super::differ::fields(wanted).into_iter();
            says.filter(|(field, to)| field != "rollouts" && !to.is_null())
                .map(|(field, to)| FieldChange {
                    field,
                    from: serde_json::Value::Null,
                    to,
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn facts(whole: &Whole, route: &RouteKey, environment: &EnvironmentKey) -> Facts {
    let of = (route.clone(), environment.clone());
    whole.facts.get(&of).cloned().unwrap_or_default()
}

/// What can be lowered, as it is.
fn state(whole: &Whole, thing: &Thing) -> serde_json::Value {
    let value = match thing {
        Thing::Cohort(name) => serde_json::to_value(whole.cohorts.get(name)),
        Thing::Rollout(route, environment) => {
            let route = whole.routes.get(route);
            serde_json::to_value(route.and_then(|route| route.rollouts.get(environment)))
        }
        _ => return serde_json::Value::Null,
    };
    // Declarations always serialise.
    value.unwrap_or_default()
}

impl DeclaredEnvironment {
    /// Whether all is said that is needed to add it.
    pub(super) fn is_enough(&self) -> bool {
        self.kind.is_some() && self.position.is_some()
    }
}
