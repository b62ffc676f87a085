//! Evidence on record: added and read, never changed.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::environment::EnvironmentKey;
use crate::domain::evidence::{Evidence, Verdict};
use crate::store::rows::{corrupt, read, time};
use crate::store::schema::evidence;
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable)]
#[diesel(table_name = evidence)]
struct EvidenceRow {
    id: String,
    route: String,
    environment: String,
    kind: String,
    verdict: String,
    url: Option<String>,
    summary: String,
    created_by: String,
    created_at: NaiveDateTime,
}

impl Tx<'_> {
    /// All evidence about a route, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn evidence(&mut self, route: &RouteKey) -> Result<Vec<Evidence>, StoreError> {
        evidence::table
            .filter(evidence::route.eq(route.as_str()))
            .order((evidence::created_at.asc(), evidence::id.asc()))
            .load::<EvidenceRow>(self.connection)?
            .into_iter()
            .map(Evidence::try_from)
            .collect()
    }

    /// Forgets what the server drew from consistency runs of a rollout, but for the last so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_drawn_evidence(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        keep: usize,
    ) -> Result<(), StoreError> {
        let all = self.evidence(route)?;
        let here = |found: &&Evidence| found.is_drawn() && found.environment == *environment;
        let drawn = all.iter().filter(here).count();
        let old: Vec<&str> = all
            .iter()
            .filter(here)
            .take(drawn.saturating_sub(keep))
            .map(|found| found.id.as_str())
            .collect();
        if !old.is_empty() {
            diesel::delete(evidence::table.filter(evidence::id.eq_any(old)))
                .execute(self.connection)?;
        }
        Ok(())
    }

    /// Adds a piece of evidence.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_evidence(&mut self, found: &Evidence) -> Result<(), StoreError> {
        diesel::insert_into(evidence::table)
            .values(&EvidenceRow {
                id: found.id.clone(),
                route: found.route.to_string(),
                environment: found.environment.to_string(),
                kind: found.kind.name().to_owned(),
                verdict: found.verdict.name().to_owned(),
                url: found.url.clone(),
                summary: found.summary.clone(),
                created_by: found.by.clone(),
                created_at: time(found.at),
            })
            .execute(self.connection)?;
        Ok(())
    }
}

impl TryFrom<EvidenceRow> for Evidence {
    type Error = StoreError;

    fn try_from(row: EvidenceRow) -> Result<Evidence, StoreError> {
        let verdict: Verdict = row
            .verdict
            .parse()
            .map_err(|_| corrupt("evidence.verdict", &row.verdict))?;
        Ok(Evidence {
            id: row.id,
            route: read("evidence.route", &row.route)?,
            environment: read("evidence.environment", &row.environment)?,
            kind: read("evidence.kind", &row.kind)?,
            verdict,
            url: row.url,
            summary: row.summary,
            by: row.created_by,
            at: row.created_at.and_utc(),
        })
    }
}
