//! What a change of stage is judged by besides, as one transaction sees it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use switchover::{EnvironmentKind, RouteKey, Stage};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::evidence::Evidence;
use crate::domain::external::External;
use crate::domain::facts::Proof;
use crate::domain::plan::Plan;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::runbook::Runbook;
use crate::service::stores::{StoresView, view};
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
    Everywhere::read(tx, route, now)?.at(tx, environment)
}

/// What promotions of a route are judged by in every environment: read once for all of them.
pub(super) struct Everywhere<'r> {
    pub(super) route: &'r Route,
    pub(super) environments: Vec<Environment>,
    pub(super) rollouts: Vec<Rollout>,
    pub(super) stores: BTreeMap<EnvironmentKey, StoresView>,
    pub(super) dependents: Vec<String>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) plan: Option<Plan>,
    runbook: Option<Runbook>,
    externals: Vec<External>,
}

impl<'r> Everywhere<'r> {
    pub(super) fn read(
        tx: &mut Tx<'_>,
        route: &'r Route,
        now: DateTime<Utc>,
    ) -> Result<Everywhere<'r>, StoreError> {
        let key = &route.spec.key;
        let rollouts = tx.rollouts_of(&[key.as_str()])?;
        let environments = tx.environments()?;
        let mut stores = BTreeMap::new();
        for rollout in &rollouts {
            let hosted = environments.iter().any(|environment| {
                environment.key == rollout.environment
                    && environment.kind == EnvironmentKind::Hosted
            });
            if hosted && let Some(view) = view(tx, route, rollout, now)? {
                stores.insert(rollout.environment.clone(), view);
            }
        }
        Ok(Everywhere {
            route,
            environments,
            rollouts,
            stores,
            dependents: tx.dependents(key)?,
            evidence: tx.evidence(key)?,
            plan: tx.plan(key)?,
            runbook: tx.runbook(key)?,
            externals: tx.externals(key)?,
        })
    }

    pub(super) fn rollout(&self, environment: &Environment) -> Option<&Rollout> {
        let mut rollouts = self.rollouts.iter();
        rollouts.find(|rollout| rollout.environment == environment.key)
    }

    /// What a promotion there is judged by besides.
    pub(super) fn at(
        &self,
        tx: &mut Tx<'_>,
        environment: &Environment,
    ) -> Result<Proof, StoreError> {
        let (route, key) = (self.route, &self.route.spec.key);
        let others = self.environments.iter();
        let earlier = others
            .clone()
            .filter(|other| other.position < environment.position)
            .filter_map(|other| Some((other.key.clone(), self.rollout(other)?.stage)))
            .collect();
        let hosted: Vec<Rollout> = others
            .filter(|other| other.kind == EnvironmentKind::Hosted)
            .filter_map(|other| self.rollout(other).cloned())
            .collect();
        let requires: Vec<&str> = route.spec.requires.iter().map(RouteKey::as_str).collect();
        let required = stages(tx, &requires, &environment.key)?;
        let dependents: Vec<&str> = self.dependents.iter().map(String::as_str).collect();
        let dependents = stages(tx, &dependents, &environment.key)?;
        let next = self
            .rollout(environment)
            .and_then(|rollout| rollout.stage.next());
        let approvals = match next {
            Some(next) => tx.approvals(key, &environment.key, Some(next))?,
            None => Vec::new(),
        };
        let demotions = self.rollouts.iter();
        let stores = self.stores.iter();
        Ok(Proof {
            earlier,
            required,
            dependents,
            hosted,
            demoted_at: demotions.filter_map(|rollout| rollout.demoted_at).max(),
            approvals,
            evidence: self.evidence.clone(),
            plan: self.plan.clone(),
            runbook: self.runbook.clone(),
            externals: self.externals.clone(),
            released: tx.published_stages(key, &environment.key)?,
            censuses: tx.censuses(&environment.key)?,
            stores: stores.map(|(key, it)| (key.clone(), it.stores)).collect(),
            ..Proof::default()
        })
    }
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
