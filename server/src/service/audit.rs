//! The record: read and verified.

use std::sync::TryLockError;

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

    /// Walks the whole chain: the number of entries, or the first that does not fit. One walk at a
    /// time: it takes seconds of a connection and of a processor, and anybody may ask for it.
    ///
    /// # Errors
    /// When one is under way, or the database cannot be used.
    pub fn verify_audit(&self) -> Result<Result<u64, BrokenChain>, Failure> {
        let _alone = match self.verifying.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::UnderWay("a verification of the audit chain"));
            }
        };
        Ok(self.store.read(|tx| tx.verify_audit())?)
    }
}
