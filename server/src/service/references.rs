//! Scans of repositories for uses of routes: posted, shown, forgotten.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::RouteKey;

use crate::domain::references::{
    Began, MOST_PLACES, MOST_PLACES_OF_ROUTE, MOST_REPOSITORIES, MOST_ROUTES, RepositoryName, Scan,
    ScanOfRoute, Uses, check, check_replaces, check_uses, lacking,
};
use crate::domain::rollout::Rollout;
use crate::domain::text::Reason;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// A scan to be put on record.
#[derive(Clone, Debug)]
pub struct NewScan {
    /// Which repository.
    pub repository: RepositoryName,
    /// What was scanned.
    pub revision: String,
    /// When that began.
    pub began: Began,
    /// How many files were searched.
    pub files: u64,
    /// What was found of each route that was looked for.
    pub found: Vec<(RouteKey, Uses)>,
}

/// Where the code speaks of a route.
#[derive(Clone, Debug)]
pub struct References {
    /// By repository.
    pub scans: Vec<ScanOfRoute>,
    /// What its code lacks before it may be retired.
    pub lacking: Vec<String>,
}

impl Services {
    /// Puts a scan in the place of what is on record of its repository.
    ///
    /// # Errors
    /// When it cannot be, a later one is on record, or there are too many repositories.
    pub fn post_scan(
        &self,
        ctx: &Ctx,
        new: &NewScan,
        render: Render<'_, Scan>,
    ) -> Result<Answer, Failure> {
        check_size(new)?;
        self.change(ctx, render, |work| {
            let sum = |sum: u64, (_, uses): &(RouteKey, Uses)| sum.saturating_add(uses.count);
            let scan = Scan {
                repository: new.repository.clone(),
                revision: new.revision.clone(),
                scanned_at: new.began.time(work.now),
                posted_at: work.now,
                posted_by: work.ctx.actor.subject.clone(),
                files: new.files,
                routes: u64::try_from(new.found.len()).unwrap_or(u64::MAX),
                uses: new.found.iter().fold(0, sum),
            };
            check(&scan, work.now).map_err(Failure::Invalid)?;
            let before = work.tx.scan(&scan.repository)?;
            match &before {
                Some(before) => check_replaces(&scan, before).map_err(Failure::Conflict)?,
                None if work.tx.scans()?.len() >= MOST_REPOSITORIES => {
                    return Err(Failure::Conflict(format!(
                        "{MOST_REPOSITORIES} repositories have scans: forget those that are gone"
                    )));
                }
                None => {}
            }
            work.tx.put_scan(&scan, &new.found)?;
            let reason = format!("as of {}", scan.revision);
            let before = before.as_ref().map_or(Value::Null, described);
            work.record("scan_post", None, None, &reason, (before, described(&scan)));
            Ok(scan)
        })
    }

    /// Forgets a repository that is gone, or was somebody's mistake.
    ///
    /// # Errors
    /// When nothing is on record of it.
    pub fn forget_scan(
        &self,
        ctx: &Ctx,
        repository: &RepositoryName,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = work.tx.scan(repository)?;
            let before =
                before.ok_or_else(|| Failure::missing("scan of a repository", repository))?;
            work.tx.remove_scan(repository)?;
            let record = (described(&before), Value::Null);
            work.record("scan_forget", None, None, reason.as_str(), record);
            Ok(())
        })
    }

    /// The last scan of every repository, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn scans(&self) -> Result<Vec<Scan>, Failure> {
        Ok(self.store.read(|tx| tx.scans())?)
    }

    /// Where the code speaks of a route, as the last scan of every repository has found.
    ///
    /// # Errors
    /// When there is no such route.
    pub fn references(&self, route: &RouteKey) -> Result<References, Failure> {
        self.store.read(|tx| {
            if tx.route(route)?.is_none() {
                return Err(Failure::missing("route", route));
            }
            let scans = tx.scans_of_route(route)?;
            let rollouts = tx.rollouts_of(&[route.as_str()])?;
            Ok(References {
                lacking: lacking(unchanged_since(rollouts.iter()), &scans),
                scans,
            })
        })
    }
}

/// When the stage of a route changed last, in whichever environment.
pub(super) fn unchanged_since<'a>(
    rollouts: impl Iterator<Item = &'a Rollout>,
) -> Option<DateTime<Utc>> {
    rollouts.map(|rollout| rollout.stage_since).max()
}

fn check_size(new: &NewScan) -> Result<(), Failure> {
    if new.found.len() > MOST_ROUTES {
        let detail = format!("a scan looks for at most {MOST_ROUTES} routes");
        return Err(Failure::invalid("routes", detail));
    }
    let places = new.found.iter().map(|(_, uses)| uses.places.len());
    if places.clone().sum::<usize>() > MOST_PLACES || places.max() > Some(MOST_PLACES_OF_ROUTE) {
        let detail = format!(
            "are at most {MOST_PLACES_OF_ROUTE} of a route, and {MOST_PLACES} in all: the first ones do"
        );
        return Err(Failure::invalid("places", detail));
    }
    for (route, uses) in &new.found {
        check_uses(route, uses).map_err(|error| Failure::Invalid(vec![error]))?;
    }
    Ok(())
}

fn described(scan: &Scan) -> Value {
    json!({
        "repository": scan.repository,
        "revision": scan.revision,
        "scanned_at": scan.scanned_at,
        "files": scan.files,
        "routes": scan.routes,
        "uses": scan.uses,
    })
}
