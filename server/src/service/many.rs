//! Many rollouts of an environment at once: halted, and resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use switchover::{RouteKey, Stage, Version};

use crate::domain::environment::EnvironmentKey;
use crate::domain::lifecycle::Command;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::text::Reason;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::RouteFilter;

/// Which rollouts. With no route, owner or label named, all of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaltSelection {
    /// Only routes of this owner.
    pub owner: Option<String>,
    /// Only routes with this label: `name` or `name=value`.
    pub label: Option<String>,
    /// Only these routes.
    pub routes: Vec<RouteKey>,
}

/// What a halt or resume of many did.
#[derive(Clone, Debug)]
pub struct Switched {
    /// Where.
    pub environment: EnvironmentKey,
    /// The rollouts that changed.
    pub changed: Vec<RouteKey>,
    /// Those whose keys move between two stores, so that it is announced first.
    pub announced: Vec<RouteKey>,
    /// Those that were so already.
    pub already: Vec<RouteKey>,
    /// Those that it has no effect on.
    pub mandatory: Vec<RouteKey>,
    /// Those that the rules do not let change, and why.
    pub refused: Vec<(RouteKey, Refusal)>,
    /// The environment's version with it.
    pub version: Version,
}

impl Services {
    /// Halts every rollout of an environment that the selection names, in one step.
    ///
    /// # Errors
    /// When there is no such environment, or the selection names no route.
    pub fn halt_many(
        &self,
        ctx: &Ctx,
        environment: &EnvironmentKey,
        selection: &HaltSelection,
        reason: &Reason,
        render: Render<'_, Switched>,
    ) -> Result<Answer, Failure> {
        self.insist(ctx, render, |work| {
            switch(work, environment, selection, (&Command::Halt, reason))
        })
    }

    /// Resumes every halted rollout of an environment that the selection names, in one step. What
    /// the rules do not let resume stays halted, and is named.
    ///
    /// # Errors
    /// When there is no such environment, or the selection names no route.
    pub fn resume_many(
        &self,
        ctx: &Ctx,
        environment: &EnvironmentKey,
        selection: &HaltSelection,
        reason: &Reason,
        render: Render<'_, Switched>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            switch(work, environment, selection, (&Command::Resume, reason))
        })
    }
}

fn switch(
    work: &mut Work<'_, '_>,
    environment: &EnvironmentKey,
    selection: &HaltSelection,
    (command, reason): (&Command, &Reason),
) -> Result<Switched, Failure> {
    let environment = work.environment(environment)?;
    let routes = selected(work, selection)?;
    let keys: BTreeSet<RouteKey> = routes.iter().map(|route| route.spec.key.clone()).collect();
    work.lock(&keys, &environment.key)?;
    let here = work.tx.rollouts_in(&environment.key)?;
    let mut rollouts: BTreeMap<RouteKey, Rollout> = here
        .into_iter()
        .map(|rollout| (rollout.route.clone(), rollout))
        .collect();
    let mut done = Switched {
        environment: environment.key.clone(),
        changed: Vec::new(),
        announced: Vec::new(),
        already: Vec::new(),
        mandatory: Vec::new(),
        refused: Vec::new(),
        version: work.version(&environment.key)?,
    };
    for route in routes {
        let key = route.spec.key.clone();
        let Some(rollout) = rollouts.remove(&key) else {
            continue;
        };
        if rollout.stage == Stage::Mandatory {
            done.mandatory.push(key);
            continue;
        }
        match work.run_on(rollout, &route, &environment, (command, reason.as_str())) {
            Ok((before, after)) if before == after => done.already.push(key),
            Ok((_, after)) if after.data.hold.is_some() => done.announced.push(key),
            Ok(_) => done.changed.push(key),
            Err(Failure::Refused(refusal)) => done.refused.push((key, refusal)),
            Err(other) => return Err(other),
        }
    }
    done.version = work.version(&environment.key)?;
    Ok(done)
}

fn selected(work: &mut Work<'_, '_>, selection: &HaltSelection) -> Result<Vec<Route>, Failure> {
    let mut routes = if selection.routes.is_empty() {
        work.tx.routes(&RouteFilter::default(), usize::MAX)?
    } else {
        let named: BTreeSet<&RouteKey> = selection.routes.iter().collect();
        named
            .into_iter()
            .map(|key| work.route(key))
            .collect::<Result<_, _>>()?
    };
    let labelled = |route: &Route, label: &str| match label.split_once('=') {
        Some((name, value)) => route.spec.labels.get(name).is_some_and(|is| is == value),
        None => route.spec.labels.contains_key(label),
    };
    routes.retain(|route| {
        selection
            .owner
            .as_ref()
            .is_none_or(|owner| route.spec.owner == *owner)
            && selection
                .label
                .as_ref()
                .is_none_or(|label| labelled(route, label))
    });
    if routes.is_empty() && *selection != HaltSelection::default() {
        return Err(Failure::missing("route in the selection", selection));
    }
    // Those that are not ready take the old path as it is.
    routes.retain(Route::is_ready);
    Ok(routes)
}

impl fmt::Display for HaltSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<&str> = self.routes.iter().map(RouteKey::as_str).collect();
        let parts = [
            self.owner.as_ref().map(|owner| format!("owner {owner}")),
            self.label.as_ref().map(|label| format!("label {label}")),
            (!routes.is_empty()).then(|| format!("routes {}", routes.join(" "))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}
