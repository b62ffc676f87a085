//! Answers kept for a day, so that a request which is sent twice is carried out once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::store::rows::{corrupt, time};
use crate::store::schema::idempotency;
use crate::store::{StoreError, Tx};

/// Which request an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose request.
    pub subject: String,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What the caller named it.
    pub key: String,
    /// SHA-256 of its body.
    pub body_hash: String,
}

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The status.
    pub status: u16,
    /// The tag of what it shows.
    pub etag: Option<String>,
    /// The body, JSON.
    pub body: String,
}

impl Tx<'_> {
    /// The answer given to this key before, with the hash of the body it was given to.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn receipt(
        &mut self,
        key: &IdempotencyKey,
    ) -> Result<Option<(String, Receipt)>, StoreError> {
        let row: Option<(String, i32, Option<String>, String)> = idempotency::table
            .filter(idempotency::subject.eq(&key.subject))
            .filter(idempotency::method.eq(&key.method))
            .filter(idempotency::path.eq(&key.path))
            .filter(idempotency::key.eq(&key.key))
            .select((
                idempotency::body_hash,
                idempotency::status,
                idempotency::etag,
                idempotency::body,
            ))
            .first(self.connection)
            .optional()?;
        row.map(|(hash, status, etag, body)| {
            let status =
                u16::try_from(status).map_err(|_| corrupt("idempotency.status", status))?;
            Ok((hash, Receipt { status, etag, body }))
        })
        .transpose()
    }

    /// Claims a key for this transaction, before anything else is done: whoever sends the same
    /// request at the same time waits here.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the request has just been carried out elsewhere.
    pub fn claim_receipt(
        &mut self,
        key: &IdempotencyKey,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        diesel::insert_into(idempotency::table)
            .values((
                idempotency::subject.eq(&key.subject),
                idempotency::method.eq(&key.method),
                idempotency::path.eq(&key.path),
                idempotency::key.eq(&key.key),
                idempotency::body_hash.eq(&key.body_hash),
                idempotency::status.eq(0),
                idempotency::body.eq(""),
                idempotency::created_at.eq(time(at)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Keeps the answer under its claimed key, in the transaction of the change that it speaks of.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn keep_receipt(
        &mut self,
        key: &IdempotencyKey,
        receipt: &Receipt,
    ) -> Result<(), StoreError> {
        diesel::update(
            idempotency::table
                .filter(idempotency::subject.eq(&key.subject))
                .filter(idempotency::method.eq(&key.method))
                .filter(idempotency::path.eq(&key.path))
                .filter(idempotency::key.eq(&key.key)),
        )
        .set((
            idempotency::status.eq(i32::from(receipt.status)),
            idempotency::etag.eq(receipt.etag.as_deref()),
            idempotency::body.eq(&receipt.body),
        ))
        .execute(self.connection)?;
        Ok(())
    }

    /// Forgets the answers that were given before this time.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_receipts(&mut self, before: DateTime<Utc>) -> Result<usize, StoreError> {
        Ok(
            diesel::delete(idempotency::table.filter(idempotency::created_at.lt(time(before))))
                .execute(self.connection)?,
        )
    }
}
