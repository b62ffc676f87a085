//! What is wrong with one field of what somebody sent.

use serde::{Deserialize, Serialize};

/// A complaint about one field of what somebody sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Which field, as a path such as `links.runbook` or `[3].endpoint`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

impl FieldError {
    /// A complaint.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError {
            field: field.into(),
            detail: detail.into(),
        }
    }
}
