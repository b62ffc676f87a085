//! What callers report, as far as it is shown.

use chrono::{DateTime, Utc};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Telemetry {
    pub(crate) route: String,
    pub(crate) environment: String,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) totals: Paths,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Paths {
    pub(crate) old: Option<Counts>,
    pub(crate) new: Option<Counts>,
    pub(crate) old_mirror: Option<Counts>,
    pub(crate) new_mirror: Option<Counts>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) panics: u64,
    pub(crate) cancelled: u64,
    pub(crate) error_rate: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) slow: Vec<Slow>,
    pub(crate) comparisons: u64,
    pub(crate) mismatches: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Slow {
    pub(crate) limit_ms: u32,
    pub(crate) slow: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) application: String,
    pub(crate) version: String,
    pub(crate) source: Option<String>,
    pub(crate) behind: Option<u64>,
    pub(crate) has_code: Option<bool>,
    pub(crate) overrides: Vec<Override>,
    pub(crate) open_breakers: Vec<String>,
    pub(crate) running: bool,
    pub(crate) last_seen: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Override {
    pub(crate) route: String,
    pub(crate) on: bool,
}
