//! The report of a route's whole migration.

use chrono::{DateTime, Utc};
use switchover::RouteKey;

use crate::domain::audit::AuditEntry;
use crate::domain::report::{self, Subject};
use crate::service::{Failure, Services};
use crate::store::{AuditFilter, StoreError, Tx};

/// The most entries that a report is made from.
const MOST_ENTRIES: usize = 20_000;
const PAGE: usize = 1_000;
/// What concerns every route and is recorded of none.
const SHARED: [&str; 5] = [
    "release_publish",
    "release_freeze",
    "freeze_open",
    "freeze_close",
    "census_import",
];

impl Services {
    /// A route's whole migration, as Markdown.
    ///
    /// # Errors
    /// When there is no such route.
    pub fn report(&self, key: &RouteKey) -> Result<String, Failure> {
        let now = self.now();
        let (subject, entries, shared) = self.store.read(|tx| {
            let route = tx
                .route(key)?
                .ok_or_else(|| Failure::missing("route", key))?;
            let rollouts = tx.rollouts_of(&[key.as_str()])?;
            let environments = tx.environments()?;
            let history = tx.stage_history(&[key.as_str()])?;
            let entries = entries_of(tx, key)?;
            let shared = shared_while(tx, route.created_at, route.retired_at)?;
            Ok::<_, Failure>(((route, rollouts, environments, history), entries, shared))
        })?;
        let (route, rollouts, environments, history) = subject;
        let (entries, is_cut) = entries;
        let milestones = route.schedule.milestones(&environments, &history);
        Ok(report::render(&Subject {
            route: &route,
            environments: &environments,
            rollouts: &rollouts,
            entries: &entries,
            shared: &shared,
            is_cut,
            milestones: &milestones,
            now,
        }))
    }
}

/// What is on record of a route, oldest first, and whether older entries were left out.
fn entries_of(tx: &mut Tx<'_>, key: &RouteKey) -> Result<(Vec<AuditEntry>, bool), StoreError> {
    let mut filter = AuditFilter {
        route: Some(key.to_string()),
        ..AuditFilter::default()
    };
    let mut entries = Vec::new();
    let is_cut = loop {
        let page = tx.audit_page(&filter, PAGE)?;
        let is_last = page.len() < PAGE;
        filter.before = page.last().map(|stored| stored.entry.seq);
        entries.extend(page.into_iter().map(|stored| stored.entry));
        if is_last || entries.len() >= MOST_ENTRIES {
            break !is_last;
        }
    };
    entries.reverse();
    Ok((entries, is_cut))
}

/// Releases, freezes and censuses between two moments, the newest of each kind, oldest first.
fn shared_while(
    tx: &mut Tx<'_>,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) -> Result<Vec<AuditEntry>, StoreError> {
    let mut shared = Vec::new();
    for action in SHARED {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            ..AuditFilter::default()
        };
        let found = tx.audit_page(&filter, PAGE)?.into_iter();
        shared.extend(
            found
                .map(|stored| stored.entry)
                .filter(|entry| entry.at >= from && until.is_none_or(|until| entry.at <= until)),
        );
    }
    shared.sort_by_key(|entry| entry.seq);
    Ok(shared)
}
