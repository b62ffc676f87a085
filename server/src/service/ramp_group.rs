//! Ramp groups: what their keys are, so that all callers pass the same.

use serde_json::{Value, json};

use crate::domain::cohort::{Name, RampGroup};
use crate::domain::text::Reason;
use crate::service::{Answer, Ctx, Failure, Render, Services};

impl Services {
    /// States what the keys of a ramp group are.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_ramp_group(
        &self,
        ctx: &Ctx,
        group: &RampGroup,
        reason: &Reason,
        render: Render<'_, RampGroup>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let mut groups = work.tx.ramp_groups()?.into_iter();
            let before = groups.find(|other| other.name == group.name);
            if before.as_ref() == Some(group) {
                return Ok(group.clone());
            }
            work.tx.put_ramp_group(group)?;
            let record = (json!(before), json!(group));
            work.record("ramp_group", None, None, reason.as_str(), record);
            Ok(group.clone())
        })
    }

    /// Every ramp group that states what its keys are, with its routes, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ramp_groups(&self) -> Result<Vec<(RampGroup, Vec<String>)>, Failure> {
        self.store.read(|tx| {
            let groups = tx.ramp_groups()?.into_iter().map(|group| {
                let routes = tx.routes_of_ramp_group(group.name.as_str())?;
                Ok((group, routes))
            });
            groups.collect()
        })
    }

    /// Deletes what a ramp group that no route is in states.
    ///
    /// # Errors
    /// When there is none, or a route is in it.
    pub fn delete_ramp_group(
        &self,
        ctx: &Ctx,
        name: &Name,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let mut groups = work.tx.ramp_groups()?.into_iter();
            let before = groups.find(|group| group.name == *name);
            let before = before.ok_or_else(|| Failure::missing("ramp group", name))?;
            let routes = work.tx.routes_of_ramp_group(name.as_str())?;
            if !routes.is_empty() {
                return Err(Failure::Conflict(format!(
                    "ramp group `{name}` has routes: {}",
                    routes.join(", ")
                )));
            }
            work.tx.remove_ramp_group(name)?;
            let record = (json!(before), Value::Null);
            work.record("ramp_group_delete", None, None, reason.as_str(), record);
            Ok(())
        })
    }
}
