//! Cohorts with a name: made, edited with everything that uses them, deleted; and used.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use switchover::RouteKey;

use crate::domain::cohort::{Name, NamedCohort, Side, Uses, overlap, warnings, without_keys};
use crate::domain::environment::EnvironmentKey;
use crate::domain::exposure::{Cohort, LARGEST_COHORT};
use crate::domain::lifecycle::Command;
use crate::domain::loss::LossRisk;
use crate::domain::rollout::Rollout;
use crate::domain::text::Reason;
use crate::service::loss::judged;
use crate::service::ramp::outlook;
use crate::service::rollout::{expect_tag, load};
use crate::service::size::refuse_oversized;
use crate::service::work::Work;
use crate::service::{Answer, Changed, Ctx, Existing, Failure, Render, Services, Target};
use crate::store::StoreError;

/// The most cohorts: each change of one reads what uses it.
const MOST_COHORTS: usize = 1_000;

/// A cohort to be.
#[derive(Clone, Debug)]
pub struct NewCohort {
    /// Its name.
    pub name: Name,
    /// Its keys.
    pub keys: Cohort,
    /// What it is for.
    pub description: String,
}

/// What changes of a cohort.
#[derive(Clone, Debug)]
pub struct CohortPatch {
    /// Its keys from now on.
    pub keys: Cohort,
    /// What it is for; as it was when nothing is said.
    pub description: Option<String>,
}

/// A cohort, and who uses it.
#[derive(Clone, Debug)]
pub struct CohortView {
    /// The cohort.
    pub cohort: NamedCohort,
    /// The rollouts that use it.
    pub used_by: Vec<Target>,
    /// What somebody may not have meant.
    pub warnings: Vec<String>,
}

impl Services {
    /// Makes a cohort.
    ///
    /// # Errors
    /// When the name is taken, or there are too many.
    pub fn create_cohort(
        &self,
        ctx: &Ctx,
        new: &NewCohort,
        reason: &Reason,
        render: Render<'_, CohortView>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            if work.tx.cohorts()?.len() >= MOST_COHORTS {
                let detail = format!("there are {MOST_COHORTS} cohorts: delete some first");
                return Err(Failure::Conflict(detail));
            }
            let cohort = NamedCohort {
                name: new.name.clone(),
                keys: new.keys.clone(),
                description: new.description.clone(),
                revision: 1,
                changed_at: work.now,
            };
            work.tx.add_cohort(&cohort).map_err(|error| match error {
                StoreError::Duplicate => Failure::Exists(Existing {
                    field: "name",
                    detail: format!("there is a cohort `{}`: pass another name", new.name),
                }),
                other => Failure::Store(other),
            })?;
            let record = (Value::Null, json!(cohort));
            work.record("cohort_create", None, None, reason.as_str(), record);
            Ok(view(cohort, Vec::new()))
        })
    }

    /// Every cohort with who uses it, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn cohorts(&self) -> Result<Vec<CohortView>, Failure> {
        self.store.read(|tx| {
            let cohorts = tx.cohorts()?;
            let viewed = cohorts.into_iter().map(|cohort| {
                let users = tx.users_of_cohort(&cohort.name)?;
                Ok(view(cohort, users))
            });
            viewed.collect()
        })
    }

    /// One cohort with who uses it.
    ///
    /// # Errors
    /// When there is none.
    pub fn cohort(&self, name: &Name) -> Result<CohortView, Failure> {
        self.store.read(|tx| {
            let found = tx.cohort(name)?;
            let cohort = found.ok_or_else(|| Failure::missing("cohort", name))?;
            let users = tx.users_of_cohort(name)?;
            Ok(view(cohort, users))
        })
    }

    /// Gives a cohort other keys. Whatever uses it is published anew, in the same transaction, and
    /// each of them passes the door; when one may not, none changes.
    ///
    /// # Errors
    /// When there is none, it has changed, or the rules do not allow it somewhere.
    pub fn put_cohort(
        &self,
        ctx: &Ctx,
        name: &Name,
        patch: &CohortPatch,
        reason: &Reason,
        render: Render<'_, CohortView>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = locked(work, name)?;
            let mut after = before.clone();
            after.keys = patch.keys.clone();
            if let Some(description) = &patch.description {
                after.description.clone_from(description);
            }
            if after == before {
                let users = work.tx.users_of_cohort(name)?;
                return Ok(view(before, users));
            }
            let users = work.tx.users_of_cohort(name)?;
            lock_all(work, &users)?;
            after.revision += 1;
            after.changed_at = work.now;
            work.tx.put_cohort(&after)?;
            let record = (json!(before), json!(after));
            work.record("cohort_edit", None, None, reason.as_str(), record);
            let mut users_now = Vec::new();
            if after.keys == before.keys {
                users_now = users;
            } else {
                let cohorts = work.tx.cohorts()?;
                for user in users {
                    users_now.push(refresh(work, &user, &cohorts, reason)?);
                }
            }
            let places: BTreeSet<EnvironmentKey> = users_now
                .iter()
                .map(|user| user.environment.clone())
                .collect();
            for environment in &places {
                refuse_oversized(work.tx, environment)?;
            }
            Ok(view(after, users_now))
        })
    }

    /// Deletes a cohort that nothing uses.
    ///
    /// # Errors
    /// When there is none, it has changed, or something uses it.
    pub fn delete_cohort(
        &self,
        ctx: &Ctx,
        name: &Name,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = locked(work, name)?;
            let users = work.tx.users_of_cohort(name)?;
            if !users.is_empty() {
                let named = users.iter().take(10);
                let named: Vec<String> = named
                    .map(|user| format!("{} in {}", user.route, user.environment))
                    .collect();
                let more = users.len() - named.len();
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                return Err(Failure::Conflict(format!(
                    "cohort `{name}` is used by {}{more}: have them use another first (switchover \
                     cohorts ROUTE ENV …)",
                    named.join(", ")
                )));
            }
            work.tx.remove_cohort(name)?;
            let record = (json!(before), Value::Null);
            work.record("cohort_delete", None, None, reason.as_str(), record);
            Ok(())
        })
    }

    /// Names the keys that a rollout treats apart, with cohorts among them.
    ///
    /// # Errors
    /// When there is no such rollout or cohort, it has changed, or the rules do not allow it.
    pub fn use_cohorts(
        &self,
        ctx: &Ctx,
        target: &Target,
        uses: &Uses,
        reason: &Reason,
        render: Render<'_, Changed>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| apply_uses(work, target, uses, reason))
    }
}

