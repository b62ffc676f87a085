//! What differs between what is and what is wanted, field by field.

use serde::Serialize;
use serde_json::{Map, Value};

/// A field that is to be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Which field.
    pub field: String,
    /// What it is; null where it is not there yet.
    pub from: Value,
    /// What it is to be.
    pub to: Value,
}

/// The fields that are wanted otherwise. What is not wanted in particular does not differ.
pub(super) fn differences<T: Serialize>(now: &T, wanted: &T) -> Vec<FieldChange> {
    let now = fields(now);
    fields(wanted)
        .into_iter()
        .filter(|(field, _)| field != "rollouts")
        .map(|(field, to)| FieldChange {
            from: now.get(&field).cloned().unwrap_or_default(),
            field,
            to,
        })
        .filter(|change| change.from != change.to)
        .collect()
}

/// The fields that something says.
pub(super) fn fields<T: Serialize>(of: &T) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        // Declarations are structs.
        _ => Map::new(),
    }
}
