//! One change under way: what it has locked, and what it will put on record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use switchover::{RouteKey, Version};

use crate::domain::audit::AuditDraft;
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::facts::{Facts, Proof};
use crate::domain::frozen::Frozen;
use crate::domain::lifecycle::{Command, Transition, plan};
use crate::domain::loss::Gap;
use crate::domain::policy::Policy;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, Route};
use crate::domain::writer::Writing;
use crate::service::loss::judged;
use crate::service::observed::Observed;
use crate::service::proof::{dependents, proof, stages};
use crate::service::shared::Shared;
use crate::service::{Clock, Ctx, Failure, Target, epoch};
use crate::store::{NewPromotion, StoreError, Tx};
use crate::telemetry::TelemetryStore;

/// The unit of work. Audit entries are appended when it finishes, so that the head of the chain is
/// locked last.
pub(super) struct Work<'a, 't> {
    pub(super) tx: &'a mut Tx<'t>,
    pub(super) ctx: &'a Ctx,
    pub(super) now: DateTime<Utc>,
    clock: &'a Clock,
    pub(super) shared: Shared,
    /// What the record says besides of what changes: what it was done for.
    pub(super) grounds: Map<String, Value>,
    /// What callers report of the routes that are to be promoted.
    pub(super) observed: Observed,
    drafts: Vec<AuditDraft>,
    revisions: BTreeMap<EnvironmentKey, u64>,
    /// The flips that are announced with it.
    holds: BTreeSet<Target>,
}

/// What a change has touched, once it is committed.
#[derive(Default)]
pub(super) struct Touched {
    /// The environments that publish something new.
    pub(super) environments: BTreeSet<EnvironmentKey>,
    /// The flips that it has announced.
    pub(super) holds: BTreeSet<Target>,
    /// What is put on record.
    pub(super) actions: Vec<&'static str>,
}

impl<'a, 't> Work<'a, 't> {
    pub(super) fn new(
        tx: &'a mut Tx<'t>,
        ctx: &'a Ctx,
        clock: &'a Clock,
        telemetry: &Arc<TelemetryStore>,
    ) -> Work<'a, 't> {
        Work {
            tx,
            ctx,
            now: clock(),
            clock,
            shared: Shared::new(telemetry),
            grounds: Map::new(),
            observed: Observed::default(),
            drafts: Vec::new(),
            revisions: BTreeMap::new(),
            holds: BTreeSet::new(),
        }
    }

    /// Looks at the clock again: who waited for a lock acts after whoever held it.
    pub(super) fn refresh(&mut self) {
        self.now = self.now.max((self.clock)());
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
        self.tx.lock_environment(environment)?;
        self.refresh();
        Ok(())
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
        let mut facts = self.facts(route, environment, command, reason)?;
        self.tell_of_stores(&mut facts, &rollout)?;
        if !command.is_safe() {
            facts.frozen = frozen(self.tx, &rollout, environment, self.now)?;
        }
        let Some(transition) = plan(&rollout, command, &facts)? else {
            return Ok((rollout.clone(), rollout));
        };
        self.write(&transition, command, &facts)?;
        Ok((transition.before().clone(), transition.after().clone()))
    }

    /// How the two stores of a data route stand to each other: what a change that moves keys is judged
    /// by.
    pub(super) fn tell_of_stores(
        &mut self,
        facts: &mut Facts,
        rollout: &Rollout,
    ) -> Result<(), StoreError> {
        let telemetry = &self.shared.telemetry;
        let place = (&facts.route, rollout);
        let (gap, stores) = judged(self.tx, telemetry, place, self.now)?;
        facts.gap = gap;
        if let Some(view) = stores {
            let stores = &mut facts.proof.stores;
            stores.insert(rollout.environment.clone(), view.stores);
        }
        Ok(())
    }

    /// Writes a transition of a locked rollout, with all that belongs to it.
    pub(super) fn write(
        &mut self,
        transition: &Transition,
        command: &Command,
        facts: &Facts,
    ) -> Result<(), Failure> {
        let (route, environment) = (&facts.route, &facts.environment);
        let revision = self.revision(&environment.key)?;
        self.tx.apply(transition, revision)?;
        if transition.after().data.hold.is_some() {
            self.holds.insert(Target {
                route: route.spec.key.clone(),
                environment: environment.key.clone(),
            });
        }
        let is_made = !transition.is_about_a_hold();
        if transition.before().stage != transition.after().stage {
            let entered = std::slice::from_ref(transition.after());
            self.tx.enter_stages(entered, &self.ctx.actor.subject)?;
        }
        if let (true, Command::Promote { to, break_glass }) = (is_made, command) {
            self.tx.add_promotion(&NewPromotion {
                rollout: transition.before(),
                to: *to,
                promoter: &self.ctx.actor.subject,
                break_glass: *break_glass,
                approvals: &facts.counting_approvals(transition.before(), *to),
                at: self.now,
            })?;
        }
        let (before, mut after) = transition.record();
        if let Value::Object(fields) = &mut after {
            fields.extend(self.grounds.clone());
        }
        self.record(
            transition.action(),
            Some(&route.spec.key),
            Some(&environment.key),
            &facts.reason,
            (before, after),
        );
        Ok(())
    }

