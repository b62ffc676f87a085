//! Environments: the first ones, and those that people add.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::{EnvironmentKind, Percent, RouteKey, Setting, Stage};

use crate::domain::environment::{Environment, EnvironmentKey, NewEnvironment};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::text::Reason;
use crate::service::route::lock_all_environments;
use crate::service::size::refuse_oversized;
use crate::service::{Answer, Ctx, Existing, Failure, Render, Services, epoch};
use crate::store::{RouteFilter, StoreError, Tx};

/// What is to be different about an environment; `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvironmentPatch {
    /// Its place in the order.
    pub position: Option<i32>,
    /// Whether real users depend on it.
    pub production: Option<bool>,
}

/// A new database gets an epoch and the four environments that nearly everybody has.
pub(super) fn found(tx: &mut Tx<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    if tx.epoch()?.is_none() {
        tx.begin_epoch(&new_epoch())?;
    }
    tx.begin_access_count()?;
    if !tx.environments()?.is_empty() {
        return Ok(());
    }
    let first = [
        ("dev", EnvironmentKind::Hosted, false),
        ("staging", EnvironmentKind::Hosted, false),
        ("production", EnvironmentKind::Hosted, true),
        ("on-prem", EnvironmentKind::OnPrem, false),
    ];
    for (position, (key, kind, production)) in (1..).zip(first) {
        tx.add_environment(&Environment {
            key: key
                .parse()
                .map_err(|error: &str| StoreError::Corrupt(error.to_owned()))?,
            kind,
            position,
            production,
            revision: 0,
            generation: 1,
            created_at: now,
        })?;
    }
    Ok(())
}

/// An epoch that no other database has.
#[must_use]
pub(crate) fn new_epoch() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    random.chars().take(16).collect()
}

