//! Routes: created, imported, changed, found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use switchover::{Entry, EnvironmentKind, RouteKey, Source, Stage, Table};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::field::FieldError;
use crate::domain::policy::Policy;
use crate::domain::preparation::Preparation;
use crate::domain::rollout::Rollout;
use crate::domain::route::{RawRoute, Route, RouteSpec};
use crate::domain::schedule::{Milestone, Schedule, StageEntry};
use crate::service::size::refuse_oversized;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Existing, Failure, Render, RowErrors, Services, epoch};
use crate::store::{RouteFilter, StoreError, Tx};

/// A route with its rollouts, by the position of their environment.
#[derive(Clone, Debug)]
pub struct RouteWithRollouts {
    /// The route.
    pub route: Route,
    /// Where it stands.
    pub rollouts: Vec<(Rollout, Environment)>,
    /// When it was to reach its stages, and did.
    pub milestones: Vec<Milestone>,
    /// The tag of all that can be changed of it.
    pub tag: String,
}

/// A route to be.
#[derive(Clone, Debug)]
pub struct NewRoute {
    /// What a person says of it; not checked yet.
    pub raw: RawRoute,
    /// How far its preparation is; `None` when it is ready at once.
    pub preparation: Option<Preparation>,
}

impl From<RawRoute> for NewRoute {
    fn from(raw: RawRoute) -> NewRoute {
        NewRoute {
            raw,
            preparation: None,
        }
    }
}

impl Services {
    /// Creates a route: ready for testing in every environment, or about to be prepared.
    ///
    /// # Errors
    /// When it is not valid, or its key or flag is taken.
    pub fn create_route(
        &self,
        ctx: &Ctx,
        new: impl Into<NewRoute>,
        render: Render<'_, RouteWithRollouts>,
    ) -> Result<Answer, Failure> {
        let new = parse(new.into()).map_err(Failure::Invalid)?;
        self.change(ctx, render, |work| {
            let key = new.0.key.clone();
            create(work, new.clone(), "created")?;
            publish_new(work, std::slice::from_ref(&key))?;
            with_rollouts(work.tx, &key)
        })
    }

    /// Creates many routes, or none. A row may require another row.
    ///
    /// # Errors
    /// When one is not valid or taken: every such row is named.
    pub fn import_routes(
        &self,
        ctx: &Ctx,
        rows: Vec<NewRoute>,
        render: Render<'_, Vec<RouteKey>>,
    ) -> Result<Answer, Failure> {
        let mut specs = Vec::new();
        let mut refused = Vec::new();
        for (index, new) in rows.into_iter().enumerate() {
            match parse(new) {
                Ok(new) => specs.push((index, new)),
                Err(errors) => refused.push(RowErrors { index, errors }),
            }
        }
        if !refused.is_empty() {
            return Err(Failure::Rows(refused));
        }
        self.change(ctx, render, |work| {
            let mut refused = Vec::new();
            let keys: Vec<RouteKey> = specs.iter().map(|(_, new)| new.0.key.clone()).collect();
            for (index, new) in required_first(&specs) {
                let errors = match create(work, new.clone(), "imported") {
                    Ok(()) => continue,
                    Err(Failure::Invalid(errors)) => errors,
                    Err(Failure::Exists(Existing { field, detail })) => {
                        vec![FieldError::new(field, detail)]
                    }
                    Err(other) => return Err(other),
                };
                refused.push(RowErrors {
                    index: *index,
                    errors,
                });
            }
            if !refused.is_empty() {
                refused.sort_by_key(|row| row.index);
                return Err(Failure::Rows(refused));
            }
            publish_new(work, &keys)?;
            Ok(keys)
        })
    }

    /// One route.
    ///
    /// # Errors
    /// When there is none.
    pub fn route(&self, key: &RouteKey) -> Result<RouteWithRollouts, Failure> {
        self.store.read(|tx| with_rollouts(tx, key))
    }

