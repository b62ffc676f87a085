//! Reading a declaration: YAML or JSON, bounded, and every complaint says where.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::domain::declared::{Declared, DeclaredRoute, VERSION};
use crate::domain::policy::Policy;

/// The most bytes that a file may have.
pub const LARGEST_FILE: usize = 8 * 1024 * 1024;
/// Values that other systems keep with their flags may be deep; nothing of ours is.
const DEEPEST: usize = 64;
/// So many nodes do 8 MiB have where each is four bytes.
const MOST_NODES: usize = 2_000_000;
/// Aliases save nothing in a file whose things differ; a bomb needs many.
const MOST_ALIASES: usize = 1_000;
/// What aliases stand for, in all.
const MOST_REPEATED: usize = 200_000;

/// Why a file cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Line and column, from 1.
    pub place: Option<(u64, u64)>,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.detail)
    }
}

impl Unreadable {
    pub(super) fn new(detail: impl Into<String>) -> Unreadable {
        Unreadable {
            place: None,
            detail: detail.into(),
        }
    }
}

impl Declared {
    /// Reads what somebody wrote. JSON is YAML too.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn read(text: &str) -> Result<Declared, Unreadable> {
        let mut declared: Declared = from_yaml(text)?;
        if declared.version != VERSION {
            return Err(Unreadable::new(format!(
                "version: this program reads version {VERSION}, not {}",
                declared.version
            )));
        }
        declared.normalise()?;
        Ok(declared)
    }

    /// As the server keeps it, so that only what differs there differs here.
    pub(super) fn normalise(&mut self) -> Result<(), Unreadable> {
        for (name, document) in self.policies.iter_mut().flatten() {
            *document = policy_document(name.as_str(), document)?;
        }
        for cohort in self.cohorts.iter_mut().flat_map(BTreeMap::values_mut) {
            trim(&mut cohort.description);
        }
        for group in self.ramp_groups.iter_mut().flat_map(BTreeMap::values_mut) {
            trim(&mut group.description);
            trim(&mut group.keys);
        }
        for route in self.routes.iter_mut().flat_map(BTreeMap::values_mut) {
            route.normalise();
        }
        Ok(())
    }
}

impl DeclaredRoute {
    fn normalise(&mut self) {
        trim(&mut self.owner);
        trim(&mut self.description);
        let labels = self.labels.iter_mut().chain(&mut self.contacts);
        for value in labels.flat_map(BTreeMap::values_mut) {
            *value = value.trim().to_owned();
        }
        if let Some(schedule) = &mut self.schedule {
            schedule.retain(|_, stages| !stages.is_empty());
        }
    }
}

/// Anything that serde can read, from YAML or JSON within the bounds of this module.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub(in crate::domain) fn from_yaml<T: serde::de::DeserializeOwned>(
    text: &str,
) -> Result<T, Unreadable> {
    if text.len() > LARGEST_FILE {
        return Err(Unreadable::new(format!(
            "the file has {} bytes, and may have {LARGEST_FILE}: split it",
            text.len()
        )));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_nodes: MOST_NODES,
            max_events: 2 * MOST_NODES,
            max_aliases: MOST_ALIASES,
            max_anchors: MOST_ALIASES,
            max_recorded_anchor_events: MOST_REPEATED,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_REPEATED,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| complaint(&error))
}

fn complaint(error: &serde_saphyr::Error) -> Unreadable {
    let place = error
        .location()
        .map(|location| (location.line(), location.column()));
    let text = error.to_string();
    let detail = text.lines().next().unwrap_or_default();
    // The place is said once.
    let detail = detail.split(" at line ").next().unwrap_or(detail);
    Unreadable {
        place,
        detail: detail.to_owned(),
    }
}

/// A policy's document as the server shows it, without the name.
pub(super) fn policy_document(name: &str, document: &Value) -> Result<Value, Unreadable> {
    let Value::Object(fields) = document else {
        return Err(Unreadable::new(format!(
            "policies.{name}: a policy is a document with `gates`, `ramp` and `guards`"
        )));
    };
    let mut fields = fields.clone();
    fields.insert("name".to_owned(), Value::String(name.to_owned()));
    let text = Value::Object(fields).to_string();
    let policy = Policy::parse(text.as_bytes()).map_err(|errors| {
        let errors: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.detail))
            .collect();
        Unreadable::new(format!("policies.{name}: {}", errors.join("; ")))
    })?;
    // A policy always serialises.
    Ok(nameless(serde_json::to_value(&policy).unwrap_or_default()))
}

/// A policy's document without the name, which stands before it.
pub(super) fn nameless(mut document: Value) -> Value {
    if let Value::Object(fields) = &mut document {
        fields.remove("name");
    }
    document
}

fn trim(text: &mut Option<String>) {
    if let Some(text) = text {
        *text = text.trim().to_owned();
    }
}
