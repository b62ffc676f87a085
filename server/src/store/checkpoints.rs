//! Signed checkpoints of the record.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::domain::checkpoint::Statement;
use crate::store::rows::{count, counted, time};
use crate::store::schema::{audit_checkpoints, audit_head};
use crate::store::{StoreError, Tx, dialect};

/// A checkpoint on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The place of the last entry at that time.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The signed statement.
    pub signed: String,
}

/// A checkpoint's columns as they are kept, whatever somebody has made of them.
#[derive(Clone, Debug)]
pub struct KeptCheckpoint {
    /// The place, as far as it is one.
    pub seq: Option<u64>,
    /// The signed statement.
    pub signed: String,
    columns: [Option<Vec<u8>>; 3],
    written: fn(&DateTime<Utc>) -> String,
}

impl KeptCheckpoint {
    /// Whether the columns say what the statement says.
    #[must_use]
    pub fn fits(&self, statement: &Statement) -> bool {
        let said = [
            statement.seq.to_string(),
            statement.hash.clone(),
            (self.written)(&statement.at),
        ];
        let said = said.map(|text| Some(text.into_bytes()));
        self.columns == said
    }
}

type Row = (i64, String, NaiveDateTime, String);

impl Tx<'_> {
    /// The last place of the record and its hash. Nobody appends until the transaction ends.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_audit_head(&mut self) -> Result<(u64, String), StoreError> {
        diesel::update(audit_head::table.filter(audit_head::id.eq(1)))
            .set(audit_head::seq.eq(audit_head::seq))
            .execute(self.connection)?;
        self.audit_head()
    }

    /// The last place of the record and its hash.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn audit_head(&mut self) -> Result<(u64, String), StoreError> {
        let (seq, hash): (i64, String) = audit_head::table
            .select((audit_head::seq, audit_head::hash))
            .filter(audit_head::id.eq(1))
            .first(self.connection)?;
        Ok((counted("audit_head.seq", seq)?, hash))
    }

    /// Adds a checkpoint.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_checkpoint(&mut self, new: &StoredCheckpoint) -> Result<(), StoreError> {
        diesel::insert_into(audit_checkpoints::table)
            .values((
                audit_checkpoints::seq.eq(count(new.seq)),
                audit_checkpoints::hash.eq(&new.hash),
                audit_checkpoints::at.eq(time(new.at)),
                audit_checkpoints::signed.eq(&new.signed),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// The newest `limit` checkpoints, of those before a place; newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn checkpoints_page(
        &mut self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let mut query = audit_checkpoints::table
            .order(audit_checkpoints::seq.desc())
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(audit_checkpoints::seq.lt(count(before)));
        }
        let rows: Vec<Row> = query
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load(self.connection)?;
        rows.into_iter()
            .map(|(seq, hash, at, signed)| {
                Ok(StoredCheckpoint {
                    seq: counted("audit_checkpoints.seq", seq)?,
                    hash,
                    at: at.and_utc(),
                    signed,
                })
            })
            .collect()
    }

    /// Every checkpoint as it is kept, by place.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn kept_checkpoints(&mut self) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let written = dialect::written(self.connection);
        let rows = dialect::checkpoints(self.connection)?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let seq = row.seq.as_deref().map(String::from_utf8_lossy);
                let signed = row.signed.unwrap_or_default();
                KeptCheckpoint {
                    seq: seq.and_then(|seq| seq.parse().ok()),
                    signed: String::from_utf8_lossy(&signed).into_owned(),
                    columns: [row.seq, row.hash, row.at],
                    written,
                }
            })
            .collect())
    }
}
