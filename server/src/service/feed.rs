//! What pages hear of changes and reports, as soon as somebody listens.

use tokio::sync::watch;

use crate::publish::{Feed, Head, KEPT};
use crate::service::{Failure, Services, epoch};
use crate::store::StoreError;

impl Services {
    /// What pages hear.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Listens to what is changed from here on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn listen(&self) -> Result<watch::Receiver<Head>, Failure> {
        let following = self.feed.follow();
        self.tell_of_changes()?;
        self.tell_of_reports();
        Ok(following)
    }

    /// Tells whoever listens what has been put on record since. Reads nothing when nobody does.
    pub(super) fn tell_of_changes(&self) -> Result<(), StoreError> {
        if self.feed.listeners() == 0 {
            return Ok(());
        }
        self.feed.refresh(|known, seq| {
            self.store.read_first(|tx| {
                let epoch = epoch(tx)?;
                let after = if *known == *epoch { seq } else { 0 };
                let entries = tx.latest_entries(after, KEPT)?;
                Ok((epoch, entries))
            })
        })
    }

    /// Tells whoever listens whether callers have reported since. Reads nothing when nobody does.
    pub fn tell_of_reports(&self) {
        if self.feed.listeners() == 0 {
            return;
        }
        let position = self
            .telemetry
            .read_first::<_, StoreError>(|tx| tx.last_position());
        match position {
            Ok(position) => self.feed.reported(position, self.now()),
            Err(error) => tracing::debug!(%error, "nobody is told whether callers report"),
        }
    }
}
