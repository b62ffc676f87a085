//! The server as it is, read by its REST interface.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use switchover::RouteKey;

use crate::cli::api::Reply;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Policy};
use crate::domain::cohort::Name;
use crate::domain::declared::{
    DeclaredCohort, DeclaredEnvironment, DeclaredGroup, DeclaredRollout, DeclaredRoute, Facts,
    RampFact, Whole,
};
use crate::domain::environment::EnvironmentKey;

/// What a declaration says of a route, under the names that the interface uses too.
const OF_ROUTE: [&str; 12] = [
    "endpoint",
    "flag",
    "operation",
    "owner",
    "policy",
    "policy_numbers",
    "requires",
    "ramp_group",
    "labels",
    "contacts",
    "description",
    "links",
];
const OF_ROLLOUT: [&str; 6] = [
    "stage",
    "setting",
    "include",
    "exclude",
    "include_cohorts",
    "exclude_cohorts",
];

/// A route as an answer shows it.
pub(crate) struct Seen {
    pub(crate) key: RouteKey,
    pub(crate) route: DeclaredRoute,
    pub(crate) facts: BTreeMap<EnvironmentKey, Facts>,
}

/// Everything on the server that can be declared.
pub(crate) fn look(session: &Session) -> Result<Whole, CliError> {
    let mut whole = Whole::default();
    for item in items(&session.get("/environments", &[])?)? {
        let key = part(&item, "key")?;
        whole.environments.insert(key, environment_of(&item)?);
    }
    let policies: Page<Policy> = session.get("/policies", &[])?.read()?;
    for policy in policies.items {
        let name: Name = policy.name.parse().map_err(not_understood)?;
        whole.add_policy(name, policy.version, policy.policy);
    }
    for item in items(&session.get("/cohorts", &[])?)? {
        whole
            .cohorts
            .insert(part(&item, "name")?, cohort_of(&item)?);
    }
    for item in items(&session.get("/ramp-groups", &[])?)? {
        whole
            .ramp_groups
            .insert(part(&item, "name")?, group_of(&item)?);
    }
    for item in items(&session.list("/routes", &[], None)?)? {
        let seen = route_of(&item, &whole.cohorts)?;
        put(&mut whole, seen);
    }
    Ok(whole)
}

/// A route in the place of what was known of it.
pub(crate) fn put(whole: &mut Whole, seen: Seen) {
    for (environment, facts) in seen.facts {
        whole.facts.insert((seen.key.clone(), environment), facts);
    }
    whole.routes.insert(seen.key, seen.route);
}

pub(crate) fn environment_of(item: &Value) -> Result<DeclaredEnvironment, CliError> {
    read(picked(item, &["kind", "position", "production"]))
}

pub(crate) fn cohort_of(item: &Value) -> Result<DeclaredCohort, CliError> {
    read(picked(item, &["description", "keys"]))
}

pub(crate) fn group_of(item: &Value) -> Result<DeclaredGroup, CliError> {
    read(picked(item, &["description", "keys"]))
}

pub(crate) fn route_of(
    item: &Value,
    cohorts: &BTreeMap<Name, DeclaredCohort>,
) -> Result<Seen, CliError> {
    let mut fields = picked(item, &OF_ROUTE);
    let is_ready = item.get("ready") != Some(&Value::Bool(false));
    let preparation = match item.get("preparation") {
        Some(preparation) if !is_ready => Value::Object(picked(
            preparation,
            &["estimate", "priority", "existing_endpoint"],
        )),
        _ => Value::Null,
    };
    fields.insert("preparation".to_owned(), preparation);
    let retired = item.get("retired_at").is_some_and(|at| !at.is_null());
    fields.insert("retired".to_owned(), Value::Bool(retired));
    fields.insert("schedule".to_owned(), schedule_of(item));
    let mut route: DeclaredRoute = read(fields)?;
    let mut facts = BTreeMap::new();
    for rollout in item
        .get("rollouts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let environment: EnvironmentKey = part(rollout, "environment")?;
        let (declared, seen) = rollout_of(rollout, cohorts)?;
        route.rollouts.insert(environment.clone(), declared);
        facts.insert(environment, seen);
    }
    let key = part(item, "key")?;
    Ok(Seen { key, route, facts })
}

