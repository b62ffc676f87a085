//! Flips, and the processes that they wait for, as far as they are shown.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Halt;

#[derive(Debug, Deserialize)]
pub(crate) struct FlipHold {
    pub(crate) action: String,
    pub(crate) by: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FlipEnd {
    pub(crate) generation: u64,
    pub(crate) outcome: String,
    pub(crate) detail: String,
    pub(crate) waited_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Writer {
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) seen_at: DateTime<Utc>,
    pub(crate) generation: u64,
    pub(crate) fenced: bool,
    pub(crate) open_repairs: u64,
    pub(crate) gone: Option<Halt>,
}