impl Services {
    /// Begins an epoch: revisions from here on cannot be compared with those before. A database that
    /// was put back from a copy needs it, or SDKs would take what it says for older than what they
    /// have.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn begin_epoch(
        &self,
        ctx: &Ctx,
        reason: &Reason,
        render: Render<'_, String>,
    ) -> Result<Answer, Failure> {
        let answer = self.change(ctx, render, |work| {
            let before = epoch(work.tx)?;
            let after = new_epoch();
            work.tx.begin_epoch(&after)?;
            work.tx.leap_generations(work.now)?;
            let record = (json!({ "epoch": before }), json!({ "epoch": after }));
            work.record("new_epoch", None, None, reason.as_str(), record);
            Ok(after)
        })?;
        self.catch_up()?;
        Ok(answer)
    }

    /// Every environment, by position.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn environments(&self) -> Result<Vec<(Environment, String)>, Failure> {
        self.store.read(|tx| {
            let epoch = epoch(tx)?;
            let environments = tx.environments()?;
            Ok(environments
                .into_iter()
                .map(|environment| {
                    let tag = environment_tag(&epoch, &environment);
                    (environment, tag)
                })
                .collect())
        })
    }

    /// One environment, with its tag.
    ///
    /// # Errors
    /// When there is none.
    pub fn environment(&self, key: &EnvironmentKey) -> Result<(Environment, String), Failure> {
        self.store.read(|tx| {
            let found = tx
                .environment(key)?
                .ok_or_else(|| Failure::missing("environment", key))?;
            let tag = environment_tag(&epoch(tx)?, &found);
            Ok((found, tag))
        })
    }

    /// Adds an environment. Each route starts there at the latest stage that a later environment
    /// has reached, so that none of those is suddenly ahead; in front of real users, and while a
    /// change freeze is open, it is off until somebody sets it.
    ///
    /// # Errors
    /// When its key or position is taken.
    pub fn create_environment(
        &self,
        ctx: &Ctx,
        new: &NewEnvironment,
        render: Render<'_, (Environment, String)>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let existing = lock_all_environments(work)?;
            refuse_taken(&existing, new)?;
            let mut environment = Environment {
                key: new.key.clone(),
                kind: new.kind,
                position: new.position,
                production: new.production,
                revision: 0,
                generation: 1,
                created_at: work.now,
            };
            work.tx.add_environment(&environment).map_err(taken)?;
            environment.revision = work.revision(&environment.key)?;
            let freezes = work.tx.freezes(Some(work.now))?;
            let frozen = freezes
                .iter()
                .any(|freeze| freeze.covers(&new.key) && freeze.is_open(work.now));
            let rollouts: Vec<Rollout> = first_stages(work.tx, &existing, new)?
                .into_iter()
                .map(|(route, stage)| Rollout {
                    setting: first_setting(stage, &environment, frozen),
                    stage,
                    ..Rollout::new(route, environment.key.clone(), work.now)
                })
                .collect();
            work.tx.add_rollouts(&rollouts, environment.revision)?;
            let by = &work.ctx.actor.subject;
            work.tx.enter_stages(&rollouts, by)?;
            refuse_oversized(work.tx, &environment.key)?;
            let record = (Value::Null, described(&environment));
            let key = Some(&environment.key);
            work.record("environment_create", None, key, "created", record);
            let tag = environment_tag(&epoch(work.tx)?, &environment);
            Ok((environment, tag))
        })
    }

    /// Changes an environment.
    ///
    /// # Errors
    /// When there is none, it has changed, or the position is taken.
    pub fn patch_environment(
        &self,
        ctx: &Ctx,
        key: &EnvironmentKey,
        patch: EnvironmentPatch,
        reason: &Reason,
        render: Render<'_, (Environment, String)>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let all = lock_all_environments(work)?;
            let before = work.environment(key)?;
            let epoch = epoch(work.tx)?;
            let current = environment_tag(&epoch, &before);
            work.ctx.expect_tag(current.clone())?;
            let mut after = before.clone();
            after.position = patch.position.unwrap_or(after.position);
            after.production = patch.production.unwrap_or(after.production);
            if after.production && after.kind == EnvironmentKind::OnPrem {
                return Err(Failure::invalid("production", "is for hosted environments"));
            }
            if after == before {
                return Ok((before, current));
            }
            if after.is_guarded() && !before.is_guarded() {
                refuse_exposed(work.tx.rollouts_in(key)?, &after)?;
            }
            if after.position != before.position {
                refuse_overtaking(work.tx, &all, &before, &after)?;
            }
            after.generation += 1;
            work.tx
                .update_environment(&after, before.generation)
                .map_err(taken)?;
            let record = (described(&before), described(&after));
            work.record(
                "environment_change",
                None,
                Some(key),
                reason.as_str(),
                record,
            );
            let tag = environment_tag(&epoch, &after);
            Ok((after, tag))
        })
    }
}

/// The stage of every ready route in a new environment: retired ones are mandatory for ever, none is behind
/// a later environment, and none is behind one that requires it.
fn first_stages(
    tx: &mut Tx<'_>,
    existing: &[Environment],
    new: &NewEnvironment,
) -> Result<BTreeMap<RouteKey, Stage>, StoreError> {
    let mut stages = BTreeMap::new();
    let mut routes = tx.routes(&RouteFilter::default(), usize::MAX)?;
    routes.retain(Route::is_ready);
    for route in &routes {
        let stage = match route.retired_at {
            Some(_) => Stage::Mandatory,
            None => Stage::ReadyForTesting,
        };
        stages.insert(route.spec.key.clone(), stage);
    }
    for later in existing.iter().filter(|e| e.position > new.position) {
        for rollout in tx.rollouts_in(&later.key)? {
            if let Some(stage) = stages.get_mut(&rollout.route) {
                *stage = rollout.stage.max(*stage);
            }
        }
    }
    // Requirements form no circle, so this ends: each turn settles one link of the longest chain.
    loop {
        let mut settled = true;
        for route in &routes {
            let least = stages.get(&route.spec.key).copied();
            for required in &route.spec.requires {
                if let (Some(least), Some(stage)) = (least, stages.get_mut(required))
                    && *stage < least
                {
                    *stage = least;
                    settled = false;
                }
            }
        }
        if settled {
            return Ok(stages);
        }
    }
}

