//! Environments: the first ones, and those that people add.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::{EnvironmentKind, Percent, Setting, Stage};

use crate::domain::environment::{Environment, EnvironmentKey, NewEnvironment};
use crate::domain::exposure::Cohort;
use crate::domain::rollout::Rollout;
use crate::domain::text::Reason;
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

    /// Adds an environment. Each route starts there at the latest stage that a later environment
    /// has reached, so that none of those is suddenly ahead.
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
            let existing = work.tx.environments()?;
            for other in &existing {
                work.tx.lock_environment(&other.key)?;
            }
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
            for route in work.tx.routes(&RouteFilter::default(), usize::MAX)? {
                let key = route.spec.key;
                let stage = work
                    .tx
                    .rollouts_of(&[key.as_str()])?
                    .iter()
                    .filter(|rollout| {
                        let there = existing.iter().find(|e| e.key == rollout.environment);
                        there.is_some_and(|there| there.position > new.position)
                    })
                    .map(|rollout| rollout.stage)
                    .max()
                    .unwrap_or(Stage::ReadyForTesting);
                let stage = if route.retired_at.is_some() {
                    Stage::Mandatory
                } else {
                    stage
                };
                let rollout = Rollout {
                    route: key,
                    environment: environment.key.clone(),
                    stage,
                    stage_since: work.now,
                    setting: Setting::StageDefault,
                    include: Cohort::new(),
                    exclude: Cohort::new(),
                    halt: None,
                    acceptance: None,
                    revision: 1,
                    changed_at: work.now,
                };
                work.tx.add_rollout(&rollout, environment.revision)?;
            }
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
            work.tx.lock_environment(key)?;
            let before = work.environment(key)?;
            let epoch = epoch(work.tx)?;
            let current = environment_tag(&epoch, &before);
            if work
                .ctx
                .if_match
                .as_ref()
                .is_some_and(|tag| *tag != current)
            {
                return Err(Failure::Precondition { current });
            }
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

/// Exposure has one door, and becoming production is not another.
fn refuse_exposed(rollouts: Vec<Rollout>, environment: &Environment) -> Result<(), Failure> {
    let exposed: Vec<String> = rollouts
        .into_iter()
        .filter(|rollout| rollout.stage == Stage::ReadyForTesting && rollout.acceptance.is_none())
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
        "before opt_in nothing takes the new path in production, but in {} these do: {}; set them \
         to stage_default without included keys, or halt them, first",
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

fn environment_tag(epoch: &str, environment: &Environment) -> String {
    format!("\"{epoch}.{}\"", environment.generation)
}

fn described(environment: &Environment) -> Value {
    json!({
        "key": environment.key,
        "kind": environment.kind,
        "position": environment.position,
        "production": environment.production,
    })
}
