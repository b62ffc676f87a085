//! The sections that list entries of a kind, and the last one, which lists what no other does.

use serde_json::Value;

use super::markdown::{heading, plain, table};
use super::{ENTRY, Report};
use crate::domain::audit::AuditEntry;
use crate::domain::words;

/// Titles, and how the actions begin that belong below them; the first that fits has the entry.
const KINDS: [(&str, &[&str]); 8] = [
    ("Settings", &["setting", "cohorts", "ramp", "mirror"]),
    ("Evidence", &["evidence"]),
    ("Approvals", &["approve", "approval"]),
    ("Plan", &["plan"]),
    ("Releases", &["release"]),
    ("Freezes", &["freeze"]),
    (
        "Preparation",
        &[
            "estimate",
            "move_ahead",
            "complete_phase",
            "shelve",
            "take_up",
            "ready",
            "external",
            "runbook",
            "schedule",
            "plan_dates",
        ],
    ),
    (
        "The route itself",
        &["create", "change", "route", "retire", "patch"],
    ),
];

impl Report<'_> {
    pub(super) fn of_kinds(&mut self) {
        for (title, beginnings) in KINDS {
            let entries = self.subject.entries.iter();
            let of_kind: Vec<&AuditEntry> = entries
                .filter(|entry| {
                    let first = KINDS
                        .iter()
                        .find(|(_, beginnings)| begins(entry, beginnings));
                    begins(entry, beginnings) && first.is_some_and(|(first, _)| *first == title)
                })
                .filter(|entry| !self.told.contains(&entry.seq))
                .collect();
            self.list(title, &of_kind);
        }
    }

    /// Whatever has not been told yet.
    pub(super) fn rest(&mut self) {
        let entries = self.subject.entries.iter();
        let rest: Vec<&AuditEntry> = entries
            .filter(|entry| !self.told.contains(&entry.seq))
            .collect();
        self.list("Everything else", &rest);
    }

    fn list(&mut self, title: &str, entries: &[&AuditEntry]) {
        if entries.is_empty() {
            return;
        }
        let rows: Vec<Vec<String>> = entries
            .iter()
            .map(|entry| self.row(entry, what(entry)))
            .collect();
        heading(&mut self.out, title);
        table(&mut self.out, &ENTRY, &rows);
        self.told.extend(entries.iter().map(|entry| entry.seq));
    }
}

fn begins(entry: &AuditEntry, beginnings: &[&str]) -> bool {
    let mut beginnings = beginnings.iter();
    beginnings.any(|beginning| entry.action.starts_with(beginning))
}

/// What an entry did: its action, and what changed.
pub(super) fn what(entry: &AuditEntry) -> String {
    let said = plain(&words::anything(&entry.before, &entry.after));
    let action = plain(&entry.action);
    if said.is_empty() {
        action
    } else {
        format!("{action}: {said}")
    }
}

/// A value in a sentence.
pub(super) fn value(value: &Value) -> String {
    plain(&words::plain(value))
}