    /// The first `limit` routes that pass the filter, in its order.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn routes(
        &self,
        filter: &RouteFilter,
        limit: usize,
    ) -> Result<Vec<RouteWithRollouts>, Failure> {
        self.store.read(|tx| {
            let epoch = epoch(tx)?;
            let environments = tx.environments()?;
            let routes = tx.routes(filter, limit)?;
            let keys: Vec<&str> = routes.iter().map(|route| route.spec.key.as_str()).collect();
            let mut rollouts: BTreeMap<RouteKey, Vec<Rollout>> = BTreeMap::new();
            for rollout in tx.rollouts_of(&keys)? {
                rollouts
                    .entry(rollout.route.clone())
                    .or_default()
                    .push(rollout);
            }
            let mut history: BTreeMap<RouteKey, Vec<StageEntry>> = BTreeMap::new();
            for entry in tx.stage_history(&keys)? {
                history.entry(entry.route.clone()).or_default().push(entry);
            }
            Ok(routes
                .into_iter()
                .map(|route| {
                    let rollouts = rollouts.remove(&route.spec.key).unwrap_or_default();
                    let history = history.remove(&route.spec.key).unwrap_or_default();
                    assemble(&epoch, route, (rollouts, &history), &environments)
                })
                .collect())
        })
    }
}

pub(super) fn with_rollouts(tx: &mut Tx<'_>, key: &RouteKey) -> Result<RouteWithRollouts, Failure> {
    let route = tx
        .route(key)?
        .ok_or_else(|| Failure::missing("route", key))?;
    let rollouts = tx.rollouts_of(&[key.as_str()])?;
    let history = tx.stage_history(&[key.as_str()])?;
    let epoch = epoch(tx)?;
    let environments = tx.environments()?;
    Ok(assemble(&epoch, route, (rollouts, &history), &environments))
}

fn assemble(
    epoch: &str,
    route: Route,
    (rollouts, history): (Vec<Rollout>, &[StageEntry]),
    environments: &[Environment],
) -> RouteWithRollouts {
    // Both counters only rise, so the sum names one state of the whole.
    let state: u64 = rollouts.iter().map(|rollout| rollout.revision).sum();
    let tag = format!("\"{epoch}.{}.{state}\"", route.revision);
    let rollouts = environments
        .iter()
        .filter_map(|environment| {
            rollouts
                .iter()
                .find(|rollout| rollout.environment == environment.key)
                .map(|rollout| (rollout.clone(), environment.clone()))
        })
        .collect();
    let milestones = route.schedule.milestones(environments, history);
    RouteWithRollouts {
        route,
        rollouts,
        milestones,
        tag,
    }
}

pub(super) fn expect_tag(ctx: &Ctx, found: &RouteWithRollouts) -> Result<(), Failure> {
    ctx.expect_tag(found.tag.clone())
}

/// Locks every environment, by key, which never changes as a position does; gives them as they are
/// under the locks.
pub(super) fn lock_all_environments(work: &mut Work<'_, '_>) -> Result<Vec<Environment>, Failure> {
    let mut locked = BTreeSet::new();
    loop {
        let found = work.tx.environments()?;
        let keys: BTreeSet<EnvironmentKey> = found.iter().map(|found| found.key.clone()).collect();
        // One may have come while this waited.
        let open: Vec<EnvironmentKey> = keys.difference(&locked).cloned().collect();
        if open.is_empty() {
            return Ok(found);
        }
        for key in open {
            work.tx.lock_environment(&key)?;
            locked.insert(key);
        }
    }
}

pub(super) fn lock_route(work: &mut Work<'_, '_>, key: &RouteKey) -> Result<(), Failure> {
    lock_rollouts(work, key)?;
    lock_all_environments(work).map(|_| ())
}

/// Locks a route in every environment: no promotion of it is judged meanwhile.
pub(super) fn lock_rollouts(work: &mut Work<'_, '_>, key: &RouteKey) -> Result<(), Failure> {
    let environments = work.tx.environments()?;
    let by_key: BTreeSet<_> = environments.iter().map(|found| &found.key).collect();
    for environment in by_key {
        work.tx.lock_rollout(key, environment, None)?;
    }
    work.refresh();
    Ok(())
}

