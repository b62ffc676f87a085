//! Counts by windows of time, and what processes used by the minute.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover::RouteCounts;

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::Tally;
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::text::{self, count, number};

/// The lengths of windows in seconds, and how long they are kept, in seconds.
const KEPT: [(i64, i64); 2] = [(10, 3_600), (60, 30 * 86_400)];

const KEY: [&str; 6] = [
    "environment",
    "route",
    "seconds",
    "starts_at",
    "path",
    "role",
];
const COLUMNS: [&str; 14] = [
    "environment",
    "route",
    "seconds",
    "starts_at",
    "path",
    "role",
    "calls",
    "errors",
    "panics",
    "cancelled",
    "comparisons",
    "mismatches",
    "slow",
    "latency",
];

/// Which window of what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    environment: String,
    route: String,
    seconds: i64,
    starts_at: i64,
    path: String,
    role: String,
}

/// What the processes of an environment used in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) instances: u64,
    pub(super) cpu_ms: u64,
    pub(super) memory_max: u64,
    pub(super) memory_sum: u64,
    pub(super) memory_samples: u64,
}

impl Used {
    pub(super) fn merge(&mut self, other: Used) {
        self.instances = self.instances.saturating_add(other.instances);
        self.cpu_ms = self.cpu_ms.saturating_add(other.cpu_ms);
        self.memory_max = self.memory_max.max(other.memory_max);
        self.memory_sum = self.memory_sum.saturating_add(other.memory_sum);
        self.memory_samples = self.memory_samples.saturating_add(other.memory_samples);
    }
}

/// What is to be added to windows.
#[derive(Default)]
pub(super) struct Windows {
    tallies: BTreeMap<Key, Tally>,
    used: BTreeMap<(String, i64), Used>,
}

impl Windows {
    pub(super) fn add(
        &mut self,
        environment: &EnvironmentKey,
        counts: &RouteCounts,
        then: DateTime<Utc>,
    ) {
        for (seconds, _) in KEPT {
            let key = Key {
                environment: environment.as_str().to_owned(),
                route: counts.route.as_str().to_owned(),
                seconds,
                starts_at: start(then, seconds),
                path: counts.path.name().to_owned(),
                role: counts.role.name().to_owned(),
            };
            self.tallies.entry(key).or_default().add(counts);
        }
    }

    pub(super) fn add_used(&mut self, environment: &str, minute: i64, used: Used) {
        let key = (environment.to_owned(), minute);
        self.used.entry(key).or_default().merge(used);
    }

