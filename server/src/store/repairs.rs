//! The ledger of repairs.

mod rows;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use switchover::{RepairState, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::repair::{KeptRepair, LedgerGroup, LedgerSum};
use crate::store::rows::{count, counted};
use crate::store::schema::repairs;
use crate::store::{StoreError, Tx, dialect};

use rows::{COLUMNS, PRIMARY, RepairRow, cells, collected, kept_key, key_of, name, value};
pub(super) use rows::{micros, moment};

/// Of which rollout.
type Place<'a> = (&'a RouteKey, &'a EnvironmentKey);

impl Tx<'_> {
    /// The repairs of these keys that a process has, or that were handed to it, by key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn repairs_told(
        &mut self,
        (route, environment): Place<'_>,
        instance: &str,
        keys: &[&str],
    ) -> Result<Vec<KeptRepair>, StoreError> {
        let keys: Vec<String> = keys.iter().map(|key| kept_key(key)).collect();
        collected(
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .filter(repairs::key.eq_any(keys))
                .filter(
                    repairs::instance
                        .eq(instance)
                        .or(repairs::leased_to.eq(instance)),
                )
                .load::<RepairRow>(self.connection)?,
        )
    }

    /// Every repair of these keys, by whichever process.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn repairs_of_keys(
        &mut self,
        (route, environment): Place<'_>,
        keys: &[String],
    ) -> Result<Vec<KeptRepair>, StoreError> {
        let keys: Vec<String> = keys.iter().map(|key| kept_key(key)).collect();
        collected(
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .filter(repairs::key.eq_any(keys))
                .load::<RepairRow>(self.connection)?,
        )
    }

    /// The repairs of a rollout in one of these states, by key and process: those after a place, at
    /// most so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn repairs(
        &mut self,
        (route, environment): Place<'_>,
        states: &[RepairState],
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<KeptRepair>, StoreError> {
        let states = states.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let mut query = repairs::table
            .filter(repairs::environment.eq(environment.as_str().to_owned()))
            .filter(repairs::route.eq(route.as_str().to_owned()))
            .filter(repairs::state.eq_any(states))
            .order((repairs::key.asc(), repairs::instance.asc()))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .into_boxed();
        if let Some((key, instance)) = after {
            let key = kept_key(key);
            query = query.filter(
                repairs::key.gt(key.clone()).or(repairs::key
                    .eq(key)
                    .and(repairs::instance.gt(instance.clone()))),
            );
        }
        collected(query.load::<RepairRow>(self.connection)?)
    }

    /// The keys of a rollout with unresolved repairs, at most so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn unresolved_keys(
        &mut self,
        (route, environment): Place<'_>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let keys: Vec<String> = repairs::table
            .filter(repairs::environment.eq(environment.as_str()))
            .filter(repairs::route.eq(route.as_str()))
            .filter(repairs::state.eq_any(["open", "failed", "conflict"]))
            .select(repairs::key)
            .distinct()
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load(self.connection)?;
        keys.iter().map(|key| key_of(key)).collect()
    }

    /// The unresolved repairs of a rollout, summed up.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ledger_sum(&mut self, place: Place<'_>) -> Result<LedgerSum, StoreError> {
        Ok(LedgerSum::of(&self.ledger_groups(place)?))
    }

    /// The unresolved repairs of a rollout, counted by state, cause and written side.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ledger_groups(
        &mut self,
        (route, environment): Place<'_>,
    ) -> Result<Vec<LedgerGroup>, StoreError> {
        let mine = repairs::table
            .filter(repairs::environment.eq(environment.as_str()))
            .filter(repairs::route.eq(route.as_str()))
            .filter(repairs::state.eq_any(["open", "failed", "conflict"]));
        let rows: Vec<(String, String, String, i64, Option<i64>)> = mine
            .group_by((repairs::state, repairs::cause, repairs::written))
            .select((
                repairs::state,
                repairs::cause,
                repairs::written,
                count_star(),
                min(repairs::first_at),
            ))
            .order((repairs::state, repairs::cause, repairs::written))
            .load(self.connection)?;
        let groups = rows.into_iter();
        groups
            .map(|(state, cause, written, many, oldest)| {
                Ok(LedgerGroup {
                    state: value("repairs.state", &state)?,
                    cause: value("repairs.cause", &cause)?,
                    written: value("repairs.written", &written)?,
                    count: counted("repairs", many)?,
                    oldest: oldest
                        .map(|at| moment("repairs.first_at", at))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// What a process is still to be told of its own repairs.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ordered_repairs(
        &mut self,
        (route, environment): Place<'_>,
        instance: &str,
        limit: i64,
    ) -> Result<Vec<KeptRepair>, StoreError> {
        collected(
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .filter(repairs::instance.eq(instance))
                .filter(repairs::ordered.is_not_null())
                .order(repairs::key.asc())
                .limit(limit)
                .load::<RepairRow>(self.connection)?,
        )
    }

    /// Whether some process may have something to do about repairs of a rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn has_repair_work(&mut self, (route, environment): Place<'_>) -> Result<bool, StoreError> {
        let mine = || {
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .select(repairs::key)
        };
        let open: Option<String> = mine()
            .filter(repairs::state.eq("open"))
            .first(self.connection)
            .optional()?;
        if open.is_some() {
            return Ok(true);
        }
        let ordered: Option<String> = mine()
            .filter(repairs::ordered.is_not_null())
            .first(self.connection)
            .optional()?;
        Ok(ordered.is_some())
    }

    /// Who has repairs that are tried, or that a person wants tried.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn repair_holders(
        &mut self,
        (route, environment): Place<'_>,
    ) -> Result<Vec<String>, StoreError> {
        Ok(repairs::table
            .filter(repairs::environment.eq(environment.as_str()))
            .filter(repairs::route.eq(route.as_str()))
            .filter(repairs::state.eq_any(["open", "failed", "conflict"]))
            .filter(repairs::state.eq("open").or(repairs::ordered.eq("retry")))
            .select(repairs::instance)
            .distinct()
            .load(self.connection)?)
    }

    /// Repairs of these processes that are tried or to be tried, and that nobody has in their place;
    /// oldest first, at most so many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn repairs_of(
        &mut self,
        (route, environment): Place<'_>,
        instances: &[String],
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<KeptRepair>, StoreError> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        collected(
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .filter(repairs::instance.eq_any(instances))
                .filter(repairs::state.eq_any(["open", "failed", "conflict"]))
                .filter(repairs::state.eq("open").or(repairs::ordered.eq("retry")))
                .filter(
                    repairs::leased_until
                        .is_null()
                        .or(repairs::leased_until.le(micros(now))),
                )
                .order(repairs::first_at.asc())
                .limit(i64::try_from(limit).unwrap_or(i64::MAX))
                .load::<RepairRow>(self.connection)?,
        )
    }

    /// The unresolved repairs of these processes.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn unresolved_of(
        &mut self,
        (route, environment): Place<'_>,
        instances: &[String],
    ) -> Result<Vec<KeptRepair>, StoreError> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        collected(
            repairs::table
                .filter(repairs::environment.eq(environment.as_str()))
                .filter(repairs::route.eq(route.as_str()))
                .filter(repairs::instance.eq_any(instances))
                .filter(repairs::state.eq_any(["open", "failed", "conflict"]))
                .load::<RepairRow>(self.connection)?,
        )
    }

    /// Writes repairs, over those that are there.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_repairs(
        &mut self,
        (route, environment): Place<'_>,
        kept: &[KeptRepair],
    ) -> Result<(), StoreError> {
        // One statement cannot write a row twice: the last word counts.
        let last: BTreeMap<(&str, &str), &KeptRepair> = kept
            .iter()
            .map(|repair| ((repair.key.as_str(), repair.instance.as_str()), repair))
            .collect();
        let rows = last
            .into_values()
            .map(|repair| cells((route, environment), repair))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(dialect::put(
            self.connection,
            "repairs",
            &COLUMNS,
            PRIMARY,
            rows,
        )?)
    }

    /// Removes repairs of these names, which others have now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_repairs(
        &mut self,
        (route, environment): Place<'_>,
        names: &[(String, String)],
    ) -> Result<(), StoreError> {
        for (key, instance) in names {
            let row = (
                environment.as_str(),
                route.as_str(),
                kept_key(key),
                instance,
            );
            diesel::delete(repairs::table.find(row)).execute(self.connection)?;
        }
        Ok(())
    }

    /// Forgets repairs that were resolved before this time, and of each rollout all but the last so
    /// many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_repairs(
        &mut self,
        before: DateTime<Utc>,
        most: u64,
    ) -> Result<usize, StoreError> {
        let mut gone = diesel::delete(
            repairs::table
                .filter(repairs::state.eq("resolved"))
                .filter(repairs::settled_at.lt(micros(before))),
        )
        .execute(self.connection)?;
        let many: Vec<(String, String, i64)> = repairs::table
            .filter(repairs::state.eq("resolved"))
            .group_by((repairs::environment, repairs::route))
            .select((repairs::environment, repairs::route, count_star()))
            .load(self.connection)?;
        for (environment, route, found) in many {
            if counted("repairs", found)? <= most {
                continue;
            }
            let of_rollout = || {
                repairs::table
                    .filter(repairs::environment.eq(environment.clone()))
                    .filter(repairs::route.eq(route.clone()))
                    .filter(repairs::state.eq("resolved"))
            };
            let edge: Option<Option<i64>> = of_rollout()
                .select(repairs::settled_at)
                .order(repairs::settled_at.desc())
                .offset(count(most))
                .first(self.connection)
                .optional()?;
            if let Some(edge) = edge.flatten() {
                gone += diesel::delete(of_rollout().filter(repairs::settled_at.le(edge)))
                    .execute(self.connection)?;
            }
        }
        Ok(gone)
    }
}
