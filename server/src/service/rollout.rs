//! Promote, demote, halt, resume, set: whatever happens to a rollout.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use switchover::{RouteKey, Stage, Version};

use crate::domain::actor::Actor;
use crate::domain::cohort::overlap;
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::gate::GateReport;
use crate::domain::lifecycle::Command;
use crate::domain::loss::LossRisk;
use crate::domain::ramp::Outlook;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::text::Reason;
use crate::service::loss::judged;
use crate::service::proof::proof;
use crate::service::ramp::outlook;
use crate::service::shared::Shared;
use crate::service::size::refuse_oversized;
use crate::service::work::{Work, absent, facts};
use crate::service::{Answer, Ctx, Failure, Render, Services, epoch};
use crate::store::{Receipt, Tx};

/// A rollout's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The route.
    pub route: RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
}

/// What is to happen to a rollout.
#[derive(Clone, Debug)]
pub struct Change {
    /// To which.
    pub target: Target,
    /// What.
    pub command: Command,
    /// Why.
    pub reason: Reason,
    /// Whether routes that stand in the way move too.
    pub cascade: bool,
}

/// What has happened to a rollout.
#[derive(Clone, Debug)]
pub struct Changed {
    /// What kind of thing.
    pub action: &'static str,
    /// As it was.
    pub before: Rollout,
    /// As it is.
    pub after: Rollout,
    /// Where.
    pub environment: Environment,
    /// Who did it.
    pub by: Actor,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// The environment's version with it.
    pub version: Version,
    /// The other rollouts that moved with it, as they were and are.
    pub cascaded: Vec<(Rollout, Rollout)>,
    /// What its ramp does next.
    pub outlook: Option<Outlook>,
    /// What going back to the old store costs from then on.
    pub risk: LossRisk,
    /// What somebody may not have meant.
    pub warnings: Vec<String>,
}

/// A rollout as it is.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The rollout.
    pub rollout: Rollout,
    /// Where.
    pub environment: Environment,
    /// What its ramp does next; `None` where it has none.
    pub outlook: Option<Outlook>,
}

impl Services {
    /// Does what is asked to one rollout, and with `cascade` to those in its way.
    ///
    /// # Errors
    /// When there is no such rollout, it has changed, or the rules do not allow it.
    pub fn change_rollout(
        &self,
        ctx: &Ctx,
        change: &Change,
        render: Render<'_, Changed>,
    ) -> Result<Answer, Failure> {
        if change.command.is_urgent() {
            return self.insist(ctx, render, |work| apply(work, change));
        }
        let observed = self.observe_change(ctx, change)?;
        self.change(ctx, render, |work| {
            work.observed = observed;
            apply(work, change)
        })
    }

    /// One rollout with the environment it is in, and what its ramp does next.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollout(&self, target: &Target) -> Result<Seen, Failure> {
        let now = self.now();
        self.store.read(|tx| {
            let (route, environment, rollout) = load(tx, target)?;
            let mut shared = Shared::new(&self.telemetry);
            let outlook = outlook(tx, &mut shared, (&route, &environment), &rollout, now)?;
            Ok(Seen {
                rollout,
                environment,
                outlook,
            })
        })
    }

    /// The answers of all gates of a promotion by this person, and the rollout that they judge.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn gates(
        &self,
        actor: &Actor,
        target: &Target,
        to: Option<Stage>,
    ) -> Result<(Rollout, Stage, Vec<GateReport>), Failure> {
        let now = self.now();
        let ctx = Ctx::of(actor.clone());
        let (mut facts, rollout) = self.store.read::<_, Failure>(|tx| {
            let (route, environment, rollout) = load(tx, target)?;
            let proof = proof(tx, (&route, &environment), now)?;
            let place = (&route, &environment);
            let mut shared = Shared::new(&self.telemetry);
            let facts = facts(tx, &mut shared, place, (&ctx, "", now), proof)?;
            Ok((facts, rollout))
        })?;
        let to = to.or(rollout.stage.next()).unwrap_or(Stage::Mandatory);
        let observed = self.observe(std::slice::from_ref(&facts), to);
        observed.tell(&mut facts, to);
        let reports = facts.gates(&rollout, to);
        Ok((rollout, to, reports))
    }

    /// The epoch of the database, for tags.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn epoch(&self) -> Result<String, Failure> {
        self.store.read(|tx| Ok(epoch(tx)?))
    }

    pub(super) fn close_window_due(
        &self,
        route: &str,
        environment: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let name = |_| Failure::missing("rollout", format!("{route} in {environment}"));
        let target = Target {
            route: route.parse().map_err(|_| name(()))?,
            environment: environment.parse().map_err(|_| name(()))?,
        };
        let ctx = Ctx::of(Actor::system());
        self.change(&ctx, &unanswered, |work| {
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let (route, environment, rollout) = load(work.tx, &target)?;
            // It may have been closed or prolonged since it was found to be due.
            // One that keys cannot leave yet is tried again.
            let waits = rollout.data.waits(now);
            if !waits && rollout.acceptance.is_some_and(|window| window.until <= now) {
                let reason = "the acceptance window has ended";
                work.run(&route, &environment, &Command::CloseWindow, reason)?;
            }
            Ok(())
        })
        .map(|_| ())
    }
}

