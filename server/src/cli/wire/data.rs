//! Data migrations, as far as they are shown.

use chrono::{DateTime, Utc};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct OfStores {
    pub(crate) stores: Option<Stores>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stores {
    pub(crate) mirrored: bool,
    pub(crate) backfill_complete: bool,
    pub(crate) consistent: bool,
    pub(crate) backfill: Option<Backfill>,
    pub(crate) consistency: Option<Compared>,
    pub(crate) open_repairs: u64,
    pub(crate) failed_repairs: u64,
    pub(crate) conflicts: u64,
    pub(crate) oldest_repair_seconds: Option<u64>,
    pub(crate) unverified: Vec<Doubt>,
    pub(crate) diverged: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Backfill {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) runner: String,
    pub(crate) keys: u64,
    pub(crate) copied: u64,
    pub(crate) failed: u64,
    pub(crate) total: Option<u64>,
    pub(crate) keys_per_second: Option<f64>,
    pub(crate) seconds_left: Option<f64>,
    pub(crate) said: Option<Said>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) by: String,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Compared {
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: String,
    pub(crate) compared: u64,
    pub(crate) differing: u64,
    pub(crate) failed: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Doubt {
    pub(crate) why: String,
    pub(crate) since: DateTime<Utc>,
    pub(crate) by: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repair {
    pub(crate) key: String,
    pub(crate) instance: String,
    pub(crate) written: String,
    pub(crate) cause: String,
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) failed_at: Option<String>,
    pub(crate) first_at: DateTime<Utc>,
    pub(crate) retry_asked: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RepairsSettled {
    pub(crate) repairs: usize,
    pub(crate) unknown: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConsistencyRun {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) by: String,
    pub(crate) asked_at: DateTime<Utc>,
    pub(crate) state: String,
    pub(crate) detail: Option<String>,
    pub(crate) result: Option<Findings>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Findings {
    pub(crate) compared: u64,
    pub(crate) differing: u64,
    pub(crate) failed: u64,
    pub(crate) verdict: String,
    pub(crate) keys: Vec<String>,
    pub(crate) checksums: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConsistencySchedule {
    pub(crate) every: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) sample: Option<u64>,
}
