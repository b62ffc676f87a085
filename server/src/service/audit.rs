//! The record: read and verified.

use crate::service::{Failure, Services};
use crate::store::{AuditFilter, BrokenChain, StoredEntry};

impl Services {
    /// The newest `limit` entries that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<StoredEntry>, Failure> {
        Ok(self.store.read(|tx| tx.audit_page(filter, limit))?)
    }

    /// Walks the whole chain: the number of entries, or the first that does not fit.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn verify_audit(&self) -> Result<Result<u64, BrokenChain>, Failure> {
        Ok(self.store.read(|tx| tx.verify_audit())?)
    }
}
