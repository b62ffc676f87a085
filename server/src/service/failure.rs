//! Why a service did not do what it was asked. Nothing has changed then.

use std::fmt;

use crate::domain::field::FieldError;
use crate::domain::refusal::Refusal;
use crate::store::StoreError;

/// What was asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What kind of thing: `route`, `environment`, `approval`, `SDK key`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
}

/// A name that is taken, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// The field with the name.
    pub field: &'static str,
    /// By whom it is taken, and the way out.
    pub detail: String,
}

/// The complaints about one row of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowErrors {
    /// Which row, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub errors: Vec<FieldError>,
}

/// Why a service did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The rules do not allow it.
    Refused(Refusal),
    /// There is no such thing.
    Missing(Missing),
    /// There is one already.
    Exists(Existing),
    /// Values that cannot be.
    Invalid(Vec<FieldError>),
    /// Rows that cannot be imported; then none is.
    Rows(Vec<RowErrors>),
    /// It contradicts what is on record.
    Conflict(String),
    /// What is to be changed does not have the expected tag any more.
    Precondition {
        /// The tag it has.
        current: String,
    },
    /// The idempotency key was used for another request body.
    IdempotencyMismatch,
    /// The same request, by its idempotency key, was being carried out and now is done.
    JustDone,
    /// There is no key to sign manifests with: why, and what to do.
    NoManifestKey(String),
    /// What may be done once at a time is being done for somebody else.
    UnderWay(&'static str),
    /// The database did not answer as it should.
    Store(StoreError),
}

impl Failure {
    /// One complaint about one field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure::Invalid(vec![FieldError::new(field, detail)])
    }

    /// There is no such thing.
    pub fn missing(what: &'static str, name: impl fmt::Display) -> Failure {
        Failure::Missing(Missing {
            what,
            name: name.to_string(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(refusal) => write!(f, "{refusal}"),
            Failure::Missing(Missing { what, name }) => write!(f, "there is no {what} `{name}`"),
            Failure::Exists(existing) => f.write_str(&existing.detail),
            Failure::Invalid(errors) => {
                let errors: Vec<String> = errors
                    .iter()
                    .map(|error| format!("{}: {}", error.field, error.detail))
                    .collect();
                f.write_str(&errors.join("; "))
            }
            Failure::Rows(rows) => write!(f, "{} rows cannot be imported", rows.len()),
            Failure::Conflict(detail) => f.write_str(detail),
            Failure::Precondition { current } if current.is_empty() => {
                f.write_str("there is none yet, so it has no tag to match")
            }
            Failure::Precondition { current } => {
                write!(
                    f,
                    "it has changed in the meantime: its tag is {current} now"
                )
            }
            Failure::IdempotencyMismatch => {
                f.write_str("this idempotency key was used for another request")
            }
            Failure::JustDone => f.write_str("the same request has just been carried out"),
            Failure::NoManifestKey(why) => write!(f, "no manifest can be signed: {why}"),
            Failure::UnderWay(what) => write!(f, "{what} is under way"),
            Failure::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Store(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Invalid { field, detail } => Failure::invalid(field, detail),
            other => Failure::Refused(other),
        }
    }
}
