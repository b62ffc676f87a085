//! The ledger of repairs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchover::{Cause, RepairState, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::repair::{KeptRepair, LedgerSum, Settled};
use crate::store::rows::{corrupt, count, counted};
use crate::store::schema::repairs;
use crate::store::{StoreError, Tx, dialect};

const COLUMNS: [&str; 18] = [
    "environment",
    "route",
    "key",
    "instance",
    "written",
    "generation",
    "cause",
    "state",
    "attempts",
    "failed_at",
    "first_at",
    "last_at",
    "settled_at",
    "settled_by",
    "settled_why",
    "ordered",
    "leased_to",
    "leased_until",
];
const PRIMARY: usize = 4;

/// Of which rollout.
type Place<'a> = (&'a RouteKey, &'a EnvironmentKey);

#[derive(Queryable, QueryableByName)]
struct RepairRow {
    #[diesel(sql_type = Text)]
    #[expect(dead_code, reason = "rows are asked for by it")]
    environment: String,
    #[diesel(sql_type = Text)]
    #[expect(dead_code, reason = "rows are asked for by it")]
    route: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    instance: String,
    #[diesel(sql_type = Text)]
    written: String,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Text)]
    cause: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = Nullable<Text>)]
    failed_at: Option<String>,
    #[diesel(sql_type = BigInt)]
    first_at: i64,
    #[diesel(sql_type = BigInt)]
    last_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    settled_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    settled_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    settled_why: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    ordered: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    leased_to: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    leased_until: Option<i64>,
}

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
    pub fn ledger_sum(&mut self, (route, environment): Place<'_>) -> Result<LedgerSum, StoreError> {
        let mine = repairs::table
            .filter(repairs::environment.eq(environment.as_str()))
            .filter(repairs::route.eq(route.as_str()))
            .filter(repairs::state.eq_any(["open", "failed", "conflict"]));
        let rows: Vec<(String, String, i64, Option<i64>)> = mine
            .group_by((repairs::state, repairs::cause))
            .select((
                repairs::state,
                repairs::cause,
                count_star(),
                min(repairs::first_at),
            ))
            .load(self.connection)?;
        let mut sum = LedgerSum::default();
        for (state, cause, many, oldest) in rows {
            let many = counted("repairs", many)?;
            match value("repairs.state", &state)? {
                RepairState::Open => sum.open += many,
                RepairState::Failed => sum.failed += many,
                RepairState::Conflict => sum.conflict += many,
                RepairState::Resolved => {}
            }
            if value::<Cause>("repairs.cause", &cause)? == Cause::AtRisk {
                sum.at_risk += many;
            }
            let oldest = oldest
                .map(|at| moment("repairs.first_at", at))
                .transpose()?;
            sum.oldest = match (sum.oldest, oldest) {
                (Some(known), Some(other)) => Some(known.min(other)),
                (known, other) => known.or(other),
            };
        }
        Ok(sum)
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

fn collected(rows: Vec<RepairRow>) -> Result<Vec<KeptRepair>, StoreError> {
    rows.into_iter().map(KeptRepair::try_from).collect()
}

fn cells(
    (route, environment): Place<'_>,
    repair: &KeptRepair,
) -> Result<Vec<dialect::Cell>, StoreError> {
    use dialect::Cell;
    let settled = repair.settled.as_ref();
    Ok(vec![
        Cell::from(environment.as_str()),
        Cell::from(route.as_str()),
        Cell::from(kept_key(&repair.key)),
        Cell::from(repair.instance.as_str()),
        Cell::from(name(&repair.written)?),
        Cell::from(count(repair.generation)),
        Cell::from(name(&repair.cause)?),
        Cell::from(name(&repair.state)?),
        Cell::from(i64::from(repair.attempts)),
        Cell::Text(repair.failed_at.as_ref().map(name).transpose()?),
        Cell::from(micros(repair.first_at)),
        Cell::from(micros(repair.last_at)),
        Cell::Number(settled.map(|settled| micros(settled.at))),
        Cell::Text(settled.map(|settled| settled.by.clone())),
        Cell::Text(settled.and_then(|settled| settled.why.clone())),
        Cell::Text(repair.order.as_ref().map(name).transpose()?),
        Cell::Text(repair.lease.as_ref().map(|(to, _)| to.clone())),
        Cell::Number(repair.lease.as_ref().map(|(_, until)| micros(*until))),
    ])
}

impl TryFrom<RepairRow> for KeptRepair {
    type Error = StoreError;

    fn try_from(row: RepairRow) -> Result<KeptRepair, StoreError> {
        let settled = match (row.settled_at, row.settled_by) {
            (Some(at), Some(by)) => Some(Settled {
                at: moment("repairs.settled_at", at)?,
                by,
                why: row.settled_why,
            }),
            _ => None,
        };
        let lease = match (row.leased_to, row.leased_until) {
            (Some(to), Some(until)) => Some((to, moment("repairs.leased_until", until)?)),
            _ => None,
        };
        let optional = |column, text: Option<String>| -> Result<_, StoreError> {
            text.map(|text| value(column, &text)).transpose()
        };
        Ok(KeptRepair {
            key: key_of(&row.key)?,
            instance: row.instance,
            written: value("repairs.written", &row.written)?,
            generation: counted("repairs.generation", row.generation)?,
            cause: value("repairs.cause", &row.cause)?,
            state: value("repairs.state", &row.state)?,
            attempts: u32::try_from(row.attempts)
                .map_err(|_| corrupt("repairs.attempts", row.attempts))?,
            failed_at: optional("repairs.failed_at", row.failed_at)?,
            first_at: moment("repairs.first_at", row.first_at)?,
            last_at: moment("repairs.last_at", row.last_at)?,
            settled,
            order: row
                .ordered
                .map(|text| value("repairs.ordered", &text))
                .transpose()?,
            lease,
        })
    }
}

/// A point in time as these tables keep it.
pub(super) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

pub(super) fn moment(column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt(column, micros))
}

/// The name of a variant without fields, as it is on the wire.
pub(super) fn name(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(corrupt("(to be written)", "no name")),
    }
}

pub(super) fn value<T: DeserializeOwned>(column: &str, name: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|_| corrupt(column, name))
}

/// A key as a column takes it: PostgreSQL keeps no NUL in a text. `\u{1}` begins what stands for one.
fn kept_key(key: &str) -> String {
    key.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0")
}

fn key_of(kept: &str) -> Result<String, StoreError> {
    let mut key = String::with_capacity(kept.len());
    let mut chars = kept.chars();
    while let Some(c) = chars.next() {
        key.push(match c {
            '\u{1}' => match chars.next() {
                Some('0') => '\0',
                Some('1') => '\u{1}',
                _ => return Err(corrupt("repairs.key", kept.escape_debug())),
            },
            other => other,
        });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back() {
        for key in ["a", "a\0b", "\u{1}", "\u{1}0\0\u{1}1", "\0\0", "ä\u{1}"] {
            let kept = kept_key(key);
            assert!(!kept.contains('\0'), "{key:?}");
            assert_eq!(key_of(&kept).unwrap(), key);
        }
        assert!(key_of("a\u{1}").is_err());
    }
}
