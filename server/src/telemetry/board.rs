//! What the board asks of all routes at once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover::{Path, Role, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::Watched;
use crate::domain::telemetry::Split;
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::guards::{GuardRow, readable};
use crate::telemetry::text::{self, count};
use crate::telemetry::{Length, Tx};

#[derive(QueryableByName)]
struct SplitRow {
    #[diesel(sql_type = Text)]
    route: String,
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = BigInt)]
    calls: i64,
}

/// A route in an environment.
pub type Place = (EnvironmentKey, RouteKey);

impl Tx<'_> {
    /// Which paths the calls of these routes took in an environment since a moment, to the minute.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn splits(
        &mut self,
        environment: &EnvironmentKey,
        routes: &[&RouteKey],
        since: DateTime<Utc>,
    ) -> Result<BTreeMap<RouteKey, Split>, StoreError> {
        let mut splits: BTreeMap<RouteKey, Split> = BTreeMap::new();
        if routes.is_empty() {
            return Ok(splits);
        }
        let places: Vec<String> = (5..5 + routes.len()).map(|at| format!("${at}")).collect();
        let mut query = diesel::sql_query(format!(
            "SELECT route, path, CAST(SUM(calls) AS BIGINT) AS calls FROM windows \
             WHERE environment = $1 AND seconds = $2 AND starts_at >= $3 AND role = $4 \
             AND route IN ({}) GROUP BY route, path",
            places.join(", ")
        ))
        .into_boxed()
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<BigInt, _>(Length::Minute.seconds())
        .bind::<BigInt, _>(since.timestamp())
        .bind::<Text, _>(Role::Authoritative.name());
        for route in routes {
            query = query.bind::<Text, _>(route.as_str().to_owned());
        }
        for row in query.load::<SplitRow>(self.connection)? {
            let route = row.route.parse();
            let route = route.map_err(|_| text::corrupt("windows.route", &row.route))?;
            let calls = count("windows.calls", row.calls)?;
            let split = splits.entry(route).or_default();
            match text::path("windows.path", &row.path)? {
                Path::Old => split.old = calls,
                Path::New => split.new = calls,
            }
        }
        Ok(splits)
    }

    /// What the guards of these rollouts have gathered; those without anything are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn guards_at(&mut self, places: &[Place]) -> Result<BTreeMap<Place, Watched>, StoreError> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = places
            .iter()
            .map(|(environment, route)| {
                vec![Cell::from(environment.as_str()), Cell::from(route.as_str())]
            })
            .collect();
        let rows: Vec<GuardRow> = dialect::load_by_key(
            self.connection,
            "SELECT environment, route, state FROM guards",
            &["environment", "route"],
            keys,
        )?;
        let read = rows.iter().filter_map(|row| {
            let place = (row.environment.parse().ok()?, row.route.parse().ok()?);
            Some((place, readable(row)?))
        });
        Ok(read.collect())
    }
}