/// The days that are planned; those that were reached are history.
fn schedule_of(item: &Value) -> Value {
    let mut schedule: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for milestone in item
        .get("schedule")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |field| milestone.get(field).and_then(Value::as_str);
        let said = text("environment").zip(text("stage"));
        if let (Some((environment, stage)), Some(planned)) = (said, text("planned")) {
            let stages = schedule.entry(environment).or_default();
            stages.insert(stage.to_owned(), Value::from(planned));
        }
    }
    json!(schedule)
}

pub(crate) fn rollout_of(
    item: &Value,
    cohorts: &BTreeMap<Name, DeclaredCohort>,
) -> Result<(DeclaredRollout, Facts), CliError> {
    let mut fields = picked(item, &OF_ROLLOUT);
    let mirror = item.get("mirror").unwrap_or(&Value::Null);
    let shares = picked(mirror, &["read_percent", "write_percent"]);
    if !shares.is_empty() {
        fields.insert("mirror".to_owned(), Value::Object(shares));
    }
    let ramp = item.get("ramp").unwrap_or(&Value::Null);
    if let Some(steps) = ramp.get("steps") {
        fields.insert("ramp".to_owned(), steps.clone());
    }
    let mut rollout: DeclaredRollout = read(fields)?;
    own(
        &mut rollout.include,
        rollout.include_cohorts.as_ref(),
        cohorts,
    );
    own(
        &mut rollout.exclude,
        rollout.exclude_cohorts.as_ref(),
        cohorts,
    );
    let is_set = |field: &str| item.get(field).is_some_and(|value| !value.is_null());
    let facts = Facts {
        halted: item.get("halted") == Some(&Value::Bool(true)),
        window: is_set("acceptance"),
        mirror_stopped: mirror.get("stopped").is_some_and(|value| !value.is_null()),
        ramp: ramp.get("state").and_then(Value::as_str).map(|state| {
            let goes_on = ramp.get("next_step_at").is_some_and(|at| !at.is_null());
            match state {
                "running" => RampFact::Moving,
                "finished" => RampFact::Finished,
                "ready" if goes_on => RampFact::Moving,
                _ => RampFact::Waiting,
            }
        }),
    };
    Ok((rollout, facts))
}

/// Without the keys that cohorts bring: an answer shows all of them as one set.
fn own(
    keys: &mut Option<BTreeSet<String>>,
    names: Option<&BTreeSet<Name>>,
    cohorts: &BTreeMap<Name, DeclaredCohort>,
) {
    let Some(keys) = keys else { return };
    for name in names.into_iter().flatten() {
        let brought = cohorts.get(name).and_then(|cohort| cohort.keys.as_ref());
        keys.retain(|key| !brought.is_some_and(|brought| brought.contains(key)));
    }
}

fn items(reply: &Reply) -> Result<Vec<Value>, CliError> {
    let page: Page<Value> = reply.read()?;
    Ok(page.items)
}

/// Some of the fields of an object.
fn picked(item: &Value, names: &[&str]) -> Map<String, Value> {
    let field = |name: &&str| Some(((*name).to_owned(), item.get(*name)?.clone()));
    names.iter().filter_map(field).collect()
}

fn part<T: DeserializeOwned>(item: &Value, field: &str) -> Result<T, CliError> {
    let value = item.get(field).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(not_understood)
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, CliError> {
    serde_json::from_value(Value::Object(fields)).map_err(not_understood)
}

fn not_understood(error: impl std::fmt::Display) -> CliError {
    CliError::new(format!(
        "the answer of the server is not what this version understands: {error}"
    ))
}
