//! The audit chain on record: appended to and read, never changed.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::domain::audit::{AuditDraft, AuditEntry, chain_hash};
use crate::domain::chain::{BrokenChain, Kept, Walk, Walked};
use crate::domain::checkpoint::Statement;
use crate::store::rows::{count, counted, from_json, json, time};
use crate::store::schema::{audit, audit_head};
use crate::store::{StoreError, Tx, dialect};

/// Which entries a list has. Empty fields ask for nothing.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// On this route.
    pub route: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// By this person.
    pub subject: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Older than this place.
    pub before: Option<u64>,
}

/// An entry and the hash that seals it.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    /// The entry.
    pub entry: AuditEntry,
    /// SHA-256 over the hash before it and its bytes.
    pub hash: String,
}

#[derive(Insertable)]
#[diesel(table_name = audit)]
pub(super) struct AuditRow {
    seq: i64,
    at: NaiveDateTime,
    subject: String,
    action: String,
    route: Option<String>,
    environment: Option<String>,
    entry: String,
    hash: String,
}

impl Tx<'_> {
    /// Appends entries. Locks the head of the chain until the transaction ends, so they come last.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn append_audit(&mut self, drafts: Vec<AuditDraft>) -> Result<(), StoreError> {
        if drafts.is_empty() {
            return Ok(());
        }
        let added = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
        let last: i64 = diesel::update(audit_head::table.filter(audit_head::id.eq(1)))
            .set(audit_head::seq.eq(audit_head::seq + added))
            .returning(audit_head::seq)
            .get_result(self.connection)?;
        let mut hash: String = audit_head::table
            .select(audit_head::hash)
            .first(self.connection)?;
        let mut rows = Vec::with_capacity(drafts.len());
        for (seq, draft) in (last - added + 1..).zip(drafts) {
            let entry = AuditEntry::at_place(draft, counted("audit_head.seq", seq)?);
            let canonical = json(&entry)?;
            hash = chain_hash(&hash, &canonical);
            rows.push(AuditRow {
                seq,
                at: time(entry.at),
                subject: entry.actor.subject,
                action: entry.action,
                route: entry.route,
                environment: entry.environment,
                entry: canonical,
                hash: hash.clone(),
            });
        }
        dialect::insert_audit(self.connection, &rows)?;
        diesel::update(audit_head::table.filter(audit_head::id.eq(1)))
            .set(audit_head::hash.eq(&hash))
            .execute(self.connection)?;
        Ok(())
    }

    /// The newest `limit` entries that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn audit_page(
        &mut self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let mut query = audit::table
            .select((audit::entry, audit::hash))
            .order(audit::seq.desc())
            .into_boxed();
        if let Some(route) = &filter.route {
            query = query.filter(audit::route.eq(route.clone()));
        }
        if let Some(environment) = &filter.environment {
            query = query.filter(audit::environment.eq(environment.clone()));
        }
        if let Some(subject) = &filter.subject {
            query = query.filter(audit::subject.eq(subject.clone()));
        }
        if let Some(action) = &filter.action {
            query = query.filter(audit::action.eq(action.clone()));
        }
        if let Some(from) = filter.from {
            query = query.filter(audit::at.ge(time(from)));
        }
        if let Some(until) = filter.until {
            query = query.filter(audit::at.lt(time(until)));
        }
        if let Some(before) = filter.before {
            query = query.filter(audit::seq.lt(count(before)));
        }
        query
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load::<(String, String)>(self.connection)?
            .into_iter()
            .map(|(entry, hash)| {
                Ok(StoredEntry {
                    entry: from_json("audit.entry", &entry)?,
                    hash,
                })
            })
            .collect()
    }

    /// The latest entries after a place, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn latest_entries(
        &mut self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let newest_first: Vec<String> = audit::table
            .select(audit::entry)
            .filter(audit::seq.gt(count(after)))
            .order(audit::seq.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load(self.connection)?;
        let entries = newest_first.iter().rev();
        entries
            .map(|entry| from_json("audit.entry", entry))
            .collect()
    }

    /// At most `limit` entries from a place on, as they are kept.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn kept_entries(&mut self, from: u64, limit: u32) -> Result<Vec<Kept>, StoreError> {
        Ok(dialect::entries_from(
            self.connection,
            count(from),
            i64::from(limit),
        )?)
    }

    /// How a moment is kept.
    #[must_use]
    pub fn written(&self) -> fn(&DateTime<Utc>) -> String {
        dialect::written(self.connection)
    }

    /// Walks the whole chain: what there is, and how these statements fit it; or the first entry that
    /// does not fit.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn verify_audit(
        &mut self,
        statements: &[Statement],
    ) -> Result<Result<Walked, BrokenChain>, StoreError> {
        const BATCH: i64 = 1_000;
        let mut walk = Walk::new(dialect::written(self.connection), statements);
        let mut from = i64::MIN;
        loop {
            let batch = dialect::entries_from(self.connection, from, BATCH)?;
            if batch.is_empty() {
                break;
            }
            for kept in &batch {
                if let Err(broken) = walk.step(kept) {
                    return Ok(Err(broken));
                }
            }
            from = count(walk.seen() + 1);
        }
        let head = dialect::head(self.connection)?;
        let head = head.as_ref().map(|(seq, hash)| (&seq[..], &hash[..]));
        let epoch = self.epoch()?.unwrap_or_default();
        Ok(walk.end(head, &epoch))
    }
}