/// Nobody has judged these routes in front of the users of this environment, and nothing raises
/// exposure while a freeze is open.
fn first_setting(stage: Stage, environment: &Environment, frozen: bool) -> Setting {
    let exposes = match (stage, environment.kind) {
        (Stage::OptIn, EnvironmentKind::Hosted) | (Stage::OptOut, _) => true,
        (Stage::OptIn, EnvironmentKind::OnPrem)
        | (Stage::ReadyForTesting | Stage::Mandatory, _) => false,
    };
    if exposes && (environment.is_guarded() || frozen) {
        Setting::Off
    } else {
        Setting::StageDefault
    }
}

/// An environment that moves must not leave a route ahead of where it now comes later.
fn refuse_overtaking(
    tx: &mut Tx<'_>,
    all: &[Environment],
    before: &Environment,
    after: &Environment,
) -> Result<(), Failure> {
    let stages = |tx: &mut Tx<'_>, key: &EnvironmentKey| {
        let rollouts = tx.rollouts_in(key)?;
        let stages = rollouts
            .into_iter()
            .map(|rollout| (rollout.route, rollout.stage));
        Ok::<BTreeMap<RouteKey, Stage>, StoreError>(stages.collect())
    };
    let moved = stages(tx, &before.key)?;
    for other in all.iter().filter(|other| other.key != before.key) {
        let was_earlier = other.position < before.position;
        let is_earlier = other.position < after.position;
        if was_earlier == is_earlier {
            continue;
        }
        let there = stages(tx, &other.key)?;
        let (earlier, later) = if is_earlier {
            (&there, &moved)
        } else {
            (&moved, &there)
        };
        let ahead: Vec<&str> = later
            .iter()
            .filter(|(route, stage)| earlier.get(route.as_str()).is_some_and(|e| e < stage))
            .map(|(route, _)| route.as_str())
            .take(10)
            .collect();
        if !ahead.is_empty() {
            return Err(Failure::Conflict(format!(
                "{} and {} would change places, and these routes would be ahead in the later one: \
                 {}; bring them level first",
                before.key,
                other.key,
                ahead.join(", ")
            )));
        }
    }
    Ok(())
}

/// Exposure has one door, and becoming production is not another. An open window counts as what it
/// leaves behind.
fn refuse_exposed(rollouts: Vec<Rollout>, environment: &Environment) -> Result<(), Failure> {
    let exposed: Vec<String> = rollouts
        .into_iter()
        .filter(|rollout| rollout.stage == Stage::ReadyForTesting)
        .filter(|rollout| {
            let exposure = rollout.exposure(environment.kind);
            exposure.share > Percent::ZERO || !exposure.include.is_empty()
        })
        .map(|rollout| rollout.route.to_string())
        .collect();
    if exposed.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "before opt_in nothing takes the new path in production, but in {} these do: {}; close their \
         acceptance windows, set them to stage_default without included keys, or halt them, first",
        environment.key,
        exposed.join(", ")
    )))
}

fn refuse_taken(existing: &[Environment], new: &NewEnvironment) -> Result<(), Failure> {
    if existing.iter().any(|other| other.key == new.key) {
        return Err(Failure::Exists(Existing {
            field: "key",
            detail: format!(
                "there is an environment `{}` already: pass another `key`",
                new.key
            ),
        }));
    }
    if let Some(other) = existing.iter().find(|other| other.position == new.position) {
        return Err(Failure::Exists(Existing {
            field: "position",
            detail: format!(
                "position {} is that of `{}`: pass another `position`",
                new.position, other.key
            ),
        }));
    }
    Ok(())
}

fn taken(error: StoreError) -> Failure {
    match error {
        StoreError::Duplicate => Failure::Exists(Existing {
            field: "position",
            detail: "key or position is taken by another environment: pass another".to_owned(),
        }),
        other => Failure::Store(other),
    }
}

/// Covers all that is shown of it, so that nobody is told of an old revision that it is the present
/// one.
fn environment_tag(epoch: &str, environment: &Environment) -> String {
    let Environment {
        generation,
        revision,
        ..
    } = environment;
    format!("\"{epoch}.{generation}.{revision}\"")
}

fn described(environment: &Environment) -> Value {
    json!({
        "key": environment.key,
        "kind": environment.kind,
        "position": environment.position,
        "production": environment.production,
    })
}
