//! Policies: written, read, deleted.

use serde_json::{Value, json};

use crate::domain::policy::{Policy, PolicyName};
use crate::domain::text::Reason;
use crate::service::route::lock_all_environments;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::StoredPolicy;

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
        self.change(ctx, render, |work| {
            // Promotions hold their environment: none is judged by the old version after this.
            lock_all_environments(work)?;
            let before = work.tx.policy(&policy.name, None)?;
            let by = work.ctx.actor.subject.clone();
            if let Some(same) = before.as_ref().filter(|before| before.policy == policy) {
                return Ok(same.clone());
            }
            let version = work.tx.add_policy(&policy, &by, work.now)?;
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

fn refuse_built_in(name: &PolicyName) -> Result<(), Failure> {
    if Policy::built_in().iter().any(|own| own.name == *name) {
        return Err(Failure::Conflict(format!(
            "the policy {name} comes with the product and stays as it is: write one of your own \
             under another name"
        )));
    }
    Ok(())
}
