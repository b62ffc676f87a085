//! Between rows and types.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchover::{Path, Role};

use crate::store::StoreError;

pub(super) fn corrupt(column: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("telemetry, {column}: {value}"))
}

/// A count as a column keeps it: no one has ever seen more.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count(column: &str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt(column, number))
}

pub(super) fn moment(column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt(column, micros))
}

pub(super) fn parse<T: FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt(column, text))
}

pub(super) fn path(column: &str, text: &str) -> Result<Path, StoreError> {
    [Path::Old, Path::New]
        .into_iter()
        .find(|path| path.name() == text)
        .ok_or_else(|| corrupt(column, text))
}

pub(super) fn role(column: &str, text: &str) -> Result<Role, StoreError> {
    [Role::Authoritative, Role::Mirror]
        .into_iter()
        .find(|role| role.name() == text)
        .ok_or_else(|| corrupt(column, text))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("JSON", error))
}

pub(super) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}
