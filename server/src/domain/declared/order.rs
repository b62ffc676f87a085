//! What makes a declaration impossible, and in which order things are brought about.

use std::collections::{BTreeMap, BTreeSet};

use switchover::RouteKey;

use crate::domain::cohort::Name;
use crate::domain::declared::plan::section;
use crate::domain::declared::{Allowed, Declared, DeclaredRoute, Part, Thing, Whole};
use crate::domain::environment::EnvironmentKey;

/// What no change makes true.
pub(super) fn check(whole: &Whole, declared: &Declared) -> Result<(), Vec<String>> {
    let mut complaints = Vec::new();
    for (key, wanted) in declared.environments.iter().flatten() {
        match whole.environments.get(key) {
            None if !wanted.is_enough() => complaints.push(format!(
                "environments.{key}: there is no such environment yet, and to add it `kind` and \
                 `position` are needed"
            )),
            Some(now) if wanted.kind.is_some() && wanted.kind != now.kind => {
                complaints.push(format!(
                    "environments.{key}.kind: it is of another kind, which never changes"
                ));
            }
            _ => {}
        }
    }
    for (name, wanted) in declared.ramp_groups.iter().flatten() {
        if wanted.keys.is_none() && !whole.ramp_groups.contains_key(name) {
            complaints.push(format!(
                "ramp_groups.{name}: there is no such group yet, and to add it `keys` is needed: what \
                 its keys are, such as `project`"
            ));
        }
    }
    for (key, wanted) in declared.routes.iter().flatten() {
        check_route(whole, declared, (key, wanted), &mut complaints);
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints)
    }
}

fn check_route(
    whole: &Whole,
    declared: &Declared,
    (key, wanted): (&RouteKey, &DeclaredRoute),
    complaints: &mut Vec<String>,
) {
    match whole.routes.get(key) {
        None => complaints.extend(wanted.complaints(key)),
        Some(now) if wanted.flag.is_some() && wanted.flag != now.flag => {
            let flag = now.flag.as_ref().map(ToString::to_string);
            complaints.push(format!(
                "routes.{key}.flag: it is {}, which never changes: take it out",
                flag.unwrap_or_default()
            ));
        }
        Some(_) => {}
    }
    check_references(whole, declared, (key, wanted), complaints);
    let scheduled = wanted.schedule.iter().flat_map(BTreeMap::keys);
    for environment in wanted.rollouts.keys().chain(scheduled) {
        let is_known = whole.environments.contains_key(environment)
            || section(&declared.environments, environment).is_some();
        if !is_known {
            let known: Vec<&str> = whole
                .environments
                .keys()
                .map(EnvironmentKey::as_str)
                .collect();
            complaints.push(format!(
                "routes.{key}: there is no environment `{environment}`; there are: {}",
                known.join(", ")
            ));
        }
    }
}

/// What a route speaks of is on the server or in the file.
fn check_references(
    whole: &Whole,
    declared: &Declared,
    (key, wanted): (&RouteKey, &DeclaredRoute),
    complaints: &mut Vec<String>,
) {
    let has_policy = |name: &Name| {
        let is_there = whole.policies.contains_key(name) || whole.built_in.contains_key(name);
        is_there || section(&declared.policies, name).is_some()
    };
    if let Some(name) = wanted.policy.as_ref().filter(|name| !has_policy(name)) {
        let names = [&whole.policies, &whole.built_in].map(|policies| policies.keys());
        let known: BTreeSet<&str> = names.into_iter().flatten().map(Name::as_str).collect();
        complaints.push(format!(
            "routes.{key}.policy: there is no policy `{name}`; there are: {}",
            Vec::from_iter(known).join(", ")
        ));
    }
    for other in wanted.requires.iter().flatten() {
        if !whole.routes.contains_key(other) && section(&declared.routes, other).is_none() {
            complaints.push(format!(
                "routes.{key}.requires: there is no route `{other}`, neither on the server nor in the file"
            ));
        }
    }
    for (environment, rollout) in &wanted.rollouts {
        let named = [&rollout.include_cohorts, &rollout.exclude_cohorts];
        let named: BTreeSet<&Name> = named.into_iter().flatten().flatten().collect();
        for name in named {
            if !whole.cohorts.contains_key(name) && section(&declared.cohorts, name).is_none() {
                complaints.push(format!(
                    "routes.{key}.rollouts.{environment}: there is no cohort `{name}`, neither on the server \
                     nor in the file"
                ));
            }
        }
    }
}

