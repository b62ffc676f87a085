//! Change freezes: opened and closed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::domain::environment::EnvironmentKey;
use crate::domain::freeze::Freeze;
use crate::domain::text::Reason;
use crate::service::route::lock_all_environments;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// The most freezes that are open or still to come: every change reads them.
const MOST_FREEZES: usize = 100;

/// A freeze as somebody wants it.
#[derive(Clone, Debug)]
pub struct NewFreeze {
    /// Where; everywhere when empty.
    pub environments: BTreeSet<EnvironmentKey>,
    /// When it begins; now when nothing is said.
    pub from: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Reason,
}

impl Services {
    /// Opens a change freeze, now or later: nothing raises exposure while it is open.
    ///
    /// # Errors
    /// When an environment does not exist, or it would have ended before it began.
    pub fn open_freeze(
        &self,
        ctx: &Ctx,
        new: &NewFreeze,
        render: Render<'_, Freeze>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let from = new.from.unwrap_or(work.now).max(work.now);
            if new.until.is_some_and(|until| until <= from) {
                return Err(Failure::invalid(
                    "until",
                    "must be later than its beginning",
                ));
            }
            lock(work, &new.environments)?;
            if work.tx.freezes(Some(work.now))?.len() >= MOST_FREEZES {
                return Err(Failure::Conflict(format!(
                    "{MOST_FREEZES} freezes are open or still to come: close some first \
                     (switchover freeze list)"
                )));
            }
            let freeze = Freeze {
                id: uuid::Uuid::now_v7().to_string(),
                environments: new.environments.clone(),
                from,
                until: new.until,
                reason: new.reason.to_string(),
                opened_by: work.ctx.actor.subject.clone(),
                opened_at: work.now,
                closed_at: None,
            };
            work.tx.add_freeze(&freeze)?;
            let record = (serde_json::Value::Null, json!(freeze));
            work.record("freeze_open", None, None, new.reason.as_str(), record);
            Ok(freeze)
        })
    }

    /// Closes a change freeze before its end. Closing it again changes nothing.
    ///
    /// # Errors
    /// When there is none.
    pub fn close_freeze(
        &self,
        ctx: &Ctx,
        id: &str,
        reason: &Reason,
        render: Render<'_, Freeze>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let found = work.tx.freeze(id)?;
            let found = found.ok_or_else(|| Failure::missing("freeze", id))?;
            lock(work, &found.environments)?;
            // It may have been closed while this waited.
            let before = work.tx.freeze(id)?.unwrap_or(found);
            if before.closed_at.is_some() {
                return Ok(before);
            }
            work.tx.close_freeze(id, work.now)?;
            let mut after = before.clone();
            after.closed_at = Some(work.now);
            let record = (json!(before), json!(after));
            work.record("freeze_close", None, None, reason.as_str(), record);
            Ok(after)
        })
    }

    /// Every freeze, newest first, or only those that are open or still to come.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn freezes(&self, past_ones: bool) -> Result<Vec<(Freeze, bool)>, Failure> {
        let now = self.now();
        let asked = (!past_ones).then_some(now);
        let found = self.store.read(|tx| Ok::<_, Failure>(tx.freezes(asked)?))?;
        Ok(found
            .into_iter()
            .map(|freeze| {
                let open = freeze.is_open(now);
                (freeze, open)
            })
            .collect())
    }
}

/// Waits for the promotions that are under way where the freeze applies.
fn lock(work: &mut Work<'_, '_>, environments: &BTreeSet<EnvironmentKey>) -> Result<(), Failure> {
    for key in environments {
        work.environment(key).map_err(|failure| match failure {
            Failure::Missing(_) => {
                Failure::invalid("environments", format!("there is no environment `{key}`"))
            }
            other => other,
        })?;
    }
    if environments.is_empty() {
        lock_all_environments(work)?;
    }
    // A set is by key, as everybody locks them.
    for environment in environments {
        work.tx.lock_environment(environment)?;
    }
    Ok(())
}
