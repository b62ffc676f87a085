//! The processes that report.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use switchover::{Registered, RouteKey, Source, Version};

use crate::domain::facts::Deployed;
use crate::domain::telemetry::{Reporter, SEEN_WITHIN_MINUTES};

/// An instance as it last described itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub reporter: Reporter,
    /// The SDK and its version.
    pub sdk: String,
    /// The version of the snapshot that it decides by.
    pub snapshot: Option<Version>,
    /// Where that came from.
    pub source: Option<Source>,
    /// The routes that it knows of; `None` until it has said.
    pub routes: Option<Arc<[Registered]>>,
    /// The CPU time that it has used, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Its resident memory.
    pub memory_bytes: Option<u64>,
    /// When it was first heard of.
    pub first_seen: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen: DateTime<Utc>,
    /// When it said goodbye.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Process {
    /// Whether it runs, as far as is known.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now - self.last_seen <= Duration::minutes(SEEN_WITHIN_MINUTES)
    }

    /// What it has of a route.
    #[must_use]
    pub fn registered(&self, route: &RouteKey) -> Option<&Registered> {
        self.routes
            .iter()
            .flat_map(|routes| routes.iter())
            .find(|registered| registered.route == *route)
    }

    /// Whether its code asks for a route.
    #[must_use]
    pub fn has(&self, route: &RouteKey) -> bool {
        self.registered(route)
            .is_some_and(|registered| registered.in_code)
    }
}

/// What these instances have of a route.
#[must_use]
pub fn deployed(processes: &[Process], route: &RouteKey, now: DateTime<Utc>) -> Deployed {
    let mut deployed = Deployed::default();
    for process in processes.iter().filter(|process| process.is_live(now)) {
        deployed.instances = deployed.instances.saturating_add(1);
        if !process.has(route) {
            deployed.lacking.push(process.reporter.name.clone());
        }
        let flag = process.registered(route).and_then(|found| found.flag);
        if flag == Some(false) {
            deployed.off.push(process.reporter.name.clone());
        }
    }
    deployed
}