type Parsed = (RouteSpec, Option<Preparation>);

fn parse(new: NewRoute) -> Result<Parsed, Vec<FieldError>> {
    Ok((RouteSpec::parse(new.raw)?, new.preparation))
}

/// Puts a route on record; [`publish_new`] has to follow.
fn create(
    work: &mut Work<'_, '_>,
    (spec, preparation): Parsed,
    reason: &str,
) -> Result<(), Failure> {
    refuse_taken(work.tx, &spec)?;
    own_policy(work.tx, &spec)?;
    let route = Route {
        spec,
        preparation,
        schedule: Schedule::default(),
        retired_at: None,
        revision: 1,
        created_at: work.now,
    };
    require_existing(work.tx, &route.spec, route.is_ready())?;
    let key = route.spec.key.clone();
    work.tx.add_route(&route).map_err(taken_meanwhile)?;
    let after = described(&route);
    work.record("create", Some(&key), None, reason, (Value::Null, after));
    Ok(())
}

/// Gives those of these routes their rollouts that are ready, and have none yet. Environments are
/// locked only here, when all else is done: a halt must not wait for a long import.
pub(super) fn publish_new(work: &mut Work<'_, '_>, keys: &[RouteKey]) -> Result<(), Failure> {
    let (mut ready, mut requires) = (Vec::new(), false);
    for key in keys {
        let route = work.route(key)?;
        requires |= !route.spec.requires.is_empty();
        if route.is_ready() {
            ready.push(key);
        }
    }
    if ready.is_empty() && !requires {
        return Ok(());
    }
    let environments = lock_all_environments(work)?;
    if requires {
        // Judged under the locks that every change of requirements holds: two that are fine by
        // themselves can make one chain that SDKs refuse.
        refuse_undecidable(work.tx.requirements()?)?;
    }
    if ready.is_empty() {
        return Ok(());
    }
    for environment in &environments {
        let revision = work.revision(&environment.key)?;
        let rollouts: Vec<Rollout> = ready
            .iter()
            .map(|key| Rollout::new((*key).clone(), environment.key.clone(), work.now))
            .collect();
        work.tx.add_rollouts(&rollouts, revision)?;
        work.tx.enter_stages(&rollouts, &work.ctx.actor.subject)?;
        refuse_oversized(work.tx, &environment.key)?;
    }
    Ok(())
}

fn refuse_taken(tx: &mut Tx<'_>, spec: &RouteSpec) -> Result<(), Failure> {
    let (key, flag) = (&spec.key, &spec.flag);
    if let Some(other) = tx.route(key)? {
        return Err(Failure::Exists(Existing {
            field: "key",
            detail: format!(
                "the key `{key}` is taken by the route for {}, and keys are never reused: pass \
                 another `key`, and a `flag` of its own",
                other.spec.endpoint
            ),
        }));
    }
    if let Some(other) = tx.flag_owner(flag.as_str())? {
        return Err(Failure::Exists(Existing {
            field: "flag",
            detail: format!(
                "the flag {flag} is taken by the route `{other}`, and flags are never reused: \
                 pass another `flag`"
            ),
        }));
    }
    Ok(())
}

fn taken_meanwhile(error: StoreError) -> Failure {
    match error {
        StoreError::Duplicate => Failure::Exists(Existing {
            field: "key",
            detail: "key or flag has just been taken: pass another `key` or `flag`".to_owned(),
        }),
        other => Failure::Store(other),
    }
}

/// Requirements must exist, those of a published route be published, and the whole stay decidable.
pub(super) fn check_requirements(
    tx: &mut Tx<'_>,
    spec: &RouteSpec,
    published: bool,
) -> Result<(), Failure> {
    require_existing(tx, spec, published)?;
    let mut graph = tx.requirements()?;
    let requires = spec.requires.iter().map(ToString::to_string).collect();
    graph.insert(spec.key.to_string(), requires);
    refuse_undecidable(graph)
}

