//! Counts by windows of time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover::{Path, Role, RouteCounts, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::{Tallies, Tally};
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::text::{self, count, number};
use crate::telemetry::{Place, Tx};

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Ten seconds; kept for an hour.
    TenSeconds,
    /// A minute; kept for 30 days.
    Minute,
}

impl Length {
    const ALL: [Length; 2] = [Length::TenSeconds, Length::Minute];

    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Length::TenSeconds => 10,
            Length::Minute => 60,
        }
    }

    /// For how long such windows are kept, in seconds.
    #[must_use]
    pub const fn kept_seconds(self) -> i64 {
        match self {
            Length::TenSeconds => 3_600,
            Length::Minute => 30 * 86_400,
        }
    }
}

/// In the place of a length: the window that began with the first report and never ends. What only rises
/// is read from it.
const EVER: i64 = 0;

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

/// What is to be added to windows.
#[derive(Default)]
pub(super) struct Windows {
    tallies: BTreeMap<Key, Tally>,
}

impl Windows {
    pub(super) fn add(
        &mut self,
        environment: &EnvironmentKey,
        counts: &RouteCounts,
        then: DateTime<Utc>,
    ) {
        for seconds in Length::ALL.map(Length::seconds).into_iter().chain([EVER]) {
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

    pub(super) fn save(mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.load_tallies(tx)?;
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
    let windows = at.timestamp().checked_div_euclid(seconds);
    windows.unwrap_or_default().saturating_mul(seconds)
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

impl Tx<'_> {
    /// Forgets windows whose time is over: of each length as many as began within 360 of it, so that
    /// no statement takes long.
    pub(super) fn forget_windows(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        for length in Length::ALL {
            let (seconds, kept) = (length.seconds(), length.kept_seconds());
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
        Ok(())
    }

    /// What was ever counted, by rollout. It only rises.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn totals(&mut self) -> Result<BTreeMap<Place, Tallies>, StoreError> {
        let rows: Vec<WindowRow> = diesel::sql_query(format!(
            "SELECT {} FROM windows WHERE seconds = $1 AND starts_at = $2",
            COLUMNS.join(", ")
        ))
        .bind::<BigInt, _>(EVER)
        .bind::<BigInt, _>(0)
        .load(self.connection)?;
        let mut totals = BTreeMap::<Place, Tallies>::new();
        for row in rows {
            let (key, tally) = row.read()?;
            let place = (
                text::parse("windows.environment", &key.environment)?,
                text::parse("windows.route", &key.route)?,
            );
            let path = text::path("windows.path", &key.path)?;
            let role = text::role("windows.role", &key.role)?;
            *totals.entry(place).or_default().of_mut(path, role) = tally;
        }
        Ok(totals)
    }

    /// Goes through the windows of a route that begin in a span of time: those of 10 seconds, which
    /// are kept an hour, or those of a minute.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn each_window(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        length: Length,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        mut take: impl FnMut(DateTime<Utc>, Path, Role, &Tally),
    ) -> Result<(), StoreError> {
        /// As many windows as are held at once.
        const AT_ONCE: i64 = 1_440;
        let (seconds, until) = (length.seconds(), until.timestamp());
        let mut from = start(from, seconds);
        while from < until {
            let to = until.min(from.saturating_add(seconds * AT_ONCE));
            let rows: Vec<WindowRow> = diesel::sql_query(format!(
                "SELECT {} FROM windows WHERE environment = $1 AND route = $2 AND seconds = $3 AND \
                 starts_at >= $4 AND starts_at < $5 ORDER BY starts_at",
                COLUMNS.join(", ")
            ))
            .bind::<Text, _>(environment.as_str().to_owned())
            .bind::<Text, _>(route.as_str().to_owned())
            .bind::<BigInt, _>(seconds)
            .bind::<BigInt, _>(from)
            .bind::<BigInt, _>(to)
            .load(self.connection)?;
            for row in rows {
                let (key, tally) = row.read()?;
                let at = DateTime::from_timestamp(key.starts_at, 0)
                    .ok_or_else(|| text::corrupt("windows.starts_at", key.starts_at))?;
                let path = text::path("windows.path", &key.path)?;
                let role = text::role("windows.role", &key.role)?;
                take(at, path, role, &tally);
            }
            from = to;
        }
        Ok(())
    }
}