/// All that a declaration speaks of, in the order in which it is brought about: demotions, and what
/// else lets fewer keys through, before what raises exposure, and each route after those that it
/// requires.
pub(super) fn things(whole: &Whole, declared: &Declared, allowed: Allowed) -> Vec<(Part, Thing)> {
    let entire = |thing| (Part::Whole, thing);
    let environments = environments_in_order(whole, declared);
    let routes = routes_in_order(whole, declared);
    let named = declared.environments.iter().flatten();
    let mut named: Vec<_> = named.collect();
    named.sort_by_key(|(_, environment)| environment.position);
    let mut things: Vec<(Part, Thing)> = named
        .into_iter()
        .map(|(key, _)| entire(Thing::Environment(key.clone())))
        .collect();
    let policies = declared.policies.iter().flat_map(BTreeMap::keys);
    things.extend(policies.cloned().map(Thing::Policy).map(entire));
    // A new cohort is in no rollout yet.
    let cohorts = declared.cohorts.iter().flat_map(BTreeMap::keys);
    let cohorts = cohorts.map(|name| match whole.cohorts.contains_key(name) {
        true => (Part::Lower, Thing::Cohort(name.clone())),
        false => entire(Thing::Cohort(name.clone())),
    });
    things.extend(cohorts);
    let groups = declared.ramp_groups.iter().flat_map(BTreeMap::keys);
    things.extend(groups.cloned().map(Thing::RampGroup).map(entire));
    let of = |route: &RouteKey| {
        let wanted = section(&declared.routes, route).map(|route| &route.rollouts);
        let places = environments.iter();
        let places: Vec<EnvironmentKey> = places
            .filter(|place| wanted.is_some_and(|wanted| wanted.contains_key(*place)))
            .cloned()
            .collect();
        places
    };
    let mut demoted = BTreeSet::new();
    for route in routes.iter().rev() {
        for environment in of(route).into_iter().rev() {
            if is_demotion(whole, declared, route, &environment) {
                let rollout = Thing::Rollout(route.clone(), environment.clone());
                things.push(entire(rollout));
                demoted.insert((route.clone(), environment));
            }
        }
    }
    let others = |route: &RouteKey| {
        let places = of(route).into_iter().map(|place| (route.clone(), place));
        let others = places.filter(|place| !demoted.contains(place));
        others
            .map(|(route, place)| Thing::Rollout(route, place))
            .collect::<Vec<_>>()
    };
    for route in &routes {
        things.extend(others(route).into_iter().map(|it| (Part::Lower, it)));
    }
    let known = declared.cohorts.iter().flat_map(BTreeMap::keys);
    let known = known.filter(|name| whole.cohorts.contains_key(*name));
    things.extend(known.cloned().map(Thing::Cohort).map(entire));
    for route in &routes {
        things.push(entire(Thing::Route(route.clone())));
        things.extend(others(route).into_iter().map(entire));
        things.push(entire(Thing::Retirement(route.clone())));
    }
    if allowed.prune {
        things.extend(pruned(whole, declared).into_iter().map(entire));
    }
    things
}

/// What a section of the file does not name, of what can be deleted at all.
fn pruned(whole: &Whole, declared: &Declared) -> Vec<Thing> {
    let mut things = Vec::new();
    if let Some(named) = &declared.cohorts {
        let others = whole
            .cohorts
            .keys()
            .filter(|name| !named.contains_key(*name));
        things.extend(others.cloned().map(Thing::Cohort));
    }
    if let Some(named) = &declared.ramp_groups {
        let others = whole
            .ramp_groups
            .keys()
            .filter(|name| !named.contains_key(*name));
        things.extend(others.cloned().map(Thing::RampGroup));
    }
    if let Some(named) = &declared.policies {
        let others = whole
            .policies
            .keys()
            .filter(|name| !named.contains_key(*name));
        things.extend(others.cloned().map(Thing::Policy));
    }
    things
}

