//! Which of several nodes acts by itself.

use crate::store::{Store, StoreError, dialect};

/// What one of several nodes does for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Guards and ramps.
    Conduct,
    /// Messages to webhooks.
    Deliver,
}

/// A node that would act by itself, and does while no other is heard of. Dropping it makes room.
pub struct Candidate(dialect::Candidate);

impl Store {
    /// Stands for the one node that has this duty.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn stand(&self, duty: Duty) -> Result<Candidate, StoreError> {
        dialect::Candidate::stand(self.database(), duty).map(Candidate)
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
