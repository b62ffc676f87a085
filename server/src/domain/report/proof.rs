//! What promotions rested on: gates, evidence, approvals, censuses.

use serde_json::Value;

use super::markdown::{heading, link, moment, plain, section, table};
use super::sections::value;
use super::{Report, is_break_glass};
use crate::domain::audit::AuditEntry;

/// Gates that every promotion passes; they are told only where they did not pass.
const ALWAYS: [&str; 3] = ["order", "requires", "incident"];

impl<'a> Report<'a> {
    /// What each promotion was judged by, as it was then. The promotions themselves stand with the
    /// stages.
    pub(super) fn gates(&mut self) {
        let rows: Vec<Vec<String>> = self
            .subject
            .entries
            .iter()
            .filter_map(|entry| {
                let gates = entry.after.get("gates")?.as_array()?;
                let told: Vec<String> = gates.iter().filter_map(gate).collect();
                let glass = if is_break_glass(entry) { " ⚠" } else { "" };
                let stage = said(&entry.after, "stage");
                Some(vec![
                    moment(entry.at),
                    entry.environment.as_deref().map(plain).unwrap_or_default(),
                    format!("{stage}{glass}"),
                    match told.is_empty() {
                        true => "none beyond those of every promotion".to_owned(),
                        false => told.join("; "),
                    },
                    entry.seq.to_string(),
                ])
            })
            .collect();
        let header = ["at", "environment", "to", "gates", "entry"];
        section(&mut self.out, "Gates of the promotions", &header, &rows);
    }

    pub(super) fn evidence(&mut self) {
        let found = self.of(&["evidence"]);
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|entry| {
                let verdict = match said(&entry.after, "verdict") {
                    fail if fail == "fail" => "**fail**".to_owned(),
                    other => other,
                };
                let address = entry.after.get("url").and_then(Value::as_str);
                vec![
                    moment(entry.at),
                    entry.environment.as_deref().map(plain).unwrap_or_default(),
                    said(&entry.after, "kind"),
                    verdict,
                    said(&entry.after, "summary"),
                    address.map(link).unwrap_or_default(),
                    plain(&entry.actor.subject),
                    entry.seq.to_string(),
                ]
            })
            .collect();
        let header = [
            "at",
            "environment",
            "kind",
            "verdict",
            "what was seen",
            "where",
            "by",
            "entry",
        ];
        section(&mut self.out, "Evidence", &header, &rows);
        self.told.extend(found.iter().map(|entry| entry.seq));
    }

    pub(super) fn approvals(&mut self) {
        let found = self.of(&["approve", "approval_withdraw"]);
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|entry| {
                let (what, approval) = match entry.after {
                    Value::Null => ("withdrawn", &entry.before),
                    _ => ("given", &entry.after),
                };
                vec![
                    moment(entry.at),
                    entry.environment.as_deref().map(plain).unwrap_or_default(),
                    said(approval, "to"),
                    what.to_owned(),
                    plain(&entry.actor.subject),
                    plain(&entry.reason),
                    entry.seq.to_string(),
                ]
            })
            .collect();
        let header = ["at", "environment", "to", "", "by", "comment", "entry"];
        section(&mut self.out, "Approvals", &header, &rows);
        self.told.extend(found.iter().map(|entry| entry.seq));
    }

    /// Where somebody had opted out, and where that ended.
    pub(super) fn censuses(&mut self) {
        let flag = self.subject.route.spec.flag.to_string();
        let shared = self.subject.shared.iter();
        let taken: Vec<&AuditEntry> = shared
            .filter(|entry| entry.action == "census_import")
            .collect();
        if taken.is_empty() {
            return;
        }
        let off = |census: &Value| {
            let flags = census.get("off").and_then(Value::as_array);
            flags.is_some_and(|flags| flags.iter().any(|name| *name == flag))
        };
        let rows: Vec<Vec<String>> = taken
            .iter()
            .filter_map(|entry| {
                let what = match (off(&entry.before), off(&entry.after)) {
                    (_, true) => format!("`{flag}=0`"),
                    (true, false) => format!("`{flag}=0` no more"),
                    (false, false) => return None,
                };
                Some(vec![
                    moment(entry.at),
                    entry.environment.as_deref().map(plain).unwrap_or_default(),
                    said(&entry.after, "site"),
                    what,
                    plain(&entry.actor.subject),
                    plain(&entry.reason),
                    entry.seq.to_string(),
                ])
            })
            .collect();
        heading(&mut self.out, "Censuses while it moved");
        let count = match taken.len() {
            1 => "1 census was brought".to_owned(),
            many => format!("{many} censuses were brought"),
        };
        if rows.is_empty() {
            self.say(&format!(
                "{count}; in none had anybody opted out of this route."
            ));
            return;
        }
        self.say(&format!("{count}; these say who had opted out:\n"));
        let header = ["at", "environment", "site", "what", "by", "why", "entry"];
        table(&mut self.out, &header, &rows);
    }

    /// The entries of these actions that have not been told.
    fn of(&self, actions: &[&str]) -> Vec<&'a AuditEntry> {
        let entries = self.subject.entries.iter();
        entries
            .filter(|entry| actions.contains(&entry.action.as_str()))
            .filter(|entry| !self.told.contains(&entry.seq))
            .collect()
    }
}

/// A gate with what it said; nothing where it says the same of every promotion.
fn gate(gate: &Value) -> Option<String> {
    let name = gate.get("gate")?.as_str()?;
    let state = gate.get("state")?.as_str()?;
    let detail = said(gate, "detail");
    match state {
        "pass" if ALWAYS.contains(&name) => None,
        "pass" => Some(format!("{} ({detail})", plain(name))),
        other => Some(format!("**{}: {}** ({detail})", plain(name), plain(other))),
    }
}

fn said(of: &Value, name: &str) -> String {
    of.get(name).map(value).unwrap_or_default()
}
