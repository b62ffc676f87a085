//! Webhooks and what they were sent, as far as they are shown.

use chrono::{DateTime, Utc};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) environments: Vec<String>,
    pub(crate) owners: Vec<String>,
    pub(crate) state: String,
    pub(crate) why: Option<String>,
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) delivered_at: Option<DateTime<Utc>>,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) secret: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) r#type: String,
    pub(crate) route: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) state: String,
    pub(crate) due_at: Option<DateTime<Utc>>,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) took_ms: u64,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) answer: String,
}
