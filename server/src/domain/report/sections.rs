//! The sections that list entries of a kind, and the last one, which lists what no other does.

use chrono::SecondsFormat;
use serde_json::Value;

use super::markdown::{heading, plain, section, table};
use super::spans::spans;
use super::{ENTRY, Report};
use crate::domain::audit::AuditEntry;
use crate::domain::words;

/// Titles, and how the actions begin that belong below them; the first that fits has the entry.
const KINDS: [(&str, &[&str]); 6] = [
    ("Settings", &["setting", "cohorts", "ramp", "mirror"]),
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
        &[
            "create",
            "change",
            "route",
            "retire",
            "break_glass_retire",
            "patch",
        ],
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

    /// Releases, with the stage that they took from this route, and freezes.
    pub(super) fn shared(&mut self) {
        let stages = spans(self.subject.entries, "stage", &self.starts(), &self.order);
        let of = |begins: &'static str| {
            let shared = self.subject.shared.iter();
            shared.filter(move |entry| entry.action.starts_with(begins))
        };
        let releases: Vec<Vec<String>> = of("release")
            .map(|entry| {
                let said = |name: &str| {
                    let state = if entry.after.is_null() {
                        &entry.before
                    } else {
                        &entry.after
                    };
                    state.get(name).map(value).unwrap_or_default()
                };
                let here = entry.environment.as_deref().unwrap_or_default();
                let lasted = stages.iter().find(|span| {
                    let is_over = span.ended.is_some_and(|ended| ended.at <= entry.at);
                    span.environment == here && span.from <= entry.at && !is_over
                });
                let current = self.subject.rollouts.iter();
                let current = current
                    .filter(|_| !stages.iter().any(|span| span.environment == here))
                    .find(|rollout| rollout.environment.as_str() == here)
                    .map(|rollout| rollout.stage.name().to_owned());
                let stage = lasted.and_then(|span| Some(plain(span.what.as_str()?)));
                let at_stage = stage.or(current).unwrap_or_default();
                let what = format!(
                    "{}: {} build {}, this route at {at_stage}",
                    plain(&entry.action),
                    said("name"),
                    said("build")
                );
                self.row(entry, what)
            })
            .collect();
        let freezes: Vec<Vec<String>> = of("freeze")
            .map(|entry| self.row(entry, what(entry)))
            .collect();
        section(&mut self.out, "Releases while it moved", &ENTRY, &releases);
        section(
            &mut self.out,
            "Change freezes while it moved",
            &ENTRY,
            &freezes,
        );
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
    if let Some(step) = ticked(entry) {
        return step;
    }
    let (before, after) = news(entry);
    let mut said = plain(&words::anything(&before, &after));
    if let Some(passed_over) = passed_over(&entry.after) {
        said.push_str("; gates that did not pass: ");
        said.push_str(&passed_over);
    }
    let action = plain(&entry.action);
    if said.is_empty() {
        action
    } else {
        format!("{action}: {said}")
    }
}

/// A step of the plan, by its text: the record of one names it by its identity too.
fn ticked(entry: &AuditEntry) -> Option<String> {
    let done = match entry.action.as_str() {
        "plan_tick" => "done",
        "plan_untick" => "open again",
        _ => return None,
    };
    let text = value(entry.after.get("text")?);
    let note = |state: &Value| state.get("note").filter(|note| note.is_string()).cloned();
    Some(match note(&entry.after) {
        Some(new) if note(&entry.before).as_ref() != Some(&new) => {
            format!("{done}: {text} (note: {})", value(&new))
        }
        _ => format!("{done}: {text}"),
    })
}

/// Before and after without what the row says already, and without what only programs read.
fn news(entry: &AuditEntry) -> (Value, Value) {
    const FOR_PROGRAMS: [&str; 4] = ["id", "digest", "sha256", "revision"];
    const MAY_BE_IN_ROW: [&str; 11] = [
        "at",
        "by",
        "environment",
        "from",
        "opened_at",
        "opened_by",
        "put_at",
        "put_by",
        "reason",
        "retired_at",
        "route",
    ];
    let at = entry.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let row = [
        Some(entry.actor.subject.as_str()),
        Some(entry.reason.as_str()),
        entry.environment.as_deref(),
        entry.route.as_deref(),
        Some(at.as_str()),
    ];
    let is_in_row = |name: &str| {
        let state = if entry.after.is_null() {
            &entry.before
        } else {
            &entry.after
        };
        let text = state.get(name).and_then(Value::as_str);
        MAY_BE_IN_ROW.contains(&name) && text.is_some() && row.contains(&text)
    };
    let trimmed = |state: &Value| match state {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !FOR_PROGRAMS.contains(&name.as_str()) && !is_in_row(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        other => other.clone(),
    };
    (trimmed(&entry.before), trimmed(&entry.after))
}

/// The gates in a record that did not pass, with what they said.
fn passed_over(after: &Value) -> Option<String> {
    let gates = after.get("gates")?.as_array()?.iter();
    let missing: Vec<String> = gates
        .filter(|gate| gate.get("state").is_some_and(|state| state != "pass"))
        .map(|gate| {
            let said = |name: &str| gate.get(name).map(value).unwrap_or_default();
            format!("{} ({}: {})", said("gate"), said("state"), said("detail"))
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// A value in a sentence.
pub(super) fn value(value: &Value) -> String {
    plain(&words::plain(value))
}
