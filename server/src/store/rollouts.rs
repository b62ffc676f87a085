//! Rollouts on record.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::doubling::{Counted, Doubling};
use crate::domain::environment::EnvironmentKey;
use crate::domain::lifecycle::Transition;
use crate::domain::policy::PolicyName;
use crate::domain::rollout::Rollout;
use crate::store::rows::{RolloutRow, count, counted, from_json, json, time};
use crate::store::schema::{rollouts, routes};
use crate::store::{StoreError, Tx, dialect};

impl Tx<'_> {
    /// One rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn rollout(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<Option<Rollout>, StoreError> {
        rollouts::table
            .filter(rollouts::route.eq(route.as_str()))
            .filter(rollouts::environment.eq(environment.as_str()))
            .first::<RolloutRow>(self.connection)
            .optional()?
            .map(Rollout::try_from)
            .transpose()
    }

    /// The rollouts of these routes, in every environment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn rollouts_of(&mut self, routes: &[&str]) -> Result<Vec<Rollout>, StoreError> {
        rollouts::table
            .filter(rollouts::route.eq_any(routes.iter().copied()))
            .order((rollouts::route.asc(), rollouts::environment.asc()))
            .load::<RolloutRow>(self.connection)?
            .into_iter()
            .map(Rollout::try_from)
            .collect()
    }

    /// The rollouts of an environment, by route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn rollouts_in(
        &mut self,
        environment: &EnvironmentKey,
    ) -> Result<Vec<Rollout>, StoreError> {
        rollouts::table
            .filter(rollouts::environment.eq(environment.as_str()))
            .order(rollouts::route.asc())
            .load::<RolloutRow>(self.connection)?
            .into_iter()
            .map(Rollout::try_from)
            .collect()
    }

    /// Those whose acceptance window has ended by now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn windows_due(&mut self, now: DateTime<Utc>) -> Result<Vec<(String, String)>, StoreError> {
        Ok(rollouts::table
            .filter(rollouts::acceptance_until.is_not_null())
            .filter(rollouts::acceptance_until.le(time(now)))
            .select((rollouts::route, rollouts::environment))
            .order((rollouts::route.asc(), rollouts::environment.asc()))
            .load(self.connection)?)
    }

    /// Those whose ramp may move by now, with the revision that says so.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ramps_due(
        &mut self,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, String, u64)>, StoreError> {
        rollouts::table
            .filter(rollouts::ramp_due.is_not_null())
            .filter(rollouts::ramp_due.le(time(now)))
            .select((rollouts::route, rollouts::environment, rollouts::revision))
            .order((rollouts::route.asc(), rollouts::environment.asc()))
            .load::<(String, String, i64)>(self.connection)?
            .into_iter()
            .map(|(route, environment, revision)| {
                let revision = counted("rollouts.revision", revision)?;
                Ok((route, environment, revision))
            })
            .collect()
    }

    /// Has the generations of data routes begin beyond those that are known outside.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn leap_generations(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let rows: Vec<RolloutRow> = rollouts::table
            .inner_join(routes::table)
            .filter(routes::operation.eq("write"))
            .select(rollouts::all_columns)
            .load(self.connection)?;
        for row in rows {
            let (route, environment) = (row.route.clone(), row.environment.clone());
            let data = Rollout::try_from(row)?.data.in_new_epoch(now);
            diesel::update(
                rollouts::table
                    .filter(rollouts::route.eq(route))
                    .filter(rollouts::environment.eq(environment)),
            )
            .set((
                rollouts::data.eq(Some(json(&data)?)),
                rollouts::flip_until.eq(None::<NaiveDateTime>),
            ))
            .execute(self.connection)?;
        }
        Ok(())
    }

    /// Those with a flip under way whose time is over by now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn flips_due(&mut self, now: DateTime<Utc>) -> Result<Vec<(String, String)>, StoreError> {
        Ok(rollouts::table
            .filter(rollouts::flip_until.is_not_null())
            .filter(rollouts::flip_until.le(time(now)))
            .select((rollouts::route, rollouts::environment))
            .order((rollouts::route.asc(), rollouts::environment.asc()))
            .load(self.connection)?)
    }

    /// Locks a rollout for this transaction and reads it; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is at another revision than `expected`.
    pub fn lock_rollout(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        expected: Option<u64>,
    ) -> Result<Option<Rollout>, StoreError> {
        diesel::update(
            rollouts::table
                .filter(rollouts::route.eq(route.as_str()))
                .filter(rollouts::environment.eq(environment.as_str())),
        )
        .set(rollouts::revision.eq(rollouts::revision))
        .execute(self.connection)?;
        let rollout = self.rollout(route, environment)?;
        match (&rollout, expected) {
            (Some(rollout), Some(expected)) if rollout.revision != expected => {
                Err(StoreError::Stale)
            }
            _ => Ok(rollout),
        }
    }

    /// Adds the rollouts of new routes or of a new environment.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when there is one already.
    pub fn add_rollouts(
        &mut self,
        rollouts: &[Rollout],
        published_at: u64,
    ) -> Result<(), StoreError> {
        let rows = rollouts
            .iter()
            .map(|rollout| RolloutRow::of(rollout, published_at))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(dialect::insert_rollouts(self.connection, &rows)?)
    }

    /// Writes a transition, published at this revision of its environment.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the rollout is not as the transition found it.
    pub fn apply(&mut self, transition: &Transition, published_at: u64) -> Result<(), StoreError> {
        let before = transition.before();
        let mut row = RolloutRow::of(transition.after(), published_at)?;
        if transition.is_about_a_hold() {
            // No key has moved, and what guards have counted goes on to count.
            let since = self.counted_since(&before.route, &before.environment)?;
            let data = Doubling {
                counted: since.map(|since| Counted {
                    published: published_at,
                    since,
                }),
                ..transition.after().data.clone()
            };
            row.data = Some(json(&data)?);
        }
        let updated = diesel::update(
            rollouts::table
                .filter(rollouts::route.eq(before.route.as_str()))
                .filter(rollouts::environment.eq(before.environment.as_str()))
                .filter(rollouts::revision.eq(count(before.revision))),
        )
        .set(&row)
        .execute(self.connection)?;
        if updated == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Locks the rollouts of every route that has a policy; gives these routes.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_rollouts_under(
        &mut self,
        policy: &PolicyName,
    ) -> Result<BTreeSet<String>, StoreError> {
        dialect::lock_rollouts_under(self.connection, policy.as_str())?;
        Ok(self.routes_with_policy(policy)?.into_iter().collect())
    }

    /// The revision of its environment from which on the guards of a rollout count: the one with which
    /// it came to be published as it is, apart from announcements. `None` where there is none.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn counted_since(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<Option<u64>, StoreError> {
        let published: Option<(i64, Option<String>)> = rollouts::table
            .filter(rollouts::route.eq(route.as_str()))
            .filter(rollouts::environment.eq(environment.as_str()))
            .select((rollouts::published_at, rollouts::data))
            .first(self.connection)
            .optional()?;
        published
            .map(|(published, data)| {
                let published = counted("rollouts.published_at", published)?;
                let data = data.map(|data| from_json::<Doubling>("rollouts.data", &data));
                let data = data.transpose()?.unwrap_or_default();
                Ok(data.counted_since(published))
            })
            .transpose()
    }

    /// Has the rollouts of these routes published anew at this revision: what callers count of them
    /// has changed, and nothing that they decide by.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn publish_anew(
        &mut self,
        routes: &[&str],
        environment: &EnvironmentKey,
        published_at: u64,
    ) -> Result<(), StoreError> {
        for some in routes.chunks(500) {
            diesel::update(
                rollouts::table
                    .filter(rollouts::route.eq_any(some.iter().copied()))
                    .filter(rollouts::environment.eq(environment.as_str())),
            )
            .set(rollouts::published_at.eq(count(published_at)))
            .execute(self.connection)?;
        }
        Ok(())
    }

    /// Has a route's rollout published anew at this revision: what the route says of itself has
    /// changed, and with it what its keys take.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn republish(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        published_at: u64,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        diesel::update(
            rollouts::table
                .filter(rollouts::route.eq(route.as_str()))
                .filter(rollouts::environment.eq(environment.as_str())),
        )
        .set((
            rollouts::published_at.eq(count(published_at)),
            rollouts::changed_at.eq(time(now)),
            rollouts::revision.eq(rollouts::revision + 1),
        ))
        .execute(self.connection)?;
        Ok(())
    }
}