fn require_existing(tx: &mut Tx<'_>, spec: &RouteSpec, published: bool) -> Result<(), Failure> {
    for required in &spec.requires {
        let detail = match tx.route(required)? {
            None => format!("there is no route `{required}`: create it first"),
            // A snapshot whose requirements are not in it sends their dependents to the old path.
            Some(other) if published && !other.is_ready() => format!(
                "`{required}` is not ready ({}), and a route that is ready requires only those \
                 that are: complete its preparation first",
                other.at().join(", ")
            ),
            Some(_) => continue,
        };
        return Err(Failure::invalid("requires", detail));
    }
    Ok(())
}

/// Judged by what decides: a snapshot with these requirements must be one that SDKs take.
fn refuse_undecidable(graph: BTreeMap<String, Vec<String>>) -> Result<(), Failure> {
    let undecidable = |error: &dyn ToString| Failure::invalid("requires", error.to_string());
    let mut entries = BTreeMap::new();
    for (route, requires) in graph {
        let key: RouteKey = route.parse().map_err(|error| undecidable(&error))?;
        let flag = route.to_ascii_uppercase().parse();
        let flag = flag.map_err(|error| undecidable(&error))?;
        let mut rollout = switchover::Rollout::at(flag, Stage::ReadyForTesting);
        rollout.requires = requires.iter().filter_map(|key| key.parse().ok()).collect();
        entries.insert(key, Entry::Known(Arc::new(rollout)));
    }
    Table::new(Source::Live, EnvironmentKind::Hosted, entries)
        .map(|_| ())
        .map_err(|error| undecidable(&error))
}

/// The policy of a route with the route's own numbers; it must exist, and have them.
pub(super) fn own_policy(tx: &mut Tx<'_>, spec: &RouteSpec) -> Result<Policy, Failure> {
    let Some(found) = tx.policy(&spec.policy, None)? else {
        let names: Vec<String> = tx
            .policies()?
            .iter()
            .map(|known| known.policy.name.to_string())
            .collect();
        let detail = format!(
            "there is no policy `{}`; the policies are {}",
            spec.policy,
            names.join(", ")
        );
        return Err(Failure::invalid("policy", detail));
    };
    found
        .policy
        .check_numbers(&spec.policy_numbers)
        .map_err(Failure::Invalid)?;
    Ok(found.policy.with_numbers(&spec.policy_numbers))
}

/// Rows in an order in which each finds those that it requires among the rows.
fn required_first(specs: &[(usize, Parsed)]) -> Vec<&(usize, Parsed)> {
    let mut placed: BTreeSet<&RouteKey> = BTreeSet::new();
    let mut open: Vec<&(usize, Parsed)> = specs.iter().collect();
    let mut ordered = Vec::with_capacity(specs.len());
    while !open.is_empty() {
        let waiting: BTreeSet<&RouteKey> = open.iter().map(|(_, new)| &new.0.key).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = open.iter().copied().partition(|(_, new)| {
            new.0
                .requires
                .iter()
                .all(|required| placed.contains(required) || !waiting.contains(required))
        });
        if ready.is_empty() {
            // A circle: the check of each row says so.
            ordered.extend(rest);
            break;
        }
        placed.extend(ready.iter().map(|(_, new)| &new.0.key));
        ordered.extend(ready);
        open = rest;
    }
    ordered
}

/// What the record keeps of a route.
pub(super) fn described(route: &Route) -> Value {
    let spec = &route.spec;
    json!({
        "flag": spec.flag,
        "endpoint": spec.endpoint,
        "operation": spec.operation,
        "owner": spec.owner,
        "policy": spec.policy,
        "policy_numbers": spec.policy_numbers,
        "requires": spec.requires,
        "ramp_group": spec.ramp_group,
        "labels": spec.labels,
        "contacts": spec.contacts,
        "description": spec.description,
        "links": spec.links,
        "preparation": route.preparation,
        "schedule": route.schedule,
        "retired_at": route.retired_at,
    })
}
