//! What the guards have gathered, and how far they have read.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover::RouteKey;

use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::Watched;
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::text::{self, count, number};

#[derive(QueryableByName)]
pub(super) struct GuardRow {
    #[diesel(sql_type = Text)]
    pub(super) environment: String,
    #[diesel(sql_type = Text)]
    pub(super) route: String,
    #[diesel(sql_type = Text)]
    state: String,
}

#[derive(QueryableByName)]
struct PositionRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
}

/// The guards of one rollout, and what they have gathered.
pub type GuardedRollout = ((EnvironmentKey, RouteKey), Watched);

impl Tx<'_> {
    /// What the guards of all rollouts have gathered, and the position of the last report that went
    /// into it. What cannot be read any more is left out: those guards begin anew.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn all_guards(&mut self) -> Result<(u64, Vec<GuardedRollout>), StoreError> {
        let rows: Vec<GuardRow> = diesel::sql_query("SELECT environment, route, state FROM guards")
            .load(self.connection)?;
        let guards = rows.into_iter().filter_map(|row| {
            let key = (row.environment.parse().ok()?, row.route.parse().ok()?);
            readable(&row).map(|watched| (key, watched))
        });
        let guards = guards.collect();
        Ok((self.guarded_until()?, guards))
    }

    /// What the guards of one rollout have gathered; `None` where they have nothing yet.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn guards_of(
        &mut self,
        environment: &EnvironmentKey,
        route: &RouteKey,
    ) -> Result<Option<Watched>, StoreError> {
        let row: Option<GuardRow> = diesel::sql_query(
            "SELECT environment, route, state FROM guards WHERE environment = $1 AND route = $2",
        )
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<Text, _>(route.as_str().to_owned())
        .get_result(self.connection)
        .optional()?;
        Ok(row.and_then(|row| readable(&row)))
    }

    /// Keeps what guards have gathered from the reports after position `from` up to `to`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has gone on from `from` already.
    pub fn keep_guards(
        &mut self,
        (from, to): (u64, u64),
        guards: &[(&(EnvironmentKey, RouteKey), &Watched)],
    ) -> Result<(), StoreError> {
        let moved =
            diesel::sql_query("UPDATE guarded SET position = $1 WHERE id = 1 AND position = $2")
                .bind::<BigInt, _>(number(to))
                .bind::<BigInt, _>(number(from))
                .execute(self.connection)?;
        if moved != 1 {
            return Err(StoreError::Stale);
        }
        let rows = guards
            .iter()
            .map(|((environment, route), watched)| {
                Ok(vec![
                    Cell::from(environment.as_str()),
                    Cell::from(route.as_str()),
                    Cell::from(text::to_json(watched)?),
                ])
            })
            .collect::<Result<_, StoreError>>()?;
        dialect::put(
            self.connection,
            "guards",
            &["environment", "route", "state"],
            2,
            rows,
        )?;
        Ok(())
    }

    fn guarded_until(&mut self) -> Result<u64, StoreError> {
        let row: PositionRow = diesel::sql_query("SELECT position FROM guarded WHERE id = 1")
            .get_result(self.connection)?;
        count("guarded.position", row.position)
    }
}

pub(super) fn readable(row: &GuardRow) -> Option<Watched> {
    match text::from_json("guards.state", &row.state) {
        Ok(watched) => Some(watched),
        Err(error) => {
            let (route, environment) = (&row.route, &row.environment);
            tracing::warn!(%route, %environment, %error, "guards begin anew");
            None
        }
    }
}
