//! Runbooks on record.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::runbook::Runbook;
use crate::store::rows::time;
use crate::store::schema::runbooks;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// The runbook of a route, when it is kept here.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn runbook(&mut self, route: &RouteKey) -> Result<Option<Runbook>, StoreError> {
        let row: Option<(String, String, NaiveDateTime)> = runbooks::table
            .filter(runbooks::route.eq(route.as_str()))
            .select((runbooks::text, runbooks::put_by, runbooks::put_at))
            .first(self.connection)
            .optional()?;
        Ok(row.map(|(text, put_by, put_at)| Runbook {
            text,
            put_by,
            put_at: put_at.and_utc(),
        }))
    }

    /// Writes the runbook of a route, in the place of the one before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_runbook(&mut self, route: &RouteKey, runbook: &Runbook) -> Result<(), StoreError> {
        self.remove_runbook(route)?;
        diesel::insert_into(runbooks::table)
            .values((
                runbooks::route.eq(route.as_str()),
                runbooks::text.eq(&runbook.text),
                runbooks::put_by.eq(&runbook.put_by),
                runbooks::put_at.eq(time(runbook.put_at)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Removes the runbook of a route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_runbook(&mut self, route: &RouteKey) -> Result<(), StoreError> {
        diesel::delete(runbooks::table.filter(runbooks::route.eq(route.as_str())))
            .execute(self.connection)?;
        Ok(())
    }
}
