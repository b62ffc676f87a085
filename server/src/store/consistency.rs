//! Consistency runs on record.

use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::consistency::{Run, RunState};
use crate::domain::environment::EnvironmentKey;
use crate::store::rows::{from_json, json};
use crate::store::schema::consistency_runs;
use crate::store::{StoreError, Tx, dialect};

const COLUMNS: [&str; 6] = ["id", "environment", "route", "state", "due", "document"];
/// Of each rollout so many are kept.
const MOST_KEPT: i64 = 500;

impl Tx<'_> {
    /// The runs of a rollout, latest first: those before one, at most so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn consistency_runs(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = consistency_runs::table
            .filter(consistency_runs::environment.eq(environment.as_str().to_owned()))
            .filter(consistency_runs::route.eq(route.as_str().to_owned()))
            .order(consistency_runs::id.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .select(consistency_runs::document)
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(consistency_runs::id.lt(before.to_owned()));
        }
        read_all(query.load(self.connection)?)
    }

    /// The runs of a rollout that no process has answered, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open_consistency_runs(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
    ) -> Result<Vec<Run>, StoreError> {
        let documents: Vec<String> = consistency_runs::table
            .filter(consistency_runs::environment.eq(environment.as_str()))
            .filter(consistency_runs::route.eq(route.as_str()))
            .filter(consistency_runs::due.eq(1))
            .filter(consistency_runs::state.ne("done"))
            .order(consistency_runs::id.asc())
            .select(consistency_runs::document)
            .load(self.connection)?;
        read_all(documents)
    }

    /// The runs everywhere that something is still to be done about, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn consistency_runs_due(&mut self) -> Result<Vec<Run>, StoreError> {
        let documents: Vec<String> = consistency_runs::table
            .filter(consistency_runs::due.eq(1))
            .order(consistency_runs::id.asc())
            .select(consistency_runs::document)
            .limit(1_000)
            .load(self.connection)?;
        read_all(documents)
    }

    /// A run by its name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn consistency_run(&mut self, id: &str) -> Result<Option<Run>, StoreError> {
        let document: Option<String> = consistency_runs::table
            .find(id)
            .select(consistency_runs::document)
            .first(self.connection)
            .optional()?;
        document
            .map(|document| from_json("consistency_runs.document", &document))
            .transpose()
    }

    /// Writes a run, over what is there of it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_consistency_run(&mut self, run: &Run) -> Result<(), StoreError> {
        let is_due = match &run.state {
            RunState::Waiting | RunState::Handed { .. } => true,
            RunState::Done(findings) => !findings.acted,
            RunState::Failed { .. } => false,
        };
        let row = vec![
            dialect::Cell::from(run.id.as_str()),
            dialect::Cell::from(run.environment.as_str()),
            dialect::Cell::from(run.route.as_str()),
            dialect::Cell::from(run.state.name()),
            dialect::Cell::from(i64::from(is_due)),
            dialect::Cell::from(json(run)?),
        ];
        dialect::put(self.connection, "consistency_runs", &COLUMNS, 1, vec![row])?;
        Ok(())
    }

    /// Forgets all but the latest runs of a rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_consistency_runs(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
    ) -> Result<(), StoreError> {
        let of_rollout = || {
            consistency_runs::table
                .filter(consistency_runs::environment.eq(environment.as_str()))
                .filter(consistency_runs::route.eq(route.as_str()))
        };
        let edge: Option<String> = of_rollout()
            .select(consistency_runs::id)
            .order(consistency_runs::id.desc())
            .offset(MOST_KEPT)
            .first(self.connection)
            .optional()?;
        if let Some(edge) = edge {
            diesel::delete(of_rollout().filter(consistency_runs::id.le(edge)))
                .execute(self.connection)?;
        }
        Ok(())
    }
}

fn read_all(documents: Vec<String>) -> Result<Vec<Run>, StoreError> {
    documents
        .iter()
        .map(|document| from_json("consistency_runs.document", document))
        .collect()
}
