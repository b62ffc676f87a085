//! What was done: who, when, what and why, and what would undo it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::audit::AuditEntry;
use crate::domain::words;
use crate::service::Timeline;
use crate::web::words::When;

/// A part of the timeline.
pub(super) struct TimelineView {
    pub(super) entries: Vec<EntryView>,
    /// Where older entries are.
    pub(super) older: Option<String>,
    /// Where the latest are, when these are not.
    pub(super) latest: Option<String>,
}

/// One change.
pub(super) struct EntryView {
    pub(super) seq: u64,
    pub(super) at: When,
    pub(super) by: String,
    /// What kind of change it was.
    pub(super) action: String,
    /// In which environment; empty where it was in none.
    pub(super) environment: String,
    /// What changed.
    pub(super) what: String,
    pub(super) reason: String,
    /// Where it can be undone, if it can.
    pub(super) revert: Option<String>,
}

impl TimelineView {
    /// At this address, with the query that the page has besides; entries that can be undone are
    /// those for which `undoes` says so.
    pub(super) fn of(
        timeline: &Timeline,
        (address, query): (&str, &[(&str, &str)]),
        is_part: bool,
        now: DateTime<Utc>,
        undoes: impl Fn(&AuditEntry) -> bool,
    ) -> TimelineView {
        let at = |before: &str| {
            let mut parts = query.to_vec();
            parts.push(("before", before));
            format!("{address}{}#timeline", crate::web::paging::query(&parts))
        };
        let entries = timeline.entries.iter().map(|entry| EntryView {
            seq: entry.seq,
            at: When::of(entry.at, now),
            by: entry.actor.subject.clone(),
            action: entry.action.replace('_', " "),
            environment: entry.environment.clone().unwrap_or_default(),
            what: words::anything(&worth(&entry.before), &worth(&entry.after)),
            reason: entry.reason.clone(),
            revert: entry
                .route
                .as_ref()
                .filter(|_| undoes(entry))
                .map(|route| format!("/routes/{route}/revert/{}", entry.seq)),
        });
        TimelineView {
            entries: entries.collect(),
            older: timeline.older.map(|seq| at(&seq.to_string())),
            latest: is_part.then(|| at("")),
        }
    }
}

/// What of a record is worth reading beside who did it, when, where and why.
fn worth(record: &Value) -> Value {
    const BESIDE: [&str; 9] = [
        "id",
        "digest",
        "sha256",
        "at",
        "by",
        "route",
        "environment",
        "comment",
        "summary",
    ];
    match record {
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.filter(|(name, _)| !BESIDE.contains(&name.as_str()));
            fields
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
        other => other.clone(),
    }
}
