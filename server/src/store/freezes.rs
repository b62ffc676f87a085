//! Change freezes on record.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::domain::environment::EnvironmentKey;
use crate::domain::freeze::Freeze;
use crate::store::rows::{from_json, json, read, time};
use crate::store::schema::freezes;
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable)]
#[diesel(table_name = freezes)]
struct FreezeRow {
    id: String,
    environments: String,
    starts_at: NaiveDateTime,
    ends_at: Option<NaiveDateTime>,
    reason: String,
    opened_by: String,
    opened_at: NaiveDateTime,
    closed_at: Option<NaiveDateTime>,
}

impl Tx<'_> {
    /// Every freeze, newest first; only those that have neither been closed nor ended by `now`,
    /// when it is given.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn freezes(&mut self, now: Option<DateTime<Utc>>) -> Result<Vec<Freeze>, StoreError> {
        let mut query = freezes::table
            .order((freezes::opened_at.desc(), freezes::id.desc()))
            .into_boxed();
        if let Some(now) = now {
            query = query.filter(freezes::closed_at.is_null()).filter(
                freezes::ends_at
                    .is_null()
                    .or(freezes::ends_at.assume_not_null().gt(time(now))),
            );
        }
        query
            .load::<FreezeRow>(self.connection)?
            .into_iter()
            .map(Freeze::try_from)
            .collect()
    }

    /// Every freeze that was open after this moment, or will be.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn freezes_after(&mut self, moment: DateTime<Utc>) -> Result<Vec<Freeze>, StoreError> {
        let open = freezes::ends_at
            .is_null()
            .or(freezes::ends_at.assume_not_null().gt(time(moment)));
        let not_closed = freezes::closed_at
            .is_null()
            .or(freezes::closed_at.assume_not_null().gt(time(moment)));
        freezes::table
            .filter(open)
            .filter(not_closed)
            .load::<FreezeRow>(self.connection)?
            .into_iter()
            .map(Freeze::try_from)
            .collect()
    }

    /// One freeze.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn freeze(&mut self, id: &str) -> Result<Option<Freeze>, StoreError> {
        freezes::table
            .filter(freezes::id.eq(id))
            .first::<FreezeRow>(self.connection)
            .optional()?
            .map(Freeze::try_from)
            .transpose()
    }

    /// Adds a freeze.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_freeze(&mut self, freeze: &Freeze) -> Result<(), StoreError> {
        diesel::insert_into(freezes::table)
            .values(&FreezeRow {
                id: freeze.id.clone(),
                environments: json(&freeze.environments)?,
                starts_at: time(freeze.from),
                ends_at: freeze.until.map(time),
                reason: freeze.reason.clone(),
                opened_by: freeze.opened_by.clone(),
                opened_at: time(freeze.opened_at),
                closed_at: freeze.closed_at.map(time),
            })
            .execute(self.connection)?;
        Ok(())
    }

    /// Closes a freeze.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn close_freeze(&mut self, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        diesel::update(freezes::table.filter(freezes::id.eq(id)))
            .set(freezes::closed_at.eq(time(at)))
            .execute(self.connection)?;
        Ok(())
    }
}

impl TryFrom<FreezeRow> for Freeze {
    type Error = StoreError;

    fn try_from(row: FreezeRow) -> Result<Freeze, StoreError> {
        let names: Vec<String> = from_json("freezes.environments", &row.environments)?;
        Ok(Freeze {
            id: row.id,
            environments: names
                .iter()
                .map(|name| read::<EnvironmentKey>("freezes.environments", name))
                .collect::<Result<_, _>>()?,
            from: row.starts_at.and_utc(),
            until: row.ends_at.map(|at| at.and_utc()),
            reason: row.reason,
            opened_by: row.opened_by,
            opened_at: row.opened_at.and_utc(),
            closed_at: row.closed_at.map(|at| at.and_utc()),
        })
    }
}
