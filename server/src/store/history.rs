//! When rollouts came to their stages.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::domain::rollout::Rollout;
use crate::domain::schedule::StageEntry;
use crate::store::rows::{count, counted, read, time};
use crate::store::schema::stage_history;
use crate::store::{StoreError, Tx, dialect};

#[derive(Queryable, Insertable)]
#[diesel(table_name = stage_history)]
pub(super) struct StageEntryRow {
    route: String,
    environment: String,
    revision: i64,
    stage: String,
    entered_at: NaiveDateTime,
    entered_by: String,
}

impl Tx<'_> {
    /// Keeps that these rollouts have just come to the stages that they have.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn enter_stages(&mut self, rollouts: &[Rollout], by: &str) -> Result<(), StoreError> {
        let rows: Vec<StageEntryRow> = rollouts
            .iter()
            .map(|rollout| StageEntryRow::of(rollout, by))
            .collect();
        Ok(dialect::insert_stage_entries(self.connection, &rows)?)
    }

    /// Every stage that the rollouts of these routes came to, oldest first within each rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn stage_history(&mut self, routes: &[&str]) -> Result<Vec<StageEntry>, StoreError> {
        stage_history::table
            .filter(stage_history::route.eq_any(routes.iter().copied()))
            .order((
                stage_history::route.asc(),
                stage_history::environment.asc(),
                stage_history::revision.asc(),
            ))
            .load::<StageEntryRow>(self.connection)?
            .into_iter()
            .map(StageEntry::try_from)
            .collect()
    }
}

impl StageEntryRow {
    fn of(rollout: &Rollout, by: &str) -> StageEntryRow {
        StageEntryRow {
            route: rollout.route.to_string(),
            environment: rollout.environment.to_string(),
            revision: count(rollout.revision),
            stage: rollout.stage.name().to_owned(),
            entered_at: time(rollout.stage_since),
            entered_by: by.to_owned(),
        }
    }
}

impl TryFrom<StageEntryRow> for StageEntry {
    type Error = StoreError;

    fn try_from(row: StageEntryRow) -> Result<StageEntry, StoreError> {
        Ok(StageEntry {
            route: read("stage_history.route", &row.route)?,
            environment: read("stage_history.environment", &row.environment)?,
            revision: counted("stage_history.revision", row.revision)?,
            stage: read("stage_history.stage", &row.stage)?,
            at: row.entered_at.and_utc(),
            by: row.entered_by,
        })
    }
}
