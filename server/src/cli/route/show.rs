//! One route, for people.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::cli::output::{Field, Screen, moment};
use crate::cli::prepare;
use crate::cli::rollout::{brief, setting};
use crate::cli::schedule;
use crate::cli::wire::{Rollout, Route};

pub(super) fn route(screen: &Screen, route: Route, today: NaiveDate) -> String {
    let days = schedule::table(screen, &route.schedule, today);
    let prepared = prepared(&route);
    let links = route
        .links
        .into_iter()
        .filter_map(|(name, link)| Some((name, link?)))
        .collect();
    let facts = [
        ("flag", route.flag),
        ("endpoint", route.endpoint),
        ("operation", route.operation),
        ("owner", route.owner),
        ("policy", route.policy),
        ("numbers", numbers(&route.policy_numbers)),
        ("requires", route.requires.join(", ")),
        ("ramp group", route.ramp_group.unwrap_or_default()),
        ("labels", pairs(&route.labels)),
        ("contacts", contacts(&route.contacts)),
        ("links", pairs(&links)),
        ("created", moment(route.created_at)),
        ("prepared", prepared),
        ("retired", route.retired_at.map(moment).unwrap_or_default()),
    ];
    let mut text = route.key;
    if !route.description.is_empty() {
        text.push_str(&format!("\n{}", route.description));
    }
    for (name, value) in facts {
        if !value.is_empty() {
            text.push_str(&format!("\n  {name:<10}  {value}"));
        }
    }
    if route.rollouts.is_empty() {
        return days.map_or(text.clone(), |days| format!("{text}\n\n{days}"));
    }
    let header = [
        "environment",
        "stage",
        "since",
        "setting",
        "cohorts",
        "note",
    ];
    let rows = route.rollouts.into_iter().map(row).collect();
    let mut text = format!("{text}\n\n{}", screen.table(&header, rows));
    if let Some(days) = days {
        text.push_str(&format!("\n\n{days}"));
    }
    text
}

/// Who did what of its preparation, and what comes next.
fn prepared(route: &Route) -> String {
    let Some(preparation) = &route.preparation else {
        return String::new();
    };
    let mut lines = vec![format!(
        "{}, priority {}, estimate {}",
        preparation.at.join(" and "),
        prepare::priority(preparation),
        prepare::estimated(preparation)
    )];
    if let Some(decision) = &preparation.decision {
        let (by, at) = (&decision.by, moment(decision.at));
        lines.push(format!("{} by {by} {at}", decision.decision));
    }
    for done in &preparation.completed {
        lines.push(format!("{} by {} {}", done.phase, done.by, moment(done.at)));
    }
    if !preparation.next_step.is_empty() {
        lines.push(format!("next: {}", preparation.next_step));
    }
    lines.join("\n              ")
}

/// The usual names first.
fn contacts(contacts: &BTreeMap<String, String>) -> String {
    const USUAL: [&str; 3] = ["technical_lead", "database", "on_call"];
    let usual = USUAL
        .iter()
        .filter_map(|name| Some((*name, contacts.get(*name)?)));
    let others = contacts
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !USUAL.contains(name));
    let pairs: Vec<String> = usual
        .chain(others)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn row(rollout: Rollout) -> Vec<Field> {
    let note = match (&rollout.halt, &rollout.acceptance) {
        (Some(halt), _) => Field::bad(format!(
            "halted {} by {}: {}",
            moment(halt.at),
            halt.by,
            halt.reason
        )),
        (None, Some(window)) => format!(
            "acceptance up to {} until {}",
            window.percent,
            moment(window.until)
        )
        .into(),
        (None, None) => "".into(),
    };
    let cohorts = format!("+{} -{}", rollout.include.len(), rollout.exclude.len());
    let stage = brief(&rollout);
    vec![
        rollout.environment.into(),
        stage,
        moment(rollout.stage_since).into(),
        setting(&rollout.setting).into(),
        cohorts.into(),
        note,
    ]
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn numbers(map: &BTreeMap<String, f64>) -> String {
    let pairs: Vec<String> = map
        .iter()
        .map(|(path, number)| format!("{path}={number}"))
        .collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::pipe;

    #[test]
    fn a_route_is_shown_with_its_rollouts() {
        let shown: Route = serde_json::from_str(
            r#"{"key": "count_commits", "flag": "GITALY_COUNT_COMMITS",
                "endpoint": "gitaly.CommitService/CountCommits", "operation": "read",
                "owner": "gitaly", "policy": "gitaly", "requires": [], "ramp_group": null,
                "labels": {"era": "2018"}, "contacts": {}, "description": "Counts.",
                "links": {"issue": "https://example.com/1", "runbook": null}, "retired_at": null,
                "revision": 1, "created_at": "2026-11-21T12:00:00Z",
                "rollouts": [
                  {"environment": "dev", "stage": "opt_out", "stage_since": "2026-11-21T12:00:00Z",
                   "next_stage": "mandatory", "setting": {"mode": "ramp", "percent": 12.5},
                   "halt": {"at": "2026-11-21T12:01:00Z", "by": "ann", "reason": "errors"},
                   "include": ["a"], "exclude": [], "acceptance": null, "exposure_percent": 0},
                  {"environment": "production", "stage": "mandatory",
                   "stage_since": "2026-11-21T12:00:00Z", "next_stage": null,
                   "setting": {"mode": "stage_default"}, "halt": null, "include": [], "exclude": [],
                   "acceptance": null, "exposure_percent": 100}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(route(&pipe(), shown, NaiveDate::MIN));
    }

    #[test]
    fn an_unready_route_says_what_comes_next() {
        let shown: Route = serde_json::from_str(
            r##"{"key": "find", "flag": "GITALY_FIND", "endpoint": "gitaly.X/Find",
                "operation": "read", "owner": "gitaly", "policy": "gitaly", "requires": [],
                "ramp_group": null, "labels": {}, "description": "", "links": {},
                "contacts": {"a": "b", "on_call": "#gitaly", "technical_lead": "jane"},
                "retired_at": null, "revision": 1, "created_at": "2026-11-21T12:00:00Z",
                "ready": false, "rollouts": [],
                "preparation": {"at": ["server_implementation", "client_implementation"],
                  "estimate": 12, "priority": null, "existing_endpoint": false,
                  "decision": {"decision": "ahead", "by": "ann", "at": "2026-11-22T12:00:00Z"},
                  "completed": [{"phase": "rpc_design", "by": "bob", "at": "2026-11-23T12:00:00Z"}],
                  "next_step": "complete both"},
                "schedule": [
                  {"environment": "dev", "stage": "opt_in", "planned": "2026-12-01", "actual": null},
                  {"environment": "production", "stage": "opt_in", "planned": "2027-01-01",
                   "actual": null}]}"##,
        )
        .unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 12, 3).unwrap();
        insta::assert_snapshot!(route(&pipe(), shown, today));
    }
}
