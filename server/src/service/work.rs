//! One change under way: what it has locked, and what it will put on record.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use switchover::{RouteKey, Stage, Version};

use crate::domain::audit::AuditDraft;
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::lifecycle::{Command, Facts, plan};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::service::{Ctx, Failure, epoch};
use crate::store::{StoreError, Tx};

/// The unit of work. Audit entries are appended when it finishes, so that the head of the chain is
/// locked last.
pub(super) struct Work<'a, 't> {
    pub(super) tx: &'a mut Tx<'t>,
    pub(super) ctx: &'a Ctx,
    pub(super) now: DateTime<Utc>,
    drafts: Vec<AuditDraft>,
    revisions: BTreeMap<EnvironmentKey, u64>,
}

impl<'a, 't> Work<'a, 't> {
    pub(super) fn new(tx: &'a mut Tx<'t>, ctx: &'a Ctx, now: DateTime<Utc>) -> Work<'a, 't> {
        Work {
            tx,
            ctx,
            now,
            drafts: Vec::new(),
            revisions: BTreeMap::new(),
        }
    }

    /// A route that must exist.
    pub(super) fn route(&mut self, key: &RouteKey) -> Result<Route, Failure> {
        self.tx
            .route(key)?
            .ok_or_else(|| Failure::missing("route", key))
    }

    /// An environment that must exist.
    pub(super) fn environment(&mut self, key: &EnvironmentKey) -> Result<Environment, Failure> {
        self.tx
            .environment(key)?
            .ok_or_else(|| Failure::missing("environment", key))
    }

    /// Locks the rollouts of these routes in an environment, and then the environment.
    pub(super) fn lock(
        &mut self,
        routes: &BTreeSet<RouteKey>,
        environment: &EnvironmentKey,
    ) -> Result<(), Failure> {
        for route in routes {
            if self.tx.lock_rollout(route, environment, None)?.is_none() {
                return Err(absent(self.tx, route, environment)?);
            }
        }
        Ok(self.tx.lock_environment(environment)?)
    }

    /// The revision of this change in an environment; taken once.
    pub(super) fn revision(&mut self, environment: &EnvironmentKey) -> Result<u64, StoreError> {
        if let Some(revision) = self.revisions.get(environment) {
            return Ok(*revision);
        }
        let revision = self.tx.next_revision(environment)?;
        self.revisions.insert(environment.clone(), revision);
        Ok(revision)
    }

    /// The version that an environment has, or will have when this change commits.
    pub(super) fn version(&mut self, environment: &EnvironmentKey) -> Result<Version, Failure> {
        let revision = match self.revisions.get(environment) {
            Some(revision) => *revision,
            None => self.environment(environment)?.revision,
        };
        Ok(Version {
            epoch: epoch(self.tx)?.into(),
            revision,
        })
    }

    /// Plans a command against a locked rollout and writes what follows: the rollout before and
    /// after, which are the same when nothing is to be changed.
    pub(super) fn run(
        &mut self,
        route: &Route,
        environment: &Environment,
        command: &Command,
        reason: &str,
    ) -> Result<(Rollout, Rollout), Failure> {
        let Some(rollout) = self.tx.rollout(&route.spec.key, &environment.key)? else {
            return Err(absent(self.tx, &route.spec.key, &environment.key)?);
        };
        self.run_on(rollout, route, environment, (command, reason))
    }

    /// The same for a rollout that was read under its lock.
    pub(super) fn run_on(
        &mut self,
        rollout: Rollout,
        route: &Route,
        environment: &Environment,
        (command, reason): (&Command, &str),
    ) -> Result<(Rollout, Rollout), Failure> {
        let moves = matches!(command, Command::Promote { .. } | Command::Demote { .. });
        let facts = if moves {
            facts(self.tx, self.ctx, (route, environment), reason, self.now)?
        } else {
            // Only a change of stage looks at other rollouts: a halt of thousands need not.
            Facts {
                actor: self.ctx.actor.clone(),
                reason: reason.to_owned(),
                now: self.now,
                route: route.clone(),
                environment: environment.clone(),
                earlier: Vec::new(),
                required: Vec::new(),
                dependents: Vec::new(),
                approvals: Vec::new(),
            }
        };
        let Some(transition) = plan(&rollout, command, &facts)? else {
            return Ok((rollout.clone(), rollout));
        };
        let revision = self.revision(&environment.key)?;
        self.tx.apply(&transition, revision)?;
        if transition.before().stage != transition.after().stage {
            let entered = std::slice::from_ref(transition.after());
            self.tx.enter_stages(entered, &self.ctx.actor.subject)?;
        }
        let (before, after) = transition.record();
        self.record(
            transition.action(),
            Some(&route.spec.key),
            Some(&environment.key),
            reason,
            (before, after),
        );
        Ok((transition.before().clone(), transition.after().clone()))
    }

    /// Puts something on record.
    pub(super) fn record(
        &mut self,
        action: &'static str,
        route: Option<&RouteKey>,
        environment: Option<&EnvironmentKey>,
        reason: &str,
        (before, after): (Value, Value),
    ) {
        self.drafts.push(AuditDraft {
            at: self.now,
            actor: self.ctx.actor.clone(),
            action,
            route: route.map(ToString::to_string),
            environment: environment.map(ToString::to_string),
            reason: reason.to_owned(),
            before,
            after,
        });
    }

    /// Writes the audit entries; gives the environments that publish something new.
    pub(super) fn finish(self) -> Result<BTreeSet<EnvironmentKey>, Failure> {
        self.tx.append_audit(self.drafts)?;
        Ok(self.revisions.into_keys().collect())
    }
}

/// Why there is no such rollout.
pub(super) fn absent(
    tx: &mut Tx<'_>,
    route: &RouteKey,
    environment: &EnvironmentKey,
) -> Result<Failure, StoreError> {
    Ok(match tx.route(route)? {
        None => Failure::missing("route", route),
        Some(found) if !found.is_ready() => Failure::Refused(found.not_ready()),
        Some(_) if tx.environment(environment)?.is_none() => {
            Failure::missing("environment", environment)
        }
        Some(_) => Failure::missing("rollout", format!("{route} in {environment}")),
    })
}

/// What a plan for this rollout is judged by, as this transaction sees it.
pub(super) fn facts(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    (route, environment): (&Route, &Environment),
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Facts, StoreError> {
    let key = &route.spec.key;
    let here = tx.rollouts_of(&[key.as_str()])?;
    let earlier = tx
        .environments()?
        .into_iter()
        .filter(|other| other.position < environment.position)
        .filter_map(|other| {
            let rollout = here.iter().find(|rollout| rollout.environment == other.key);
            rollout.map(|rollout| (other.key, rollout.stage))
        })
        .collect();
    let requires: Vec<&str> = route.spec.requires.iter().map(RouteKey::as_str).collect();
    let required = stages(tx, &requires, &environment.key)?;
    let dependents = tx.dependents(key)?;
    let dependents: Vec<&str> = dependents.iter().map(String::as_str).collect();
    let dependents = stages(tx, &dependents, &environment.key)?;
    let stage = here
        .iter()
        .find(|rollout| rollout.environment == environment.key)
        .map(|rollout| rollout.stage);
    let approvals = match stage.and_then(Stage::next) {
        Some(next) => tx.approvals(key, &environment.key, Some(next))?,
        None => Vec::new(),
    };
    Ok(Facts {
        actor: ctx.actor.clone(),
        reason: reason.to_owned(),
        now,
        route: route.clone(),
        environment: environment.clone(),
        earlier,
        required,
        dependents,
        approvals,
    })
}

fn stages(
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
