//! What processes used, by the minute.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::Used;
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::text::{count, number};

/// How long it is kept, in seconds.
const KEPT: i64 = 30 * 86_400;

const COLUMNS: [&str; 7] = [
    "environment",
    "starts_at",
    "instances",
    "cpu_ms",
    "memory_max",
    "memory_sum",
    "memory_samples",
];

/// What is to be added to minutes, by environment and the minute's first second.
#[derive(Default)]
pub(super) struct Usage(BTreeMap<(String, i64), Used>);

impl Usage {
    pub(super) fn add(&mut self, environment: &str, minute: i64, used: Used) {
        let key = (environment.to_owned(), minute);
        self.0.entry(key).or_default().merge(used);
    }

    pub(super) fn save(mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let keys = self.0.keys();
        let keys = keys.map(|(environment, minute)| {
            vec![Cell::from(environment.as_str()), Cell::from(*minute)]
        });
        let select = format!("SELECT {} FROM process_minutes", COLUMNS.join(", "));
        let key = ["environment", "starts_at"];
        let rows: Vec<UsedRow> =
            dialect::load_by_key(tx.connection, &select, &key, keys.collect())?;
        for row in rows {
            let used = row.read()?;
            self.add(&row.environment, row.starts_at, used);
        }
        let rows = self.0.into_iter().map(|((environment, minute), used)| {
            vec![
                environment.into(),
                minute.into(),
                number(used.instances).into(),
                number(used.cpu_ms).into(),
                number(used.memory_max).into(),
                number(used.memory_sum).into(),
                number(used.memory_samples).into(),
            ]
        });
        let rows = rows.collect();
        dialect::put(tx.connection, "process_minutes", &COLUMNS, key.len(), rows)?;
        Ok(())
    }
}

#[derive(QueryableByName)]
struct UsedRow {
    #[diesel(sql_type = Text)]
    environment: String,
    #[diesel(sql_type = BigInt)]
    starts_at: i64,
    #[diesel(sql_type = BigInt)]
    instances: i64,
    #[diesel(sql_type = BigInt)]
    cpu_ms: i64,
    #[diesel(sql_type = BigInt)]
    memory_max: i64,
    #[diesel(sql_type = BigInt)]
    memory_sum: i64,
    #[diesel(sql_type = BigInt)]
    memory_samples: i64,
}

impl UsedRow {
    fn read(&self) -> Result<Used, StoreError> {
        Ok(Used {
            minutes: 1,
            instances: count("process_minutes.instances", self.instances)?,
            cpu_ms: count("process_minutes.cpu_ms", self.cpu_ms)?,
            memory_max: count("process_minutes.memory_max", self.memory_max)?,
            memory_sum: count("process_minutes.memory_sum", self.memory_sum)?,
            memory_samples: count("process_minutes.memory_samples", self.memory_samples)?,
        })
    }
}

impl Tx<'_> {
    /// What the instances of an environment used in the minutes that begin in a span of time.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn used(
        &mut self,
        environment: &EnvironmentKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Used, StoreError> {
        let rows: Vec<UsedRow> = diesel::sql_query(format!(
            "SELECT {} FROM process_minutes WHERE environment = $1 AND starts_at >= $2 AND \
             starts_at < $3",
            COLUMNS.join(", ")
        ))
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<BigInt, _>(from.timestamp())
        .bind::<BigInt, _>(until.timestamp())
        .load(self.connection)?;
        let mut used = Used::default();
        for row in rows {
            used.merge(row.read()?);
        }
        Ok(used)
    }

    pub(super) fn forget_usage(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        diesel::sql_query("DELETE FROM process_minutes WHERE starts_at < $1")
            .bind::<BigInt, _>(now.timestamp() - KEPT)
            .execute(self.connection)?;
        Ok(())
    }
}