/// Names the keys that are treated apart, in the transaction of `work`.
pub(super) fn apply_uses(
    work: &mut Work<'_, '_>,
    target: &Target,
    uses: &Uses,
    reason: &Reason,
) -> Result<Changed, Failure> {
    let names = uses.cohorts();
    let cohorts = work.tx.lock_cohorts(&names)?;
    work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
    expect_tag(work, target)?;
    let (route, environment, rollout) = load(work.tx, target)?;
    let known = |name: &&Name| cohorts.iter().any(|cohort| cohort.name == **name);
    for (field, side) in [
        ("include_cohorts", &uses.include),
        ("exclude_cohorts", &uses.exclude),
    ] {
        if let Some(name) = side.cohorts.iter().find(|name| !known(name)) {
            let detail = format!("there is no cohort `{name}`");
            return Err(Failure::invalid(field, detail));
        }
    }
    let (include, exclude) = (
        uses.include.expanded(&cohorts),
        uses.exclude.expanded(&cohorts),
    );
    for (field, keys) in [("include", &include), ("exclude", &exclude)] {
        if keys.len() > LARGEST_COHORT {
            let detail = format!("has at most {LARGEST_COHORT} keys, those of cohorts included");
            return Err(Failure::invalid(field, detail));
        }
    }
    let command = Command::UseCohorts {
        uses: uses.clone(),
        include,
        exclude,
    };
    let told = (&command, reason.as_str());
    let (before, after) = work.run_on(rollout, &route, &environment, told)?;
    refuse_oversized(work.tx, &environment.key)?;
    let telemetry = std::sync::Arc::clone(&work.shared.telemetry);
    let (gap, _) = judged(work.tx, &telemetry, (&route, &after), work.now)?;
    Ok(Changed {
        risk: LossRisk::of(&after, &route, environment.kind, &gap),
        action: if is_held(&before, &after) {
            "flip_hold"
        } else {
            command.action()
        },
        warnings: warnings(&after, &cohorts),
        outlook: outlook(
            work.tx,
            &mut work.shared,
            (&route, &environment),
            &after,
            work.now,
        )?,
        before,
        after,
        version: work.version(&environment.key)?,
        environment,
        by: work.ctx.actor.clone(),
        at: work.now,
        reason: reason.to_string(),
        cascaded: Vec::new(),
    })
}