/// What has to be done before a thing, in the plan or not.
pub(super) fn needs(
    whole: &Whole,
    declared: &Declared,
    part: Part,
    thing: &Thing,
) -> BTreeSet<Thing> {
    let mut needs = BTreeSet::new();
    if part == Part::Lower {
        return needs;
    }
    match thing {
        // Those that let fewer keys through: of the others nothing has been tried yet.
        Thing::Cohort(name) => needs.extend(declared.rollouts_with(whole, name)),
        Thing::Route(key) => {
            let Some(wanted) = section(&declared.routes, key) else {
                return needs;
            };
            needs.extend(wanted.policy.clone().map(Thing::Policy));
            needs.extend(wanted.ramp_group.clone().flatten().map(Thing::RampGroup));
            let required = wanted.requires.iter().flatten();
            needs.extend(required.cloned().map(Thing::Route));
            let scheduled = wanted.schedule.iter().flat_map(BTreeMap::keys);
            needs.extend(scheduled.cloned().map(Thing::Environment));
        }
        Thing::Rollout(key, environment) => {
            needs.insert(Thing::Environment(environment.clone()));
            let Some(wanted) = section(&declared.routes, key) else {
                return needs;
            };
            if is_demotion(whole, declared, key, environment) {
                return needs;
            }
            needs.insert(Thing::Route(key.clone()));
            if let Some(rollout) = wanted.rollouts.get(environment) {
                let sides = [&rollout.include_cohorts, &rollout.exclude_cohorts];
                let cohorts = sides.into_iter().flatten().flatten();
                needs.extend(cohorts.cloned().map(Thing::Cohort));
            }
            if rises(whole, declared, key, environment) {
                let required = wanted.requirements(whole.routes.get(key));
                needs.extend(
                    required.map(|route| Thing::Rollout(route.clone(), environment.clone())),
                );
                let earlier = environments_in_order(whole, declared);
                let earlier = earlier.into_iter().take_while(|other| other != environment);
                needs.extend(earlier.map(|other| Thing::Rollout(key.clone(), other)));
            }
        }
        Thing::Retirement(key) => {
            needs.insert(Thing::Route(key.clone()));
            let rollouts = section(&declared.routes, key).map(|route| &route.rollouts);
            let places = rollouts.into_iter().flat_map(BTreeMap::keys);
            needs.extend(places.map(|place| Thing::Rollout(key.clone(), place.clone())));
        }
        _ => {}
    }
    needs
}

fn stages(
    whole: &Whole,
    declared: &Declared,
    route: &RouteKey,
    environment: &EnvironmentKey,
) -> Option<(switchover::Stage, switchover::Stage)> {
    let wanted = section(&declared.routes, route)?
        .rollouts
        .get(environment)?;
    let now = whole
        .routes
        .get(route)
        .and_then(|now| now.rollouts.get(environment));
    let now = now.and_then(|now| now.stage);
    Some((
        now.unwrap_or(switchover::Stage::ReadyForTesting),
        wanted.stage?,
    ))
}

fn is_demotion(
    whole: &Whole,
    declared: &Declared,
    route: &RouteKey,
    environment: &EnvironmentKey,
) -> bool {
    stages(whole, declared, route, environment).is_some_and(|(now, wanted)| wanted < now)
}

fn rises(
    whole: &Whole,
    declared: &Declared,
    route: &RouteKey,
    environment: &EnvironmentKey,
) -> bool {
    stages(whole, declared, route, environment).is_some_and(|(now, wanted)| wanted > now)
}

/// The environments in the order in which they are to be.
fn environments_in_order(whole: &Whole, declared: &Declared) -> Vec<EnvironmentKey> {
    let mut positions: BTreeMap<EnvironmentKey, Option<i32>> = BTreeMap::new();
    for (key, environment) in &whole.environments {
        positions.insert(key.clone(), environment.position);
    }
    for (key, environment) in declared.environments.iter().flatten() {
        let position = positions.entry(key.clone()).or_default();
        *position = environment.position.or(*position);
    }
    let mut keys: Vec<_> = positions.into_iter().collect();
    keys.sort_by_key(|(_, position)| *position);
    keys.into_iter().map(|(key, _)| key).collect()
}

/// The routes of a declaration, each after those that it requires. A circle is refused elsewhere.
fn routes_in_order(whole: &Whole, declared: &Declared) -> Vec<RouteKey> {
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    for key in declared.routes.iter().flat_map(BTreeMap::keys) {
        // Depth first, without recursion: a file may have a chain of any length.
        let mut open = vec![(key, false)];
        while let Some((key, is_done)) = open.pop() {
            if is_done {
                ordered.push(key.clone());
                continue;
            }
            if !seen.insert(key) {
                continue;
            }
            open.push((key, true));
            let Some(wanted) = section(&declared.routes, key) else {
                continue;
            };
            let required = wanted.requirements(whole.routes.get(key));
            open.extend(
                required
                    .filter(|required| section(&declared.routes, required).is_some())
                    .map(|required| (required, false)),
            );
        }
    }
    ordered
}
