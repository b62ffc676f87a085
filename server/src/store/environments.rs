//! Environments on record.

use diesel::prelude::*;

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::store::rows::{EnvironmentRow, count, counted};
use crate::store::schema::environments;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// Every environment, by position.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn environments(&mut self) -> Result<Vec<Environment>, StoreError> {
        environments::table
            .order(environments::position.asc())
            .load::<EnvironmentRow>(self.connection)?
            .into_iter()
            .map(Environment::try_from)
            .collect()
    }

    /// One environment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn environment(&mut self, key: &EnvironmentKey) -> Result<Option<Environment>, StoreError> {
        environments::table
            .filter(environments::key.eq(key.as_str()))
            .first::<EnvironmentRow>(self.connection)
            .optional()?
            .map(Environment::try_from)
            .transpose()
    }

    /// Adds an environment.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its key or position is taken.
    pub fn add_environment(&mut self, environment: &Environment) -> Result<(), StoreError> {
        diesel::insert_into(environments::table)
            .values(&EnvironmentRow::from(environment))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes an environment that was read at `generation`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it has changed since; [`StoreError::Duplicate`] when the position
    /// is taken.
    pub fn update_environment(
        &mut self,
        environment: &Environment,
        generation: u64,
    ) -> Result<(), StoreError> {
        let updated = diesel::update(
            environments::table
                .filter(environments::key.eq(environment.key.as_str()))
                .filter(environments::generation.eq(count(generation))),
        )
        .set((
            environments::position.eq(environment.position),
            environments::production.eq(environment.production),
            environments::generation.eq(count(environment.generation)),
        ))
        .execute(self.connection)?;
        if updated == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Locks an environment. Until the transaction ends nobody else commits in it, so facts read
    /// from here on stay true.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_environment(&mut self, key: &EnvironmentKey) -> Result<(), StoreError> {
        diesel::update(environments::table.filter(environments::key.eq(key.as_str())))
            .set(environments::revision.eq(environments::revision))
            .execute(self.connection)?;
        Ok(())
    }

    /// Takes the next revision of an environment, and locks it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn next_revision(&mut self, key: &EnvironmentKey) -> Result<u64, StoreError> {
        let revision: i64 =
            diesel::update(environments::table.filter(environments::key.eq(key.as_str())))
                .set(environments::revision.eq(environments::revision + 1))
                .returning(environments::revision)
                .get_result(self.connection)?;
        counted("environments.revision", revision)
    }
}
