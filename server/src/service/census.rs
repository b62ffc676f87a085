//! Censuses: imported, listed, deleted.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::census::{Census, MOST_SITES, SiteName, check, replaces};
use crate::domain::environment::EnvironmentKey;
use crate::domain::text::Reason;
use crate::service::{Answer, Ctx, Failure, Render, Services};

impl Services {
    /// Puts a site's census on record. Importing the same again changes nothing.
    ///
    /// # Errors
    /// When there is no such environment, it cannot be, or a later one is on record.
    pub fn import_census(
        &self,
        ctx: &Ctx,
        census: impl Fn(&str, DateTime<Utc>) -> Census,
        reason: &Reason,
        render: Render<'_, Census>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let census = census(&work.ctx.actor.subject, work.now);
            check(&census).map_err(|(field, detail)| Failure::invalid(field, detail))?;
            let key = &census.environment;
            work.environment(key)?;
            work.tx.lock_environment(key)?;
            let before = work.tx.census(key, &census.site)?;
            if let Some(before) = &before {
                if !replaces(&census, before).map_err(Failure::Conflict)? {
                    return Ok(before.clone());
                }
            } else if work.tx.census_count(key)? >= MOST_SITES {
                return Err(Failure::Conflict(format!(
                    "{key} has censuses of {MOST_SITES} sites: delete those of sites that are gone"
                )));
            }
            work.tx.put_census(&census)?;
            let before = before.as_ref().map_or(Value::Null, described);
            let record = (before, described(&census));
            work.record("census_import", None, Some(key), reason.as_str(), record);
            Ok(census)
        })
    }

    /// Forgets a site's census: it is gone, or was somebody's mistake.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_census(
        &self,
        ctx: &Ctx,
        (key, site): (&EnvironmentKey, &SiteName),
        reason: &str,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            work.tx.lock_environment(key)?;
            let before = work.tx.census(key, site)?;
            let before = before.ok_or_else(|| Failure::missing("census of a site", site))?;
            work.tx.remove_census(key, site)?;
            let record = (described(&before), Value::Null);
            work.record("census_delete", None, Some(key), reason, record);
            Ok(())
        })
    }

    /// The latest census of each site, by environment and site: those after the place of another, at
    /// most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn censuses(
        &self,
        environment: Option<&EnvironmentKey>,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<Census>, Failure> {
        Ok(self
            .store
            .read(|tx| tx.censuses_after(environment, after, limit))?)
    }
}

/// What is on record for ever names the variables that keep a route back, and counts the others.
fn described(census: &Census) -> Value {
    let off: Vec<&str> = census
        .overrides
        .iter()
        .filter(|(_, on)| !**on)
        .map(|(flag, _)| flag.as_str())
        .take(100)
        .collect();
    json!({
        "site": census.site,
        "release": census.release,
        "taken_at": census.taken_at,
        "overrides": census.overrides.len(),
        "ignored": census.ignored.len(),
        "off": off,
    })
}
