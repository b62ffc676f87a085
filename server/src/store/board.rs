//! What the board asks of all routes at once.

use std::collections::BTreeMap;

use diesel::dsl::count_star;
use diesel::prelude::*;
use switchover::{RouteKey, Stage};

use crate::domain::doubling::Doubling;
use crate::domain::environment::EnvironmentKey;
use crate::store::rows::{counted, from_json, read};
use crate::store::schema::{rollouts, routes};
use crate::store::{StoreError, Tx};

/// How many owners a choice offers.
const MOST_OWNERS: i64 = 500;

/// How many rollouts of an environment are where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageCount {
    /// Where.
    pub environment: String,
    /// At which stage.
    pub stage: Stage,
    /// How many.
    pub rollouts: u64,
}

impl Tx<'_> {
    /// How many rollouts are at which stage, by environment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn stage_counts(&mut self) -> Result<Vec<StageCount>, StoreError> {
        let rows: Vec<(String, String, i64)> = rollouts::table
            .group_by((rollouts::environment, rollouts::stage))
            .select((rollouts::environment, rollouts::stage, count_star()))
            .load(self.connection)?;
        rows.into_iter()
            .map(|(environment, stage, rollouts)| {
                Ok(StageCount {
                    environment,
                    stage: read("rollouts.stage", &stage)?,
                    rollouts: counted("rollouts", rollouts)?,
                })
            })
            .collect()
    }

    /// How many rollouts are halted, and how many routes there are.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn halted_and_routes(&mut self) -> Result<(u64, u64), StoreError> {
        let halted: i64 = rollouts::table
            .filter(rollouts::halt.is_not_null())
            .count()
            .get_result(self.connection)?;
        let all: i64 = routes::table.count().get_result(self.connection)?;
        Ok((counted("rollouts", halted)?, counted("routes", all)?))
    }

    /// Who answers for routes, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn owners(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(routes::table
            .select(routes::owner)
            .distinct()
            .order(routes::owner.asc())
            .limit(MOST_OWNERS)
            .load(self.connection)?)
    }

    /// [`Tx::counted_since`] of all rollouts of these routes.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn all_counted_since(
        &mut self,
        routes: &[&str],
    ) -> Result<BTreeMap<(EnvironmentKey, RouteKey), u64>, StoreError> {
        let rows: Vec<(String, String, i64, Option<String>)> = rollouts::table
            .filter(rollouts::route.eq_any(routes.iter().copied()))
            .select((
                rollouts::environment,
                rollouts::route,
                rollouts::published_at,
                rollouts::data,
            ))
            .load(self.connection)?;
        rows.into_iter()
            .map(|(environment, route, published, data)| {
                let place = (
                    read("rollouts.environment", &environment)?,
                    read("rollouts.route", &route)?,
                );
                let published = counted("rollouts.published_at", published)?;
                let data = data.map(|data| from_json::<Doubling>("rollouts.data", &data));
                let data = data.transpose()?.unwrap_or_default();
                Ok((place, data.counted_since(published)))
            })
            .collect()
    }
}
