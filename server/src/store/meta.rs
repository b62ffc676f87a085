//! What the database says of itself.

use diesel::prelude::*;

use crate::store::rows::corrupt;
use crate::store::schema::meta;
use crate::store::{StoreError, Tx, dialect};

const EPOCH: &str = "epoch";
const ACCESS: &str = "access_revision";

impl Tx<'_> {
    /// The epoch of this database; `None` before its first start.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn epoch(&mut self) -> Result<Option<String>, StoreError> {
        self.meta(EPOCH)
    }

    /// Begins an epoch: from here on, revisions cannot be compared with those before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn begin_epoch(&mut self, epoch: &str) -> Result<(), StoreError> {
        self.set_meta(EPOCH, epoch)
    }

    /// Begins to count the changes of keys and revocations, unless they are counted.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another node has just begun.
    pub fn begin_access_count(&mut self) -> Result<(), StoreError> {
        match self.meta(ACCESS)? {
            Some(_) => Ok(()),
            None => self.set_meta(ACCESS, "0"),
        }
    }

    /// Counts the changes of keys and revocations. Whoever sees a count sees all that it counts:
    /// a change holds the count until it commits.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn access_revision(&mut self) -> Result<u64, StoreError> {
        let text = self.meta(ACCESS)?.ok_or_else(no_count)?;
        text.parse()
            .map_err(|_| corrupt("meta.access_revision", text))
    }

    pub(super) fn count_access_change(&mut self) -> Result<(), StoreError> {
        match dialect::count_up(self.connection, ACCESS)? {
            1 => Ok(()),
            _ => Err(no_count()),
        }
    }

    fn meta(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(meta::table
            .filter(meta::name.eq(name))
            .select(meta::value)
            .first(self.connection)
            .optional()?)
    }

    fn set_meta(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let updated = diesel::update(meta::table.filter(meta::name.eq(name)))
            .set(meta::value.eq(value))
            .execute(self.connection)?;
        if updated == 0 {
            diesel::insert_into(meta::table)
                .values((meta::name.eq(name), meta::value.eq(value)))
                .execute(self.connection)?;
        }
        Ok(())
    }
}

fn no_count() -> StoreError {
    StoreError::Corrupt("meta: no access_revision".to_owned())
}
