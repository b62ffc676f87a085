//! Rows of the ledger.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::repair::{KeptRepair, Settled};
use crate::store::repairs::Place;
use crate::store::rows::{corrupt, count, counted};
use crate::store::{StoreError, dialect};

pub(super) const COLUMNS: [&str; 18] = [
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
pub(super) const PRIMARY: usize = 4;

#[derive(Queryable, QueryableByName)]
pub(super) struct RepairRow {
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

pub(super) fn collected(rows: Vec<RepairRow>) -> Result<Vec<KeptRepair>, StoreError> {
    rows.into_iter().map(KeptRepair::try_from).collect()
}

pub(super) fn cells(
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
pub(in crate::store) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

pub(in crate::store) fn moment(column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
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
pub(super) fn kept_key(key: &str) -> String {
    key.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0")
}

pub(super) fn key_of(kept: &str) -> Result<String, StoreError> {
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
