//! The audit chain on record: appended to and read, never changed.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::domain::audit::{AuditDraft, AuditEntry, chain_hash};
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

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenChain {
    /// The first place that does not fit.
    pub seq: u64,
    /// In what way.
    pub detail: String,
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

    /// Walks the whole chain: the number of entries, or the first that does not fit.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn verify_audit(&mut self) -> Result<Result<u64, BrokenChain>, StoreError> {
        const BATCH: i64 = 1_000;
        let mut seen = 0_u64;
        let mut previous = String::new();
        loop {
            let rows: Vec<(i64, String, String)> = audit::table
                .select((audit::seq, audit::entry, audit::hash))
                .filter(audit::seq.gt(count(seen)))
                .order(audit::seq.asc())
                .limit(BATCH)
                .load(self.connection)?;
            if rows.is_empty() {
                break;
            }
            for (seq, entry, hash) in rows {
                let expected = seen + 1;
                let broken = |detail: &str| {
                    Ok(Err(BrokenChain {
                        seq: expected,
                        detail: detail.to_owned(),
                    }))
                };
                if counted("audit.seq", seq)? != expected {
                    return broken("the entry is missing");
                }
                if chain_hash(&previous, &entry) != hash {
                    return broken("the entry or its hash was changed");
                }
                previous = hash;
                seen = expected;
            }
        }
        let (head, hash): (i64, String) = audit_head::table
            .select((audit_head::seq, audit_head::hash))
            .first(self.connection)?;
        if counted("audit_head.seq", head)? == seen && hash == previous {
            Ok(Ok(seen))
        } else {
            Ok(Err(BrokenChain {
                seq: seen + 1,
                detail: "the head of the chain names another last entry".to_owned(),
            }))
        }
    }
}
