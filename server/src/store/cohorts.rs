//! Cohorts and ramp groups on record.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::domain::cohort::{Name, NamedCohort, RampGroup};
use crate::domain::rollout::Rollout;
use crate::store::rows::{RolloutRow, count, counted, from_json, json, read, time};
use crate::store::schema::{cohorts, ramp_groups, rollouts, routes};
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = cohorts)]
struct CohortRow {
    name: String,
    keys: String,
    description: String,
    revision: i64,
    changed_at: NaiveDateTime,
}

impl Tx<'_> {
    /// Every cohort, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn cohorts(&mut self) -> Result<Vec<NamedCohort>, StoreError> {
        cohorts::table
            .order(cohorts::name.asc())
            .load::<CohortRow>(self.connection)?
            .into_iter()
            .map(NamedCohort::try_from)
            .collect()
    }

    /// One cohort.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn cohort(&mut self, name: &Name) -> Result<Option<NamedCohort>, StoreError> {
        cohorts::table
            .filter(cohorts::name.eq(name.as_str()))
            .first::<CohortRow>(self.connection)
            .optional()?
            .map(NamedCohort::try_from)
            .transpose()
    }

    /// Locks those of these cohorts that there are, by name, and reads them. Locked before any
    /// rollout is.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_cohorts(&mut self, names: &BTreeSet<Name>) -> Result<Vec<NamedCohort>, StoreError> {
        let mut found = Vec::new();
        for name in names {
            diesel::update(cohorts::table.filter(cohorts::name.eq(name.as_str())))
                .set(cohorts::revision.eq(cohorts::revision))
                .execute(self.connection)?;
            found.extend(self.cohort(name)?);
        }
        Ok(found)
    }

    /// Adds a cohort.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the name is taken.
    pub fn add_cohort(&mut self, cohort: &NamedCohort) -> Result<(), StoreError> {
        diesel::insert_into(cohorts::table)
            .values(&CohortRow::of(cohort)?)
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes a cohort that is locked.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_cohort(&mut self, cohort: &NamedCohort) -> Result<(), StoreError> {
        diesel::update(cohorts::table.filter(cohorts::name.eq(cohort.name.as_str())))
            .set(&CohortRow::of(cohort)?)
            .execute(self.connection)?;
        Ok(())
    }

    /// Deletes a cohort.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_cohort(&mut self, name: &Name) -> Result<(), StoreError> {
        diesel::delete(cohorts::table.filter(cohorts::name.eq(name.as_str())))
            .execute(self.connection)?;
        Ok(())
    }

    /// The rollouts that use a cohort, by route and environment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn users_of_cohort(&mut self, name: &Name) -> Result<Vec<Rollout>, StoreError> {
        let rows: Vec<RolloutRow> = rollouts::table
            .filter(rollouts::uses.is_not_null())
            .order((rollouts::route.asc(), rollouts::environment.asc()))
            .load(self.connection)?;
        let mut users = Vec::new();
        for row in rows {
            let rollout = Rollout::try_from(row)?;
            if rollout.uses.cohorts().contains(name) {
                users.push(rollout);
            }
        }
        Ok(users)
    }

    /// Every ramp group that states what its keys are, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ramp_groups(&mut self) -> Result<Vec<RampGroup>, StoreError> {
        ramp_groups::table
            .order(ramp_groups::name.asc())
            .load::<(String, String, String)>(self.connection)?
            .into_iter()
            .map(|(name, keys, description)| {
                Ok(RampGroup {
                    name: read("ramp_groups.name", &name)?,
                    keys,
                    description,
                })
            })
            .collect()
    }

    /// Writes a ramp group, in the place of what has its name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_ramp_group(&mut self, group: &RampGroup) -> Result<(), StoreError> {
        self.remove_ramp_group(&group.name)?;
        diesel::insert_into(ramp_groups::table)
            .values((
                ramp_groups::name.eq(group.name.as_str()),
                ramp_groups::keys.eq(&group.keys),
                ramp_groups::description.eq(&group.description),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Deletes a ramp group.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_ramp_group(&mut self, name: &Name) -> Result<(), StoreError> {
        diesel::delete(ramp_groups::table.filter(ramp_groups::name.eq(name.as_str())))
            .execute(self.connection)?;
        Ok(())
    }

    /// The routes of a ramp group, by key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn routes_of_ramp_group(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        Ok(routes::table
            .filter(routes::ramp_group.eq(name))
            .select(routes::key)
            .order(routes::key.asc())
            .load(self.connection)?)
    }
}

impl CohortRow {
    fn of(cohort: &NamedCohort) -> Result<CohortRow, StoreError> {
        Ok(CohortRow {
            name: cohort.name.to_string(),
            keys: json(&cohort.keys)?,
            description: cohort.description.clone(),
            revision: count(cohort.revision),
            changed_at: time(cohort.changed_at),
        })
    }
}

impl TryFrom<CohortRow> for NamedCohort {
    type Error = StoreError;

    fn try_from(row: CohortRow) -> Result<NamedCohort, StoreError> {
        Ok(NamedCohort {
            name: read("cohorts.name", &row.name)?,
            keys: from_json("cohorts.keys", &row.keys)?,
            description: row.description,
            revision: counted("cohorts.revision", row.revision)?,
            changed_at: row.changed_at.and_utc(),
        })
    }
}
