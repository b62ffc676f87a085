//! Backfills on record.

use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::backfill::Backfill;
use crate::domain::environment::EnvironmentKey;
use crate::store::repairs::micros;
use crate::store::rows::{from_json, json};
use crate::store::schema::backfills;
use crate::store::{StoreError, Tx, dialect};

const COLUMNS: [&str; 5] = ["id", "environment", "route", "begun_at", "document"];

impl Tx<'_> {
    /// The last backfill of a rollout; `None` where there was none yet.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn last_backfill(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
    ) -> Result<Option<Backfill>, StoreError> {
        Ok(self
            .backfills((route, environment), None, 1)?
            .into_iter()
            .next())
    }

    /// The backfills of a rollout, latest first: those before one, at most so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn backfills(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Backfill>, StoreError> {
        let mut query = backfills::table
            .filter(backfills::environment.eq(environment.as_str().to_owned()))
            .filter(backfills::route.eq(route.as_str().to_owned()))
            .order(backfills::id.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .select(backfills::document)
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(backfills::id.lt(before.to_owned()));
        }
        let documents: Vec<String> = query.load(self.connection)?;
        documents
            .iter()
            .map(|document| from_json("backfills.document", document))
            .collect()
    }

    /// A backfill by its name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn backfill(&mut self, id: &str) -> Result<Option<Backfill>, StoreError> {
        let document: Option<String> = backfills::table
            .find(id)
            .select(backfills::document)
            .first(self.connection)
            .optional()?;
        document
            .map(|document| from_json("backfills.document", &document))
            .transpose()
    }

    /// Writes a backfill, over what is there of it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_backfill(&mut self, backfill: &Backfill) -> Result<(), StoreError> {
        let row = vec![
            dialect::Cell::from(backfill.id.as_str()),
            dialect::Cell::from(backfill.environment.as_str()),
            dialect::Cell::from(backfill.route.as_str()),
            dialect::Cell::from(micros(backfill.begun_at)),
            dialect::Cell::from(json(backfill)?),
        ];
        Ok(dialect::put(
            self.connection,
            "backfills",
            &COLUMNS,
            1,
            vec![row],
        )?)
    }
}
