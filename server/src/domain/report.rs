//! The whole migration of a route, as Markdown: made from the record, the one complete account. What
//! this page has no section for stands in its last one, so that nothing is left out.

mod markdown;
mod proof;
mod sections;
mod spans;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, NaiveDate, Utc};
use switchover::Stage;

use crate::domain::audit::AuditEntry;
use crate::domain::environment::Environment;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::schedule::Milestone;

use markdown::{heading, length, link, moment, plain, section, table};
use spans::{Span, spans};

/// What a report is made from.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The route.
    pub route: &'a Route,
    /// Every environment, by position.
    pub environments: &'a [Environment],
    /// The route in each.
    pub rollouts: &'a [Rollout],
    /// What is on record of the route, oldest first.
    pub entries: &'a [AuditEntry],
    /// What is on record of no single route and concerns this one: releases, freezes and censuses while it
    /// moved, oldest first.
    pub shared: &'a [AuditEntry],
    /// Whether older entries were left out, because there are too many.
    pub is_cut: bool,
    /// Each stage that is planned or reached, by environment and stage.
    pub milestones: &'a [Milestone],
    /// Now.
    pub now: DateTime<Utc>,
}

/// The report.
#[must_use]
pub fn render(subject: &Subject<'_>) -> String {
    let mut report = Report {
        subject,
        order: subject
            .environments
            .iter()
            .map(|environment| environment.key.as_str())
            .collect(),
        told: BTreeSet::new(),
        out: String::new(),
    };
    report.head();
    report.break_glass();
    report.stages();
    report.planned();
    report.windows();
    report.halts();
    report.gates();
    report.evidence();
    report.approvals();
    report.of_kinds();
    report.shared();
    report.censuses();
    report.rest();
    report.out
}

struct Report<'a> {
    subject: &'a Subject<'a>,
    /// The environments, by position.
    order: Vec<&'a str>,
    /// The entries that have been told.
    told: BTreeSet<u64>,
    out: String,
}

impl<'a> Report<'a> {
    fn head(&mut self) {
        let Subject { route, now, .. } = self.subject;
        let spec = &route.spec;
        self.say(&format!("# Migration of `{}`\n", spec.key));
        let end = route.retired_at.unwrap_or(*now);
        let state = match route.retired_at {
            Some(at) => format!("Retired on {}", moment(at)),
            None => "Under way".to_owned(),
        };
        let took = length(end - route.created_at);
        self.say(&format!(
            "{state}, {took} after it was put on record. As of {}.\n",
            moment(*now)
        ));
        if self.subject.is_cut {
            self.say("**Older entries than those below are on record too; there are too many of them for one page.**\n");
        }
        let mut rows = vec![
            vec!["endpoint".to_owned(), plain(&spec.endpoint.to_string())],
            vec!["flag".to_owned(), format!("`{}`", spec.flag)],
            vec!["operation".to_owned(), spec.operation.name().to_owned()],
            vec!["owner".to_owned(), plain(&spec.owner)],
            vec!["policy".to_owned(), plain(&spec.policy.to_string())],
        ];
        let mut row = |name: &str, value: String| {
            if !value.is_empty() {
                rows.push(vec![name.to_owned(), value]);
            }
        };
        row("description", plain(&spec.description));
        let requires: Vec<String> = spec.requires.iter().map(|key| format!("`{key}`")).collect();
        row("requires", requires.join(", "));
        row(
            "ramp group",
            spec.ramp_group.as_deref().map(plain).unwrap_or_default(),
        );
        for (name, labels) in [("contact", &spec.contacts), ("label", &spec.labels)] {
            for (key, value) in labels {
                row(&format!("{name} {}", plain(key)), plain(value));
            }
        }
        let links = [
            ("runbook", &spec.links.runbook),
            ("dashboard", &spec.links.dashboard),
            ("alert", &spec.links.alert),
            ("issue", &spec.links.issue),
        ];
        if let Some(kept) = self.kept_runbook() {
            row("runbook", kept);
        }
        for (name, address) in links {
            row(name, address.as_deref().map(link).unwrap_or_default());
        }
        row("on record since", moment(route.created_at));
        table(&mut self.out, &["", ""], &rows);
    }

    /// The runbook that is kept in Switchover, if there is one.
    fn kept_runbook(&self) -> Option<String> {
        let mut newest = self.subject.entries.iter().rev();
        let last = newest.find(|entry| entry.action.starts_with("runbook"))?;
        (last.action == "runbook_put").then(|| {
            let (at, by) = (moment(last.at), plain(&last.actor.subject));
            format!("kept in Switchover, as of {at} by {by}")
        })
    }