/// Does what is asked, in the transaction of `work`.
pub(super) fn apply(work: &mut Work<'_, '_>, change: &Change) -> Result<Changed, Failure> {
    let target = &change.target;
    let route = work.route(&target.route)?;
    let environment = work.environment(&target.environment)?;
    let others = if change.cascade {
        in_the_way(work, &route, &environment.key, &change.command)?
    } else {
        Vec::new()
    };
    let mut locked: BTreeSet<RouteKey> = others.iter().cloned().collect();
    locked.insert(target.route.clone());
    work.lock(&locked, &environment.key)?;
    if !change.command.is_urgent() {
        expect_tag(work, target)?;
    }
    // What was read before the locks may have changed while waiting for them.
    let route = work.route(&target.route)?;
    let environment = work.environment(&target.environment)?;

    let mut cascaded = Vec::new();
    for other in &others {
        let other = work.route(other)?;
        let moved = work.run(
            &other,
            &environment,
            &change.command,
            change.reason.as_str(),
        )?;
        cascaded.push(moved);
    }
    let (before, after) = work.run(
        &route,
        &environment,
        &change.command,
        change.reason.as_str(),
    )?;
    let is_held = |(before, after): &(Rollout, Rollout)| {
        before.data.hold.is_none() && after.data.hold.is_some()
    };
    let moved = (before, after);
    if !others.is_empty() {
        let held = cascaded.iter().chain([&moved]).find(|moved| is_held(moved));
        if let Some((_, held)) = held {
            return Err(Failure::Refused(Refusal::InvalidTransition(format!(
                "keys of `{}` move between two stores in {}, which is announced first and done by \
                 itself: change it alone, without `cascade`",
                held.route, held.environment
            ))));
        }
    }
    let action = if is_held(&moved) {
        "flip_hold"
    } else {
        change.command.action()
    };
    let (before, after) = moved;
    if matches!(
        change.command,
        Command::SetCohorts { .. } | Command::OpenWindow { .. }
    ) {
        refuse_oversized(work.tx, &environment.key)?;
    }
    // What is urgent looks at nothing that it does not need.
    let outlook = if change.command.is_urgent() {
        None
    } else {
        outlook(
            work.tx,
            &mut work.shared,
            (&route, &environment),
            &after,
            work.now,
        )?
    };
    let telemetry = std::sync::Arc::clone(&work.shared.telemetry);
    let (gap, _) = judged(work.tx, &telemetry, (&route, &after), work.now)?;
    let risk = LossRisk::of(&after, &route, environment.kind, &gap);
    let costs = (risk != LossRisk::None).then(|| format!("going back: {}", risk.told()));
    let overlap = overlap(&after.include, &after.exclude);
    let said = matches!(change.command, Command::SetCohorts { .. });
    Ok(Changed {
        action,
        before,
        after,
        version: work.version(&environment.key)?,
        environment,
        by: work.ctx.actor.clone(),
        at: work.now,
        reason: change.reason.to_string(),
        cascaded,
        outlook,
        risk,
        warnings: overlap.filter(|_| said).into_iter().chain(costs).collect(),
    })
}

/// Nobody asked, so there is nothing to answer.
pub(super) fn unanswered<T>(_: &T) -> Receipt {
    Receipt {
        status: 0,
        etag: None,
        body: String::new(),
    }
}

/// The rollout must still have the tag that the caller has seen, if they say one.
pub(super) fn expect_tag(work: &mut Work<'_, '_>, target: &Target) -> Result<(), Failure> {
    if work.ctx.if_match.is_none() {
        return Ok(());
    }
    let (_, _, rollout) = load(work.tx, target)?;
    let current = rollout_tag(&epoch(work.tx)?, &rollout);
    work.ctx.expect_tag(current)
}

/// The tag of a rollout's present state.
#[must_use]
pub fn rollout_tag(epoch: &str, rollout: &Rollout) -> String {
    format!("\"{epoch}.{}\"", rollout.revision)
}

/// The routes that must move before this one may, in the order in which they must: for a promotion
/// those that it requires, for a demotion those that require it.
fn in_the_way(
    work: &mut Work<'_, '_>,
    route: &Route,
    environment: &EnvironmentKey,
    command: &Command,
) -> Result<Vec<RouteKey>, Failure> {
    let mut order = Vec::new();
    visit(work, route, environment, command, &mut order)?;
    order.retain(|key| *key != route.spec.key);
    Ok(order)
}

fn visit(
    work: &mut Work<'_, '_>,
    route: &Route,
    environment: &EnvironmentKey,
    command: &Command,
    order: &mut Vec<RouteKey>,
) -> Result<(), Failure> {
    let (neighbours, to): (Vec<RouteKey>, Stage) = match command {
        Command::Promote { to, .. } => (route.spec.requires.iter().cloned().collect(), *to),
        Command::Demote { to, .. } => {
            let dependents = work.tx.dependents(&route.spec.key)?;
            let parsed = dependents.iter().filter_map(|key| key.parse().ok());
            (parsed.collect(), *to)
        }
        _ => return Ok(()),
    };
    for key in neighbours {
        let rollout = work.tx.rollout(&key, environment)?;
        let moves = rollout.is_some_and(|rollout| match command {
            Command::Promote { .. } => rollout.stage < to,
            _ => rollout.stage > to,
        });
        if moves && !order.contains(&key) {
            let neighbour = work.route(&key)?;
            visit(work, &neighbour, environment, command, order)?;
        }
    }
    if !order.contains(&route.spec.key) {
        order.push(route.spec.key.clone());
    }
    Ok(())
}

pub(super) fn load(
    tx: &mut Tx<'_>,
    target: &Target,
) -> Result<(Route, Environment, Rollout), Failure> {
    let route = tx
        .route(&target.route)?
        .ok_or_else(|| Failure::missing("route", &target.route))?;
    let environment = tx
        .environment(&target.environment)?
        .ok_or_else(|| Failure::missing("environment", &target.environment))?;
    match tx.rollout(&target.route, &target.environment)? {
        Some(rollout) => Ok((route, environment, rollout)),
        None => Err(absent(tx, &target.route, &target.environment)?),
    }
}
