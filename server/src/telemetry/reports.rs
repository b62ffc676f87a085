//! Reports one by one, for those who watch: guards.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use switchover::{Batch, Proportion, RouteCounts};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::{Reported, Reporter};
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::text::{self, count, number};

const COLUMNS: [&str; 17] = [
    "position",
    "at",
    "environment",
    "instance",
    "route",
    "path",
    "role",
    "revision",
    "calls",
    "errors",
    "panics",
    "cancelled",
    "comparisons",
    "mismatches",
    "ramp_trials",
    "ramp_violations",
    "slow",
];

/// Reports to be added.
pub(super) struct Log {
    position: u64,
    rows: Vec<Vec<Cell>>,
}

impl Log {
    pub(super) fn after(position: u64) -> Log {
        Log {
            position,
            rows: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        environment: &EnvironmentKey,
        batch: &Batch,
        counts: &RouteCounts,
        revision: u64,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.position = self.position.saturating_add(1);
        self.rows.push(vec![
            number(self.position).into(),
            now.timestamp_micros().into(),
            environment.as_str().into(),
            batch.instance.id.as_str().into(),
            counts.route.as_str().into(),
            counts.path.name().into(),
            counts.role.name().into(),
            number(revision).into(),
            number(counts.calls).into(),
            number(counts.errors).into(),
            number(counts.panics).into(),
            number(counts.cancelled).into(),
            number(counts.comparisons).into(),
            number(counts.mismatches).into(),
            number(counts.ramp.trials).into(),
            number(counts.ramp.violations).into(),
            text::to_json(&counts.slow)?.into(),
        ]);
        Ok(())
    }

    pub(super) fn save(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        dialect::put(tx.connection, "reports", &COLUMNS, 1, self.rows)?;
        tx.set_last_position(self.position)
    }
}

#[derive(QueryableByName)]
struct ReportRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Text)]
    environment: String,
    #[diesel(sql_type = Text)]
    instance: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    application: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    route: String,
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = BigInt)]
    revision: i64,
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
    #[diesel(sql_type = BigInt)]
    ramp_trials: i64,
    #[diesel(sql_type = BigInt)]
    ramp_violations: i64,
    #[diesel(sql_type = Text)]
    slow: String,
}

impl TryFrom<ReportRow> for Reported {
    type Error = StoreError;

    fn try_from(row: ReportRow) -> Result<Reported, StoreError> {
        Ok(Reported {
            position: count("reports.position", row.position)?,
            at: text::moment("reports.at", row.at)?,
            environment: text::parse("reports.environment", &row.environment)?,
            instance: Reporter {
                id: row.instance,
                name: row.name,
                application: row.application,
                version: row.version,
            },
            counts: RouteCounts {
                route: text::parse("reports.route", &row.route)?,
                path: text::path("reports.path", &row.path)?,
                role: text::role("reports.role", &row.role)?,
                revision: count("reports.revision", row.revision)?,
                calls: count("reports.calls", row.calls)?,
                errors: count("reports.errors", row.errors)?,
                panics: count("reports.panics", row.panics)?,
                cancelled: count("reports.cancelled", row.cancelled)?,
                comparisons: count("reports.comparisons", row.comparisons)?,
                mismatches: count("reports.mismatches", row.mismatches)?,
                // For people who look, and nothing that guards ask about: not kept.
                mismatching_keys: Vec::new(),
                dropped: 0,
                ramp: Proportion {
                    trials: count("reports.ramp_trials", row.ramp_trials)?,
                    violations: count("reports.ramp_violations", row.ramp_violations)?,
                },
                slow: text::from_json("reports.slow", &row.slow)?,
                latency: switchover::Latency::default(),
            },
        })
    }
}

impl Tx<'_> {
    /// The reports of this epoch after a position, in the order in which they were taken, at most so
    /// many.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn reports_after(&mut self, position: u64, most: u32) -> Result<Vec<Reported>, StoreError> {
        let rows: Vec<ReportRow> = diesel::sql_query(
            "SELECT r.position, r.at, r.environment, r.instance, i.name, i.application, i.version, \
             r.route, r.path, r.role, r.revision, r.calls, r.errors, r.panics, r.cancelled, \
             r.comparisons, r.mismatches, r.ramp_trials, r.ramp_violations, r.slow \
             FROM reports r JOIN instances i ON i.environment = r.environment AND i.id = r.instance \
             WHERE r.position > $1 AND r.position > (SELECT epoch_after FROM head WHERE id = 1) \
             ORDER BY r.position LIMIT $2",
        )
        .bind::<BigInt, _>(number(position))
        .bind::<BigInt, _>(i64::from(most))
        .load(self.connection)?;
        rows.into_iter().map(Reported::try_from).collect()
    }

    /// Forgets the reports before this moment, not too many at once: how many.
    pub(super) fn forget_reports(&mut self, before: DateTime<Utc>) -> Result<usize, StoreError> {
        Ok(diesel::sql_query(
            "DELETE FROM reports WHERE position IN \
             (SELECT position FROM reports WHERE at < $1 ORDER BY at LIMIT 50000)",
        )
        .bind::<BigInt, _>(before.timestamp_micros())
        .execute(self.connection)?)
    }
}
