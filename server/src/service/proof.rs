//! What a change of stage is judged by besides, as one transaction sees it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use switchover::{EnvironmentKind, RouteKey, Stage};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::facts::Proof;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::service::stores::view;
use crate::store::{StoreError, Tx};

/// The routes that require this one, and their stage here.
pub(super) fn dependents(
    tx: &mut Tx<'_>,
    route: &Route,
    environment: &Environment,
) -> Result<Vec<(RouteKey, Stage)>, StoreError> {
    let dependents = tx.dependents(&route.spec.key)?;
    let dependents: Vec<&str> = dependents.iter().map(String::as_str).collect();
    stages(tx, &dependents, &environment.key)
}

/// What a promotion is judged by besides.
pub(super) fn proof(
    tx: &mut Tx<'_>,
    (route, environment): (&Route, &Environment),
    now: DateTime<Utc>,
) -> Result<Proof, StoreError> {
    let key = &route.spec.key;
    let rollouts = tx.rollouts_of(&[key.as_str()])?;
    let environments = tx.environments()?;
    let of = |other: &Environment| {
        let here = rollouts.iter();
        here.clone()
            .find(|rollout| rollout.environment == other.key)
    };
    let earlier = environments
        .iter()
        .filter(|other| other.position < environment.position)
        .filter_map(|other| of(other).map(|rollout| (other.key.clone(), rollout.stage)))
        .collect();
    let hosted: Vec<Rollout> = environments
        .iter()
        .filter(|other| other.kind == EnvironmentKind::Hosted)
        .filter_map(|other| of(other).cloned())
        .collect();
    let mut stores = BTreeMap::new();
    for rollout in &hosted {
        if let Some(view) = view(tx, route, rollout, now)? {
            stores.insert(rollout.environment.clone(), view.stores);
        }
    }
    let requires: Vec<&str> = route.spec.requires.iter().map(RouteKey::as_str).collect();
    let required = stages(tx, &requires, &environment.key)?;
    let dependents = dependents(tx, route, environment)?;
    let next = of(environment).and_then(|rollout| rollout.stage.next());
    let approvals = match next {
        Some(next) => tx.approvals(key, &environment.key, Some(next))?,
        None => Vec::new(),
    };
    Ok(Proof {
        earlier,
        required,
        dependents,
        hosted,
        demoted_at: rollouts
            .iter()
            .filter_map(|rollout| rollout.demoted_at)
            .max(),
        approvals,
        evidence: tx.evidence(key)?,
        plan: tx.plan(key)?,
        runbook: tx.runbook(key)?,
        externals: tx.externals(key)?,
        released: tx.published_stages(key, &environment.key)?,
        censuses: tx.censuses(&environment.key)?,
        stores,
        ..Proof::default()
    })
}

/// The stage of these routes here.
pub(super) fn stages(
    tx: &mut Tx<'_>,
    routes: &[&str],
    environment: &EnvironmentKey,
) -> Result<Vec<(RouteKey, Stage)>, StoreError> {
    if routes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(tx
        .rollouts_of(routes)?
        .into_iter()
        .filter(|rollout| rollout.environment == *environment)
        .map(|rollout| (rollout.route, rollout.stage))
        .collect())
}
