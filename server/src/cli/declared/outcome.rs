//! What became of the things of a plan.

use serde::Serialize;
use serde_json::Value;

use crate::domain::declared::Thing;

/// How a thing came out.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is as declared, as far as a file takes it.
    Done,
    /// It is not allowed.
    HeldBack { detail: String },
    /// The server refused a step.
    Refused {
        step: String,
        detail: String,
        problem: Value,
    },
    /// Somebody has changed it since the plan was made.
    Changed { detail: String },
    /// What it needs was not done.
    Skipped { detail: String },
}

/// What became of a thing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Came {
    pub(crate) thing: Thing,
    /// The steps that were made.
    pub(crate) steps: Vec<String>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}
