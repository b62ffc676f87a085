//! The instances of an environment, as far as they matter to one route.

use chrono::{DateTime, Utc};
use switchover::{FlagName, RouteKey, Version};

use crate::domain::telemetry::Process;
use crate::web::route::Badge;
use crate::web::words::When;

/// One running process.
pub(super) struct InstanceView {
    pub(super) name: String,
    pub(super) application: String,
    pub(super) version: String,
    pub(super) sdk: String,
    pub(super) badges: Vec<Badge>,
    pub(super) seen: When,
}

/// The instances, those that are not as they should be first.
pub(super) fn instances(
    processes: &[Process],
    (route, flag): (&RouteKey, &FlagName),
    published: Option<&Version>,
    now: DateTime<Utc>,
) -> Vec<InstanceView> {
    let mut found: Vec<InstanceView> = processes
        .iter()
        .map(|process| InstanceView {
            name: process.reporter.name.clone(),
            application: process.reporter.application.clone(),
            version: process.reporter.version.clone(),
            sdk: process.sdk.clone(),
            badges: badges(process, (route, flag), published),
            seen: When::of(process.last_seen, now),
        })
        .collect();
    found.sort_by_key(|instance| {
        let is_good = |badge: &Badge| badge.class == "is-good";
        (instance.badges.iter().all(is_good), instance.name.clone())
    });
    found
}

fn badges(
    process: &Process,
    (route, flag): (&RouteKey, &FlagName),
    published: Option<&Version>,
) -> Vec<Badge> {
    let mut badges = Vec::new();
    match process.registered(route) {
        Some(registered) if registered.in_code => {
            badges.push(Badge::new("is-good", "has the route"));
        }
        _ if process.routes.is_none() => {
            badges.push(Badge::new("is-wait", "has not said which routes it has"));
        }
        _ => badges.push(Badge::new("is-bad", "lacks the route")),
    }
    match process.registered(route).and_then(|found| found.flag) {
        Some(true) => badges.push(Badge::new("is-wait", format!("{flag}=1: new path"))),
        Some(false) => badges.push(Badge::new("is-wait", format!("{flag}=0: old path"))),
        None => {}
    }
    if process
        .registered(route)
        .is_some_and(|found| found.breaker_open)
    {
        badges.push(Badge::new("is-bad", "breaker open: old path"));
    }
    badges.push(drift(process.snapshot.as_ref(), published));
    badges
}

/// How far behind an instance is.
fn drift(has: Option<&Version>, published: Option<&Version>) -> Badge {
    match (has, published) {
        (None, _) => Badge::new("is-wait", "has no snapshot"),
        (Some(_), None) => Badge::new("is-off", "nothing is published here"),
        (Some(has), Some(published)) if has.epoch != published.epoch => {
            Badge::new("is-bad", "has a snapshot of another epoch")
        }
        (Some(has), Some(published)) => match published.revision.checked_sub(has.revision) {
            // What it has may have been published since the page asked.
            Some(0) | None => Badge::new("is-good", "up to date"),
            Some(1) => Badge::new("is-wait", "1 revision behind"),
            Some(behind) => Badge::new("is-wait", format!("{behind} revisions behind")),
        },
    }
}
