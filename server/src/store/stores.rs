//! What is known of the two stores of each data route.

use diesel::prelude::*;
use diesel::sql_types::Text;
use switchover::RouteKey;

use crate::domain::environment::EnvironmentKey;
use crate::domain::stores::StoresRecord;
use crate::store::repairs::{micros, moment};
use crate::store::rows::{from_json, json, read};
use crate::store::schema::stores;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// What is on record of the two stores of a rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn stores(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<StoresRecord, StoreError> {
        let state: Option<String> = stores::table
            .find((environment.as_str(), route.as_str()))
            .select(stores::state)
            .first(self.connection)
            .optional()?;
        state.map_or_else(
            || Ok(StoresRecord::default()),
            |state| from_json("stores.state", &state),
        )
    }

    /// The same, locked: whoever changes repairs, backfills or runs of a rollout comes one after the
    /// other. Locked after rollouts and environments, and in the order of environment and route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_stores(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<StoresRecord, StoreError> {
        // Overwriting what is there with itself locks it.
        diesel::sql_query(
            "INSERT INTO stores (environment, route, state) VALUES ($1, $2, '{}') \
             ON CONFLICT (environment, route) DO UPDATE SET state = stores.state",
        )
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<Text, _>(route.as_str().to_owned())
        .execute(self.connection)?;
        self.stores(route, environment)
    }

    /// Writes what is locked.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_stores(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        record: &StoresRecord,
    ) -> Result<(), StoreError> {
        diesel::update(stores::table.find((environment.as_str(), route.as_str())))
            .set(stores::state.eq(json(record)?))
            .execute(self.connection)?;
        Ok(())
    }

    /// Says when the schedule is looked at next; never where that is `None`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn set_comparison_due(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        due: Option<chrono::DateTime<chrono::Utc>>,
    ) -> Result<(), StoreError> {
        diesel::update(stores::table.find((environment.as_str(), route.as_str())))
            .set(stores::due_at.eq(due.map(micros)))
            .execute(self.connection)?;
        Ok(())
    }

    /// When the schedule of a rollout is looked at next.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn comparison_due(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<Option<chrono::DateTime<chrono::Utc>>, StoreError> {
        let due: Option<Option<i64>> = stores::table
            .find((environment.as_str(), route.as_str()))
            .select(stores::due_at)
            .first(self.connection)
            .optional()?;
        due.flatten()
            .map(|due| moment("stores.due_at", due))
            .transpose()
    }

    /// The rollouts whose schedule is due, by environment and route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn comparisons_due(
        &mut self,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Vec<(RouteKey, EnvironmentKey)>, StoreError> {
        stores::table
            .filter(stores::due_at.le(micros(now)))
            .order((stores::environment.asc(), stores::route.asc()))
            .select((stores::route, stores::environment))
            .limit(1_000)
            .load::<(String, String)>(self.connection)?
            .into_iter()
            .map(|(route, environment)| {
                Ok((
                    read("stores.route", &route)?,
                    read("stores.environment", &environment)?,
                ))
            })
            .collect()
    }
}
