//! Which of several nodes acts by itself.

use crate::store::{Store, StoreError, dialect};

/// A node that would act by itself, and does while no other is heard of. Dropping it makes room.
pub struct Candidate(dialect::Candidate);

impl Store {
    /// Stands for the one node that acts by itself.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn stand(&self) -> Result<Candidate, StoreError> {
        dialect::Candidate::stand(self.database()).map(Candidate)
    }
}

impl Candidate {
    /// Whether this is the node that acts.
    ///
    /// # Errors
    /// When the database cannot be used any more: another may act now, and one has to stand anew.
    pub fn leads(&mut self) -> Result<bool, StoreError> {
        self.0.leads()
    }
}
