//! What the search for uses of routes needs and posts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Routes, as a page of a list or bare.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum TrackedRoutes {
    Page { items: Vec<TrackedRoute> },
    Bare(Vec<TrackedRoute>),
}

impl TrackedRoutes {
    pub(crate) fn into_vec(self) -> Vec<TrackedRoute> {
        match self {
            TrackedRoutes::Page { items } | TrackedRoutes::Bare(items) => items,
        }
    }
}

/// Of a route, what matters for its code.
#[derive(Debug, Deserialize)]
pub(crate) struct TrackedRoute {
    pub(crate) key: String,
    pub(crate) flag: String,
    pub(crate) retired_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) rollouts: Vec<TrackedRollout>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TrackedRollout {
    pub(crate) stage: String,
}

/// What was put on record.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReferencesPosted {
    repository: String,
    revision: String,
    scanned_at: DateTime<Utc>,
}