    pub(super) fn save(mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.load_tallies(tx)?;
        self.load_used(tx)?;
        let mut rows = Vec::with_capacity(self.tallies.len());
        for (key, tally) in &self.tallies {
            let mut row = key.cells();
            row.extend([
                number(tally.calls).into(),
                number(tally.errors).into(),
                number(tally.panics).into(),
                number(tally.cancelled).into(),
                number(tally.comparisons).into(),
                number(tally.mismatches).into(),
                text::to_json(&tally.slow)?.into(),
                text::to_json(&tally.latency)?.into(),
            ]);
            rows.push(row);
        }
        dialect::put(tx.connection, "windows", &COLUMNS, KEY.len(), rows)?;
        let used = self.used.into_iter().map(|((environment, minute), used)| {
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
        dialect::put(
            tx.connection,
            "process_minutes",
            &USED_COLUMNS,
            2,
            used.collect(),
        )?;
        Ok(())
    }

    fn load_tallies(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let keys = self.tallies.keys().map(Key::cells).collect();
        let select = format!("SELECT {} FROM windows", COLUMNS.join(", "));
        let rows: Vec<WindowRow> = dialect::load_by_key(tx.connection, &select, &KEY, keys)?;
        for row in rows {
            let (key, tally) = row.read()?;
            self.tallies.entry(key).or_default().merge(&tally);
        }
        Ok(())
    }

    fn load_used(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let keys = self.used.keys();
        let keys = keys.map(|(environment, minute)| {
            vec![Cell::from(environment.as_str()), Cell::from(*minute)]
        });
        let select = format!("SELECT {} FROM process_minutes", USED_COLUMNS.join(", "));
        let rows: Vec<UsedRow> = dialect::load_by_key(
            tx.connection,
            &select,
            &["environment", "starts_at"],
            keys.collect(),
        )?;
        for row in rows {
            let used = row.read()?;
            self.add_used(&row.environment, row.starts_at, used);
        }
        Ok(())
    }
}

impl Key {
    fn cells(&self) -> Vec<Cell> {
        vec![
            self.environment.as_str().into(),
            self.route.as_str().into(),
            self.seconds.into(),
            self.starts_at.into(),
            self.path.as_str().into(),
            self.role.as_str().into(),
        ]
    }
}

/// The second in which the window of a moment begins.
pub(super) fn start(at: DateTime<Utc>, seconds: i64) -> i64 {
    at.timestamp().div_euclid(seconds).saturating_mul(seconds)
}

#[derive(QueryableByName)]
struct WindowRow {
    #[diesel(sql_type = Text)]
    environment: String,
    #[diesel(sql_type = Text)]
    route: String,
    #[diesel(sql_type = BigInt)]
    seconds: i64,
    #[diesel(sql_type = BigInt)]
    starts_at: i64,
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = BigInt)]
    calls: i64,
    #[diesel(sql_type = BigInt)]
    errors: i64,
    #[diesel(sql_type = BigInt)]
    panics: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
    #[diesel(sql_type = BigInt)]
    comparisons: i64,
    #[diesel(sql_type = BigInt)]
    mismatches: i64,
    #[diesel(sql_type = Text)]
    slow: String,
    #[diesel(sql_type = Text)]
    latency: String,
}

impl WindowRow {
    fn read(self) -> Result<(Key, Tally), StoreError> {
        let tally = Tally {
            calls: count("windows.calls", self.calls)?,
            errors: count("windows.errors", self.errors)?,
            panics: count("windows.panics", self.panics)?,
            cancelled: count("windows.cancelled", self.cancelled)?,
            comparisons: count("windows.comparisons", self.comparisons)?,
            mismatches: count("windows.mismatches", self.mismatches)?,
            slow: text::from_json("windows.slow", &self.slow)?,
            latency: text::from_json("windows.latency", &self.latency)?,
        };
        let key = Key {
            environment: self.environment,
            route: self.route,
            seconds: self.seconds,
            starts_at: self.starts_at,
            path: self.path,
            role: self.role,
        };
        Ok((key, tally))
    }
}

const USED_COLUMNS: [&str; 7] = [
    "environment",
    "starts_at",
    "instances",
    "cpu_ms",
    "memory_max",
    "memory_sum",
    "memory_samples",
];

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
            instances: count("process_minutes.instances", self.instances)?,
            cpu_ms: count("process_minutes.cpu_ms", self.cpu_ms)?,
            memory_max: count("process_minutes.memory_max", self.memory_max)?,
            memory_sum: count("process_minutes.memory_sum", self.memory_sum)?,
            memory_samples: count("process_minutes.memory_samples", self.memory_samples)?,
        })
    }
}

impl Tx<'_> {
    /// Forgets windows whose time is over: of each length as many as began within 360 of it, so that
    /// no statement takes long.
    pub(super) fn forget_windows(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        for (seconds, kept) in KEPT {
            diesel::sql_query(
                "DELETE FROM windows WHERE seconds = $1 AND starts_at < $2 AND starts_at < \
                 (SELECT MIN(starts_at) FROM windows WHERE seconds = $3) + $4",
            )
            .bind::<BigInt, _>(seconds)
            .bind::<BigInt, _>(now.timestamp() - kept)
            .bind::<BigInt, _>(seconds)
            .bind::<BigInt, _>(seconds * 360)
            .execute(self.connection)?;
        }
        diesel::sql_query("DELETE FROM process_minutes WHERE starts_at < $1")
            .bind::<BigInt, _>(now.timestamp() - 30 * 86_400)
            .execute(self.connection)?;
        Ok(())
    }
}