    /// Writes a transition that gives up what was announced.
    pub(super) fn write_plainly(
        &mut self,
        transition: &Transition,
        (route, environment): (&Route, &Environment),
        reason: &str,
    ) -> Result<(), Failure> {
        let revision = self.revision(&environment.key)?;
        self.tx.apply(transition, revision)?;
        self.record(
            transition.action(),
            Some(&route.spec.key),
            Some(&environment.key),
            reason,
            transition.record(),
        );
        Ok(())
    }

    /// What a command is judged by. What can only make things safer looks neither at policies nor at
    /// freezes: a halt works whatever state they are in. Only a promotion looks at proof.
    pub(super) fn facts(
        &mut self,
        route: &Route,
        environment: &Environment,
        command: &Command,
        reason: &str,
    ) -> Result<Facts, StoreError> {
        let who = (self.ctx, reason, self.now);
        let place = (route, environment);
        match command {
            _ if command.is_urgent() || *command == Command::RaiseGeneration => {
                Ok(safe_facts(place, who, Proof::default()))
            }
            Command::Demote { halt, .. } => {
                let proof = Proof {
                    dependents: dependents(self.tx, route, environment)?,
                    ..Proof::default()
                };
                let mut facts = safe_facts(place, who, proof);
                if !halt {
                    facts.writing = writing(self.tx, place, self.now)?;
                }
                Ok(facts)
            }
            Command::SetMirror(_) => {
                let requires: Vec<&str> =
                    route.spec.requires.iter().map(RouteKey::as_str).collect();
                let proof = Proof {
                    required: stages(self.tx, &requires, &environment.key)?,
                    evidence: self.tx.evidence(&route.spec.key)?,
                    ..Proof::default()
                };
                facts(self.tx, &mut self.shared, place, who, proof)
            }
            Command::Promote { to, .. } => {
                let proof = proof(self.tx, place, self.now)?;
                let mut facts = facts(self.tx, &mut self.shared, place, who, proof)?;
                self.observed.tell(&mut facts, *to);
                Ok(facts)
            }
            _ => facts(self.tx, &mut self.shared, place, who, Proof::default()),
        }
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

    /// Writes the audit entries; gives what is touched.
    pub(super) fn finish(self) -> Result<Touched, Failure> {
        let actions = self.drafts.iter().map(|draft| draft.action).collect();
        self.tx.append_audit(self.drafts)?;
        Ok(Touched {
            actions,
            environments: self.revisions.into_keys().collect(),
            holds: self.holds,
        })
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

/// What every change is judged by, as this transaction sees it.
pub(super) fn facts(
    tx: &mut Tx<'_>,
    shared: &mut Shared,
    (route, environment): (&Route, &Environment),
    (ctx, reason, now): (&Ctx, &str, DateTime<Utc>),
    proof: Proof,
) -> Result<Facts, StoreError> {
    let guards = shared.guards(tx, (route, environment), now)?;
    Ok(Facts {
        gap: Gap::default(),
        accepts_loss: ctx.accepts_loss,
        writing: writing(tx, (route, environment), now)?,
        guards_unread: guards.is_none(),
        guards: guards.unwrap_or_default(),
        actor: ctx.actor.clone(),
        reason: reason.to_owned(),
        now,
        policy: shared.policy(tx, route)?,
        freezes: shared.freezes(tx, &environment.key, now)?,
        frozen: Frozen::default(),
        route: route.clone(),
        environment: environment.clone(),
        proof,
    })
}

/// When freezes were open here, as far back as the rollout's ramp looks.
pub(super) fn frozen(
    tx: &mut Tx<'_>,
    rollout: &Rollout,
    environment: &Environment,
    now: DateTime<Utc>,
) -> Result<Frozen, StoreError> {
    let Some(since) = rollout.clock_since(now) else {
        return Ok(Frozen::default());
    };
    let freezes = tx.freezes_after(since)?;
    let here = freezes.iter();
    Ok(Frozen::by(
        here.filter(|freeze| freeze.covers(&environment.key)),
    ))
}

/// What a change is judged by that raises nothing.
fn safe_facts(
    (route, environment): (&Route, &Environment),
    (ctx, reason, now): (&Ctx, &str, DateTime<Utc>),
    proof: Proof,
) -> Facts {
    Facts {
        actor: ctx.actor.clone(),
        reason: reason.to_owned(),
        now,
        policy: Policy::without_gates(route.spec.policy.clone()),
        freezes: Vec::new(),
        frozen: Frozen::default(),
        guards: Vec::new(),
        guards_unread: false,
        gap: Gap::default(),
        accepts_loss: ctx.accepts_loss,
        writing: Writing::default(),
        route: route.clone(),
        environment: environment.clone(),
        proof,
    }
}

/// What is known of the processes that write a route here; nothing of routes that are not written.
fn writing(
    tx: &mut Tx<'_>,
    (route, environment): (&Route, &Environment),
    now: DateTime<Utc>,
) -> Result<Writing, StoreError> {
    match route.spec.operation {
        Operation::Write => tx.writing((&route.spec.key, &environment.key), now),
        Operation::Read | Operation::Call => Ok(Writing::default()),
    }
}