    /// What went round the gates comes before everything else.
    fn break_glass(&mut self) {
        let entries = self.subject.entries.iter();
        let broken: Vec<&AuditEntry> = entries.filter(|entry| is_break_glass(entry)).collect();
        if broken.is_empty() {
            return;
        }
        heading(&mut self.out, "⚠ Break-glass");
        let times = match broken.len() {
            1 => "Once".to_owned(),
            many => format!("{many} times"),
        };
        self.say(&format!("**{times}, an admin went round the gates:**\n"));
        let rows: Vec<Vec<String>> = broken
            .iter()
            .map(|entry| self.row(entry, sections::what(entry)))
            .collect();
        table(&mut self.out, &ENTRY, &rows);
        self.told.extend(broken.iter().map(|entry| entry.seq));
    }

    fn stages(&mut self) {
        let starts = self.starts();
        let mut stages = spans(self.subject.entries, "stage", &starts, &self.order);
        let current: Vec<(&str, serde_json::Value, DateTime<Utc>)> = self
            .subject
            .rollouts
            .iter()
            .filter(|rollout| {
                let key = rollout.environment.as_str();
                !stages.iter().any(|span| span.environment == key)
            })
            .map(|rollout| {
                let stage = serde_json::Value::from(rollout.stage.name());
                (rollout.environment.as_str(), stage, rollout.stage_since)
            })
            .collect();
        stages.extend(current.iter().map(|(environment, stage, since)| Span {
            environment,
            what: stage,
            from: *since,
            begun: None,
            ended: None,
        }));
        let place = |key: &str| self.order.iter().position(|other| *other == key);
        stages.sort_by_key(|span| (place(span.environment), span.from));
        let end = self.subject.route.retired_at.unwrap_or(self.subject.now);
        let rows: Vec<Vec<String>> = stages
            .iter()
            .map(|span| {
                let (by, why) = self.who(span.begun);
                let glass = span.begun.is_some_and(is_break_glass);
                let stage = format!("{}{}", stage_name(span), if glass { " ⚠" } else { "" });
                let until = span.ended.map_or(String::new(), |ended| moment(ended.at));
                let from = moment(span.from);
                let lasted = length(span.length(end));
                vec![plain(span.environment), stage, from, until, lasted, by, why]
            })
            .collect();
        let header = ["environment", "stage", "from", "until", "for", "by", "why"];
        section(&mut self.out, "Stages", &header, &rows);
        let begun: Vec<u64> = stages
            .iter()
            .filter_map(|span| Some(span.begun?.seq))
            .collect();
        self.totals(&stages, end);
        self.told.extend(begun);
    }

