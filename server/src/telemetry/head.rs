//! The head: the last position that was given to a report, and the epoch of the record.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::store::StoreError;
use crate::telemetry::Tx;
use crate::telemetry::text::count;

#[derive(QueryableByName)]
struct HeadRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    epoch: String,
}

impl Tx<'_> {
    /// Waits for other writers, and keeps them waiting until the end of this transaction.
    pub(super) fn take_head(&mut self) -> Result<(), StoreError> {
        diesel::sql_query("UPDATE head SET position = position WHERE id = 1")
            .execute(self.connection)?;
        Ok(())
    }

    /// The position of the last report; 0 before the first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn last_position(&mut self) -> Result<u64, StoreError> {
        count("head.position", self.head()?.position)
    }

    /// Begins the epoch of the record, unless it is this one: reports about revisions of another are
    /// given to nobody any more, as they cannot be compared, and guards begin anew.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn follow_epoch(&mut self, epoch: &str) -> Result<(), StoreError> {
        if self.head()?.epoch == epoch {
            return Ok(());
        }
        diesel::sql_query("DELETE FROM guards").execute(self.connection)?;
        diesel::sql_query("UPDATE head SET epoch = $1, epoch_after = position WHERE id = 1")
            .bind::<Text, _>(epoch.to_owned())
            .execute(self.connection)?;
        Ok(())
    }

    pub(super) fn set_last_position(&mut self, position: u64) -> Result<(), StoreError> {
        diesel::sql_query("UPDATE head SET position = $1 WHERE id = 1")
            .bind::<BigInt, _>(super::text::number(position))
            .execute(self.connection)?;
        Ok(())
    }

    fn head(&mut self) -> Result<HeadRow, StoreError> {
        Ok(
            diesel::sql_query("SELECT position, epoch FROM head WHERE id = 1")
                .get_result(self.connection)?,
        )
    }
}
