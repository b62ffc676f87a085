//! The rules that the program writes, evaluated by Prometheus's own tool.

use std::fmt::Write as _;

use serde_json::Value;

use super::monitor::{beside, promtool};
use super::place;

/// What is seen of a route every 30 seconds, and which alert fires on the tenth minute.
struct Case {
    what: &'static str,
    series: Vec<(String, &'static str)>,
    alert: &'static str,
    fires: bool,
}

const PLACE: &str = "route=\"bad\",environment=\"dev\"";

fn counter(name: &str, more: &str) -> String {
    format!("switchover_route_{name}{{{PLACE}{more},instance=\"one\"}}")
}

fn calls(calls: &'static str, errors: &'static str) -> Vec<(String, &'static str)> {
    let new = ",path=\"new\",role=\"authoritative\"";
    vec![
        (counter("calls_total", new), calls),
        (counter("errors_total", new), errors),
    ]
}

/// The same, as another node tells it.
fn twice(series: Vec<(String, &'static str)>) -> Vec<(String, &'static str)> {
    let other = series.clone().into_iter();
    let other = other.map(|(name, values)| (name.replace("\"one\"", "\"two\""), values));
    series.iter().cloned().chain(other).collect()
}

fn latencies(fast: &'static str, all: &'static str) -> Vec<(String, &'static str)> {
    let bucket = |le: &str| {
        counter(
            "call_duration_seconds_bucket",
            &format!(",path=\"new\",le=\"{le}\""),
        )
    };
    vec![
        (bucket("0.25"), fast),
        (bucket("0.3"), fast),
        (bucket("0.5"), all),
        (bucket("+Inf"), all),
        (counter("call_duration_seconds_count", ",path=\"new\""), all),
    ]
}

fn cases() -> Vec<Case> {
    let case = |what, series, alert, fires| Case {
        what,
        series,
        alert,
        fires,
    };
    let errors = "SwitchoverNewPathErrors";
    let gauge = |name: &str, more: &str| format!("switchover_{name}{{{more}}}");
    let breach = format!("{PLACE},guard=\"errors\",action=\"halt\",state=\"breach\"");
    let exposed = |instances| {
        vec![
            (gauge("rollout_exposure_ratio", PLACE), "0.5x20"),
            (gauge("instances", "environment=\"dev\""), instances),
        ]
    };
    let compared = |all, differing| {
        vec![
            (counter("comparisons_total", ""), all),
            (counter("mismatches_total", ""), differing),
        ]
    };
    vec![
        case(
            "two in a hundred fail",
            calls("0+100x20", "0+2x20"),
            errors,
            true,
        ),
        case(
            "one in two hundred fails",
            calls("0+200x20", "0+1x20"),
            errors,
            false,
        ),
        case("too few calls", calls("0+10x20", "0+5x20"), errors, false),
        case(
            "two nodes tell it",
            twice(calls("0+200x20", "0+1x20")),
            errors,
            false,
        ),
        case(
            "two nodes, too few",
            twice(calls("0+20x20", "0+5x20")),
            errors,
            false,
        ),
        case(
            "slow",
            latencies("0+90x20", "0+100x20"),
            "SwitchoverNewPathSlow",
            true,
        ),
        case(
            "fast",
            latencies("0+995x20", "0+1000x20"),
            "SwitchoverNewPathSlow",
            false,
        ),
        case(
            "few",
            latencies("0+9x20", "0+10x20"),
            "SwitchoverNewPathSlow",
            false,
        ),
        case(
            "they differ",
            compared("0+100x20", "0+5x20"),
            "SwitchoverMismatchRate",
            true,
        ),
        case(
            "they agree",
            compared("0+1000x20", "0+1x20"),
            "SwitchoverMismatchRate",
            false,
        ),
        case(
            "often",
            compared("0+100x20", "0+1x20"),
            "SwitchoverMismatches",
            true,
        ),
        case(
            "a few",
            compared("0+100x20", "0 0 1x18"),
            "SwitchoverMismatches",
            false,
        ),
        case(
            "a breach",
            vec![(gauge("guard_state", &breach), "0 1x19")],
            "SwitchoverGuardBreach",
            true,
        ),
        case(
            "no breach",
            vec![(gauge("guard_state", &breach), "0x20")],
            "SwitchoverGuardBreach",
            false,
        ),
        case(
            "a guard's halt",
            vec![(gauge("rollout_halted_by_guard", PLACE), "1x20")],
            "SwitchoverHaltedByGuard",
            true,
        ),
        case("silence", exposed("0x20"), "SwitchoverNobodyReports", true),
        case(
            "somebody reports",
            exposed("1x20"),
            "SwitchoverNobodyReports",
            false,
        ),
        case(
            "the database is away",
            vec![(
                "switchover_database_up{instance=\"one\"}".to_owned(),
                "0x20",
            )],
            "SwitchoverDatabaseAway",
            true,
        ),
        case(
            "one of two nodes leads",
            vec![
                ("switchover_leader{instance=\"one\"}".to_owned(), "0x20"),
                ("switchover_leader{instance=\"two\"}".to_owned(), "1x20"),
            ],
            "SwitchoverNobodyActs",
            false,
        ),
    ]
}

fn unit_tests(rules: [&str; 2]) -> String {
    let mut text = format!("rule_files: {rules:?}\nevaluation_interval: 30s\ntests:\n");
    for case in cases() {
        writeln!(
            text,
            "  - name: {:?}\n    interval: 30s\n    input_series:",
            case.what
        )
        .unwrap();
        for (series, values) in &case.series {
            writeln!(
                text,
                "      - series: '{series}'\n        values: '{values}'"
            )
            .unwrap();
        }
        let sum = format!(
            "count(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}})",
            case.alert
        );
        writeln!(
            text,
            "    promql_expr_test:\n      - expr: '{sum}'\n        eval_time: 10m"
        )
        .unwrap();
        if case.fires {
            text.push_str("        exp_samples: [{ labels: '{}', value: 1 }]\n");
        } else {
            text.push_str("        exp_samples: []\n");
        }
    }
    text
}

#[test]
fn the_rules_fire_and_stay_quiet() {
    let place = place();
    let rules = place.file("rules.yml");
    let said = place.run(&["alerts", "bad", "--environment", "dev", "--output", &rules]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("alerts are in"), "{}", said.err);
    assert!(!said.err.contains("has nothing about"), "{}", said.err);
    assert_eq!(said.out, "");
    let server = place.file("server.yml");
    place.well(&["alerts", "--server", "--output", &server]);
    promtool(&["check", "rules", &rules]);
    let tests = beside(&rules, "tests.yml", &unit_tests([&rules, &server]));
    promtool(&["test", "rules", &tests.display().to_string()]);
    // A test that is never told wrong proves nothing.
    let wrong = unit_tests([&rules, &server]).replace("value: 1 }", "value: 2 }");
    let wrong = beside(&rules, "wrong.yml", &wrong);
    let refused =
        std::panic::catch_unwind(|| promtool(&["test", "rules", &wrong.display().to_string()]));
    assert!(refused.is_err());
}

#[test]
fn rules_are_for_who_reports_and_say_what_helps() {
    let place = place();
    place.well(&[
        "route",
        "update",
        "bad",
        "--runbook",
        "https://runbooks.example.com/bad",
        "--reason",
        "test",
    ]);
    let text = place.well(&["alerts", "bad", "--json"]);
    let rules: Value = serde_json::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let names: Vec<&str> = groups
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    let expected = [
        "switchover-bad-dev",
        "switchover-bad-staging",
        "switchover-bad-production",
    ];
    assert_eq!(names, expected, "installations of others report nothing");
    let rule = &groups[0]["rules"][0];
    assert_eq!(
        rule["annotations"]["runbook_url"],
        "https://runbooks.example.com/bad"
    );
    let halt = rule["annotations"]["halt"].as_str().unwrap();
    let words: Vec<&str> = halt.split(' ').collect();
    assert_eq!(words[..4], ["switchover", "halt", "bad", "dev"]);
    // What it says can be done.
    place.well(&[
        "halt",
        words[2],
        words[3],
        words[4],
        words[5].trim_matches('"'),
    ]);

    let all = place.well(&["alerts", "--all"]);
    assert!(all.contains("switchover-good-production") && all.contains("switchover-bad-dev"));
    let refused = place.run(&["alerts", "bad", "--environment", "on-prem"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.err.contains("dev, staging, production"),
        "{}",
        refused.err
    );
    let nothing = place.run(&["alerts"]);
    assert_eq!(nothing.status, 2);
    assert!(
        nothing.err.contains("<ROUTE|--all|--server>"),
        "{}",
        nothing.err
    );
    for two in [
        ["alerts", "bad", "--all"],
        ["alerts", "bad", "--server"],
        ["alerts", "--all", "--server"],
    ] {
        assert_eq!(place.run(&two).status, 2, "{two:?}");
    }
    assert_ne!(place.run(&["alerts", "bad", "--for", "soon"]).status, 0);
    assert_ne!(place.run(&["alerts", "none"]).status, 0);
}

#[test]
fn files_of_rules_stand_beside_each_other() {
    let place = place();
    place.well(&[
        "route",
        "add",
        "gitaly.Service/free",
        "--key",
        "free",
        "--operation",
        "read",
        "--owner",
        "gitaly",
        "--policy",
        "open",
    ]);
    let file = |name: &str, of: &str| {
        let file = place.file(name);
        let said = place.run(&["alerts", of, "--output", &file]);
        assert_eq!(said.status, 0, "{}", said.err);
        (file, said.err)
    };
    let (bad, _) = file("bad.yml", "bad");
    let (free, said) = file("free.yml", "free");
    let untold = "free: policy open has nothing about errors, latency, mismatches, guards";
    assert!(said.contains(untold), "{said}");
    let (server, _) = file("server.yml", "--server");
    let (all, _) = file("all.yml", "--all");
    let known = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        ["SwitchoverDatabaseAway", "SwitchoverNobodyReports"].map(|name| text.contains(name))
    };
    assert_eq!(known(&bad), [false, true]);
    assert_eq!(known(&free), [false, true]);
    assert_eq!(known(&server), [true, false]);
    assert_eq!(known(&all), [true, true]);
    for file in [&bad, &free, &server, &all] {
        // Rules of several environments, which promtool must not take for the same.
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", file]);
    }
    // Nobody needs to be reached for what depends on nothing.
    let away = place.well(&["alerts", "--server", "--url", "http://127.0.0.1:1"]);
    assert!(away.contains("SwitchoverNobodyActs"));
}

#[test]
fn a_dashboard_asks_what_prometheus_understands() {
    let place = place();
    let text = place.well(&["dashboard", "bad", "--full"]);
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dashboard["uid"], "switchover-bad");
    let row: Value = serde_json::from_str(&place.well(&["dashboard", "bad"])).unwrap();
    assert_eq!(row["type"], "row");
    // Recording rules with the panels' queries are as good as the queries.
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    let panels = dashboard["panels"].as_array().unwrap();
    assert_eq!(row["panels"], dashboard["panels"]);
    let mut number = 0;
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "1m")
                .replace("$environment", "dev");
            number += 1;
            writeln!(
                rules,
                "      - record: panel_{number}\n        expr: '{query}'"
            )
            .unwrap();
        }
    }
    assert!(number >= 9);
    let file = place.file("panels.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", &file]);
}
