//! One route, for people.

use std::collections::BTreeMap;

use crate::cli::output::{Field, Screen, moment};
use crate::cli::rollout::{brief, setting};
use crate::cli::wire::{Rollout, Route};

pub(super) fn route(screen: &Screen, route: Route) -> String {
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
        ("requires", route.requires.join(", ")),
        ("ramp group", route.ramp_group.unwrap_or_default()),
        ("labels", pairs(&route.labels)),
        ("contacts", pairs(&route.contacts)),
        ("links", pairs(&links)),
        ("created", moment(route.created_at)),
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
    let header = [
        "environment",
        "stage",
        "since",
        "setting",
        "cohorts",
        "note",
    ];
    let rows = route.rollouts.into_iter().map(row).collect();
    format!("{text}\n\n{}", screen.table(&header, rows))
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
        insta::assert_snapshot!(route(&pipe(), shown));
    }
}