/// The tag of a cohort's present state.
#[must_use]
pub fn cohort_tag(cohort: &NamedCohort) -> String {
    format!("\"{}.{}\"", cohort.name, cohort.revision)
}

fn locked(work: &mut Work<'_, '_>, name: &Name) -> Result<NamedCohort, Failure> {
    let mut found = work.tx.lock_cohorts(&BTreeSet::from([name.clone()]))?;
    let cohort = found.pop();
    work.ctx.expect_tag_of(cohort.as_ref().map(cohort_tag))?;
    work.refresh();
    cohort.ok_or_else(|| Failure::missing("cohort", name))
}

/// Rollouts by route and environment, then environments: the order in which everybody locks.
fn lock_all(work: &mut Work<'_, '_>, users: &[Rollout]) -> Result<(), Failure> {
    for user in users {
        work.tx.lock_rollout(&user.route, &user.environment, None)?;
    }
    let places: BTreeSet<&EnvironmentKey> = users.iter().map(|user| &user.environment).collect();
    for environment in places {
        work.tx.lock_environment(environment)?;
    }
    work.refresh();
    Ok(())
}

/// A rollout with its cohorts expanded anew.
fn refresh(
    work: &mut Work<'_, '_>,
    user: &Rollout,
    cohorts: &[NamedCohort],
    reason: &Reason,
) -> Result<Rollout, Failure> {
    let target = Target {
        route: user.route.clone(),
        environment: user.environment.clone(),
    };
    let (route, environment, rollout) = load(work.tx, &target)?;
    let side = |side: &Side, keys: &Cohort| {
        if side.cohorts.is_empty() {
            keys.clone()
        } else {
            side.expanded(cohorts)
        }
    };
    let include = side(&rollout.uses.include, &rollout.include);
    let exclude = side(&rollout.uses.exclude, &rollout.exclude);
    if include.len().max(exclude.len()) > LARGEST_COHORT {
        return Err(too_large(&route.spec.key, &environment.key));
    }
    let command = Command::UseCohorts {
        uses: rollout.uses.clone(),
        include,
        exclude,
    };
    let told = (&command, reason.as_str());
    let (before, after) = work.run_on(rollout, &route, &environment, told)?;
    if is_held(&before, &after) {
        return Err(Failure::Conflict(format!(
            "keys of `{0}` would move between its two stores in {1}, which is announced first and done \
             by itself: put the keys into another cohort, and have {0} use that one there \
             (switchover cohorts {0} {1} …)",
            route.spec.key, environment.key
        )));
    }
    Ok(after)
}

fn is_held(before: &Rollout, after: &Rollout) -> bool {
    before.data.hold.is_none() && after.data.hold.is_some()
}

fn too_large(route: &RouteKey, environment: &EnvironmentKey) -> Failure {
    Failure::Conflict(format!(
        "`{route}` would treat more than {LARGEST_COHORT} keys apart in {environment}"
    ))
}

fn view(cohort: NamedCohort, users: Vec<Rollout>) -> CohortView {
    let mut warnings = Vec::new();
    if cohort.keys.is_empty() {
        warnings.push(without_keys(&cohort.name));
    }
    for user in &users {
        if let Some(told) = overlap(&user.include, &user.exclude) {
            let (route, environment) = (&user.route, &user.environment);
            warnings.push(format!("{route} in {environment}: {told}"));
        }
    }
    let used_by = users.into_iter().map(|user| Target {
        route: user.route,
        environment: user.environment,
    });
    CohortView {
        cohort,
        used_by: used_by.collect(),
        warnings,
    }
}
