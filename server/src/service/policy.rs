//! Policies: written, read, deleted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::environment::Environment;
use crate::domain::policy::{Numbers, Policy, PolicyName};
use crate::domain::text::Reason;
use crate::service::route::lock_all_environments;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{RouteFilter, StoreError, StoredPolicy};

impl Services {
    /// Writes a policy, or the next version of it: at once in force for every route that has it.
    ///
    /// # Errors
    /// When it comes with the product, or its document is not valid.
    pub fn write_policy(
        &self,
        ctx: &Ctx,
        document: &[u8],
        reason: &Reason,
        render: Render<'_, StoredPolicy>,
    ) -> Result<Answer, Failure> {
        let policy = Policy::parse(document).map_err(Failure::Invalid)?;
        refuse_built_in(&policy.name)?;
        self.insist(ctx, render, |work| {
            let locked = work.tx.lock_rollouts_under(&policy.name)?;
            // Promotions hold their environment: none is judged by the old version after this.
            let environments = lock_all_environments(work)?;
            work.refresh();
            let before = work.tx.policy(&policy.name, None)?;
            let by = work.ctx.actor.subject.clone();
            if let Some(same) = before.as_ref().filter(|before| before.policy == policy) {
                return Ok(same.clone());
            }
            let version = work.tx.add_policy(&policy, &by, work.now)?;
            if let Some(before) = &before {
                republish(work, &environments, (&before.policy, &policy), &locked)?;
            }
            let relaxes = before
                .as_ref()
                .is_some_and(|before| policy.is_laxer_than(&before.policy));
            let described = |policy: &Policy, version: u32| {
                json!({ "name": policy.name, "version": version, "document": policy })
            };
            let record = (
                before.map_or(Value::Null, |before| {
                    described(&before.policy, before.version)
                }),
                described(&policy, version),
            );
            // Taking gates away is shown in red, whichever way it is done.
            let action = if relaxes {
                "break_glass_policy"
            } else {
                "policy"
            };
            work.record(action, None, None, reason.as_str(), record);
            Ok(StoredPolicy {
                policy: policy.clone(),
                version,
                created_by: Some(by),
                created_at: Some(work.now),
            })
        })
    }

    /// Deletes a policy that no route has.
    ///
    /// # Errors
    /// When there is none, it comes with the product, or a route has it.
    pub fn delete_policy(
        &self,
        ctx: &Ctx,
        name: &PolicyName,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        refuse_built_in(name)?;
        self.change(ctx, render, |work| {
            lock_all_environments(work)?;
            let found = work.tx.policy(name, None)?;
            let found = found.ok_or_else(|| Failure::missing("policy", name))?;
            let routes = work.tx.routes_with_policy(name)?;
            if let Some(first) = routes.first() {
                return Err(Failure::Conflict(format!(
                    "{} routes have the policy {name}, such as `{first}`: give them another first",
                    routes.len()
                )));
            }
            work.tx.delete_policy(name, work.now)?;
            let before = json!({ "name": name, "version": found.version });
            let record = (before, Value::Null);
            work.record("policy_delete", None, None, reason.as_str(), record);
            Ok(())
        })
    }

    /// Every policy, by name, in its newest version.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn policies(&self) -> Result<Vec<StoredPolicy>, Failure> {
        self.store.read(|tx| Ok(tx.policies()?))
    }

    /// One policy, in its newest version or the one asked for.
    ///
    /// # Errors
    /// When there is none.
    pub fn policy(&self, name: &PolicyName, version: Option<u32>) -> Result<StoredPolicy, Failure> {
        self.store.read(|tx| {
            tx.policy(name, version)?.ok_or_else(|| match version {
                Some(version) => Failure::missing("policy", format!("{name} in version {version}")),
                None => Failure::missing("policy", name),
            })
        })
    }
}

/// Publishes anew every rollout that is watched by other limits than before.
fn republish(
    work: &mut Work<'_, '_>,
    environments: &[Environment],
    (before, after): (&Policy, &Policy),
    locked: &BTreeSet<String>,
) -> Result<(), Failure> {
    let filter = RouteFilter {
        policy: Some(after.name.to_string()),
        ..RouteFilter::default()
    };
    let mut changed = Vec::new();
    for route in work.tx.routes(&filter, usize::MAX)? {
        let (key, numbers) = (route.spec.key.to_string(), &route.spec.policy_numbers);
        if !locked.contains(&key) {
            // It was given the policy while this waited, and holds what this would wait for.
            return Err(Failure::Store(StoreError::Busy));
        }
        if route.is_ready() && is_watched_otherwise(before, numbers, after, numbers) {
            changed.push(key);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
    for environment in environments {
        let revision = work.revision(&environment.key)?;
        work.tx.publish_anew(&changed, &environment.key, revision)?;
    }
    Ok(())
}

/// Whether guards, or what callers count for them, are others.
pub(super) fn is_watched_otherwise(
    before: &Policy,
    had: &Numbers,
    after: &Policy,
    has: &Numbers,
) -> bool {
    let (before, after) = (before.with_numbers(had), after.with_numbers(has));
    before.guards != after.guards || before.watch() != after.watch()
}

fn refuse_built_in(name: &PolicyName) -> Result<(), Failure> {
    if Policy::built_in().iter().any(|own| own.name == *name) {
        return Err(Failure::Conflict(format!(
            "the policy {name} comes with the product and stays as it is: write one of your own \
             under another name"
        )));
    }
    Ok(())
}
