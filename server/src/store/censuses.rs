//! Censuses on record: the latest of each site.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::domain::census::{Census, SiteName};
use crate::domain::environment::EnvironmentKey;
use crate::store::rows::{from_json, json, read, time};
use crate::store::schema::censuses;
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable)]
#[diesel(table_name = censuses)]
struct CensusRow {
    environment: String,
    site: String,
    release: Option<String>,
    taken_at: NaiveDateTime,
    imported_at: NaiveDateTime,
    imported_by: String,
    overrides: String,
    ignored: String,
}

impl Tx<'_> {
    /// The latest census of each site of an environment, by site.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn censuses(&mut self, environment: &EnvironmentKey) -> Result<Vec<Census>, StoreError> {
        self.censuses_after(Some(environment), None, usize::MAX)
    }

    /// The latest census of each site, of an environment or of all, by environment and site: those
    /// after the place of another, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn censuses_after(
        &mut self,
        environment: Option<&EnvironmentKey>,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<Census>, StoreError> {
        let mut query = censuses::table
            .order((censuses::environment.asc(), censuses::site.asc()))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .into_boxed();
        if let Some(environment) = environment {
            query = query.filter(censuses::environment.eq(environment.as_str().to_owned()));
        }
        if let Some((environment, site)) = after {
            query = query.filter(
                censuses::environment
                    .gt(environment.clone())
                    .or(censuses::environment
                        .eq(environment.clone())
                        .and(censuses::site.gt(site.clone()))),
            );
        }
        query
            .load::<CensusRow>(self.connection)?
            .into_iter()
            .map(Census::try_from)
            .collect()
    }

    /// How many sites of an environment have a census.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn census_count(&mut self, environment: &EnvironmentKey) -> Result<usize, StoreError> {
        let sites: i64 = censuses::table
            .filter(censuses::environment.eq(environment.as_str()))
            .count()
            .get_result(self.connection)?;
        Ok(usize::try_from(sites).unwrap_or(usize::MAX))
    }

    /// The latest census of a site.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn census(
        &mut self,
        environment: &EnvironmentKey,
        site: &SiteName,
    ) -> Result<Option<Census>, StoreError> {
        censuses::table
            .filter(censuses::environment.eq(environment.as_str()))
            .filter(censuses::site.eq(site.as_str()))
            .first::<CensusRow>(self.connection)
            .optional()?
            .map(Census::try_from)
            .transpose()
    }

    /// Puts a census in the place of what is on record of its site.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_census(&mut self, census: &Census) -> Result<(), StoreError> {
        self.remove_census(&census.environment, &census.site)?;
        diesel::insert_into(censuses::table)
            .values(&CensusRow::try_from(census)?)
            .execute(self.connection)?;
        Ok(())
    }

    /// Forgets what is on record of a site.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_census(
        &mut self,
        environment: &EnvironmentKey,
        site: &SiteName,
    ) -> Result<(), StoreError> {
        diesel::delete(
            censuses::table
                .filter(censuses::environment.eq(environment.as_str()))
                .filter(censuses::site.eq(site.as_str())),
        )
        .execute(self.connection)?;
        Ok(())
    }
}

impl TryFrom<&Census> for CensusRow {
    type Error = StoreError;

    fn try_from(census: &Census) -> Result<CensusRow, StoreError> {
        Ok(CensusRow {
            environment: census.environment.to_string(),
            site: census.site.to_string(),
            release: census.release.as_ref().map(ToString::to_string),
            taken_at: time(census.taken_at),
            imported_at: time(census.imported_at),
            imported_by: census.imported_by.clone(),
            overrides: json(&census.overrides)?,
            ignored: json(&census.ignored)?,
        })
    }
}

impl TryFrom<CensusRow> for Census {
    type Error = StoreError;

    fn try_from(row: CensusRow) -> Result<Census, StoreError> {
        Ok(Census {
            environment: read("censuses.environment", &row.environment)?,
            site: read("censuses.site", &row.site)?,
            release: row
                .release
                .map(|release| read("censuses.release", &release))
                .transpose()?,
            taken_at: row.taken_at.and_utc(),
            imported_at: row.imported_at.and_utc(),
            imported_by: row.imported_by,
            overrides: from_json("censuses.overrides", &row.overrides)?,
            ignored: from_json("censuses.ignored", &row.ignored)?,
        })
    }
}