    /// How long each environment was at each stage.
    fn totals(&mut self, stages: &[Span<'_>], end: DateTime<Utc>) {
        const STAGES: [Stage; 4] = [
            Stage::ReadyForTesting,
            Stage::OptIn,
            Stage::OptOut,
            Stage::Mandatory,
        ];
        let mut totals: BTreeMap<(&str, &str), Duration> = BTreeMap::new();
        for span in stages {
            let stage = span.what.as_str().unwrap_or_default();
            let total = totals.entry((span.environment, stage)).or_default();
            *total += span.length(end);
        }
        let rows: Vec<Vec<String>> = self
            .order
            .iter()
            .filter(|key| stages.iter().any(|span| span.environment == **key))
            .map(|key| {
                let mut row = vec![plain(key)];
                let mut before_mandatory = Duration::zero();
                for stage in STAGES {
                    let total = totals.get(&(*key, stage.name())).copied();
                    row.push(total.map(length).unwrap_or_default());
                    if stage != Stage::Mandatory {
                        before_mandatory += total.unwrap_or_default();
                    }
                }
                row.push(length(before_mandatory));
                row
            })
            .collect();
        let mut header = vec!["environment"];
        header.extend(STAGES.map(Stage::name));
        header.push("before mandatory");
        section(&mut self.out, "Durations", &header, &rows);
    }

    /// The days that were planned, beside those that it became.
    fn planned(&mut self) {
        let today = self.subject.now.date_naive();
        let days = |from: NaiveDate, to: NaiveDate| match (to - from).num_days() {
            1 => "1 day".to_owned(),
            many => format!("{many} days"),
        };
        let milestones = self.subject.milestones.iter();
        let rows: Vec<Vec<String>> = milestones
            .filter_map(|milestone| {
                let planned = milestone.planned?;
                let actual = milestone.actual.map(|actual| actual.date_naive());
                let note = match actual {
                    None if planned < today => format!("overdue by {}", days(planned, today)),
                    Some(actual) if actual > planned => format!("{} late", days(planned, actual)),
                    Some(actual) if actual < planned => format!("{} early", days(actual, planned)),
                    _ => String::new(),
                };
                Some(vec![
                    plain(milestone.environment.as_str()),
                    milestone.stage.name().to_owned(),
                    planned.to_string(),
                    actual.map(|day| day.to_string()).unwrap_or_default(),
                    note,
                ])
            })
            .collect();
        let header = ["environment", "stage", "planned", "actual", "note"];
        section(&mut self.out, "Planned and actual days", &header, &rows);
    }

    fn windows(&mut self) {
        let windows = spans(
            self.subject.entries,
            "acceptance",
            &BTreeMap::new(),
            &self.order,
        );
        let rows: Vec<Vec<String>> = windows
            .iter()
            .map(|span| {
                let said = |name: &str| span.what.get(name);
                let percent = said("percent").map(|percent| format!("{percent} %"));
                let keys = said("cohort").and_then(|keys| Some(keys.as_array()?.len()));
                let share = match (percent, keys) {
                    (Some(percent), Some(0) | None) => percent,
                    (Some(percent), Some(1)) => format!("{percent} and 1 key"),
                    (Some(percent), Some(keys)) => format!("{percent} and {keys} keys"),
                    (None, _) => String::new(),
                };
                let (by, why) = self.who(span.begun);
                let closed = match span.ended {
                    None => format!(
                        "open, until {}",
                        said("until").map(sections::value).unwrap_or_default()
                    ),
                    Some(ended) => format!(
                        "{} by {} ({}: {})",
                        moment(ended.at),
                        plain(&ended.actor.subject),
                        plain(&ended.action),
                        plain(&ended.reason)
                    ),
                };
                let lasted = length(span.length(self.subject.now));
                let environment = plain(span.environment);
                vec![
                    environment,
                    share,
                    moment(span.from),
                    closed,
                    lasted,
                    by,
                    why,
                ]
            })
            .collect();
        let header = [
            "environment",
            "share",
            "opened",
            "closed",
            "for",
            "by",
            "why",
        ];
        section(&mut self.out, "Acceptance windows", &header, &rows);
        self.tell(&windows, &["acceptance_open", "acceptance_close"]);
    }

    fn halts(&mut self) {
        let halts = spans(self.subject.entries, "halt", &BTreeMap::new(), &self.order);
        if halts.is_empty() {
            heading(&mut self.out, "Halts");
            self.say("None.");
            return;
        }
        let rows: Vec<Vec<String>> = halts
            .iter()
            .map(|span| {
                let (by, why) = self.who(span.begun);
                let (resumed_by, resumed_why) = self.who(span.ended);
                vec![
                    plain(span.environment),
                    moment(span.from),
                    by,
                    why,
                    span.ended
                        .map_or("halted still".to_owned(), |ended| moment(ended.at)),
                    resumed_by,
                    resumed_why,
                    length(span.length(self.subject.now)),
                ]
            })
            .collect();
        let header = [
            "environment",
            "halted",
            "by",
            "why",
            "resumed",
            "by",
            "why",
            "for",
        ];
        section(&mut self.out, "Halts", &header, &rows);
        let mut totals: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
        for span in &halts {
            let (count, total) = totals.entry(span.environment).or_default();
            *count += 1;
            *total += span.length(self.subject.now);
        }
        let total: Duration = totals.values().map(|(_, total)| *total).sum();
        let of_each: Vec<String> = self
            .order
            .iter()
            .filter_map(|key| {
                let (count, total) = totals.get(key)?;
                Some(format!("{} {count} ({})", plain(key), length(*total)))
            })
            .collect();
        self.say(&format!(
            "\n{} in all, halted for {}: {}.",
            halts.len(),
            length(total),
            of_each.join(", ")
        ));
        self.tell(&halts, &["halt", "resume"]);
    }

    /// Entries of these actions that begin or end a span are told with it.
    fn tell(&mut self, spans: &[Span<'_>], actions: &[&str]) {
        let entries = spans.iter().flat_map(|span| [span.begun, span.ended]);
        let told = entries
            .flatten()
            .filter(|entry| actions.contains(&entry.action.as_str()))
            .map(|entry| entry.seq);
        self.told.extend(told);
    }

    /// When the route came to each environment.
    fn starts(&self) -> BTreeMap<&'a str, DateTime<Utc>> {
        // A route that was prepared came to its environments when it was ready.
        let ready = self
            .subject
            .entries
            .iter()
            .find(|entry| entry.action == "ready");
        let created = ready.map_or(self.subject.route.created_at, |ready| ready.at);
        let environments = self.subject.environments.iter();
        environments
            .map(|environment| {
                (
                    environment.key.as_str(),
                    environment.created_at.max(created),
                )
            })
            .collect()
    }

    fn who(&self, entry: Option<&AuditEntry>) -> (String, String) {
        entry.map_or_else(Default::default, |entry| {
            (plain(&entry.actor.subject), plain(&entry.reason))
        })
    }

    /// An entry in a row of its own.
    fn row(&self, entry: &AuditEntry, what: String) -> Vec<String> {
        vec![
            moment(entry.at),
            entry.environment.as_deref().map(plain).unwrap_or_default(),
            what,
            plain(&entry.actor.subject),
            plain(&entry.reason),
            entry.seq.to_string(),
        ]
    }

    fn say(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// The columns of an entry in a row of its own.
const ENTRY: [&str; 6] = ["at", "environment", "what", "by", "why", "entry"];

fn is_break_glass(entry: &AuditEntry) -> bool {
    entry.action.starts_with("break_glass")
}

fn stage_name(span: &Span<'_>) -> String {
    span.what.as_str().map(plain).unwrap_or_default()
}
