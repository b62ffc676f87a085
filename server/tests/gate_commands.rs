//! `policy`, `evidence`, `freeze` and `route update` on the command line.

use serde_json::{Value, json};

use crate::support::Place;

const REASON: &str = "--reason=x";

fn with_a_route(place: &Place, policy: &str) {
    let endpoint = "gitaly.CommitService/CountCommits";
    place.well(&[
        "route",
        "add",
        endpoint,
        "--operation=read",
        "--owner=gitaly",
        "--policy",
        policy,
    ]);
}

/// Writes a policy's document to a file, gives the file's name.
fn document(place: &Place, policy: &Value) -> String {
    let file = place.file("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    file
}

fn changing<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["route", "update", "count_commits"], more, &[REASON]].concat()
}

#[track_caller]
fn refused(place: &Place, arguments: &[&str], status: i32, says: &[&str]) {
    let done = place.run(arguments);
    assert_eq!(
        done.status, status,
        "{arguments:?}: {} {}",
        done.out, done.err
    );
    for part in says {
        assert!(
            done.err.contains(part),
            "{arguments:?} should say {part}: {}",
            done.err
        );
    }
}

#[test]
fn a_policy_is_shown_edited_and_written_back() {
    let place = Place::serving();
    let listed = place.well(&["policy", "list"]);
    for part in ["open", "gitaly", "data_migration", "built in"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let shown = place.well(&["policy", "show", "gitaly"]);
    let mut policy: Value = serde_json::from_str(&shown).unwrap();
    let unchanged = document(&place, &policy);
    refused(
        &place,
        &["policy", "write", &unchanged, REASON],
        1,
        &["another name"],
    );
    policy["name"] = json!("reviewed");
    let file = document(&place, &policy);
    let said = place.well(&["policy", "write", &file, REASON]);
    assert!(
        said.contains("policy reviewed is in force, in version 1"),
        "{said}"
    );
    policy["gates"]["opt_out"][0]["days"] = json!(3);
    document(&place, &policy);
    assert!(
        place
            .well(&["policy", "write", &file, REASON])
            .contains("version 2")
    );
    let first = place.well(&["policy", "show", "reviewed", "--version=1"]);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["gates"]["opt_out"][0]["days"], 7.0);
    let newest = place.well(&["policy", "show", "reviewed", "--json"]);
    let newest: Value = serde_json::from_str(&newest).unwrap();
    assert_eq!(newest["version"], 2);

    policy["gates"]["opt_out"][0]["days"] = json!(400);
    policy["ramp"] = json!([{ "percent": 50, "hold_hours": 1 }]);
    document(&place, &policy);
    let says = [
        "gates.opt_out.soak.days",
        "0 to 365",
        "ramp",
        "last step must be 100",
    ];
    refused(&place, &["policy", "write", &file, REASON], 1, &says);
    std::fs::write(&file, "{").unwrap();
    refused(
        &place,
        &["policy", "write", &file, REASON],
        1,
        &["policy.json", "JSON"],
    );
    let nowhere = place.file("nowhere.json");
    refused(
        &place,
        &["policy", "write", &nowhere, REASON],
        1,
        &["nowhere.json"],
    );
    refused(&place, &["policy", "write", &file], 2, &["--reason"]);
    refused(
        &place,
        &["policy", "show", "nobodys"],
        1,
        &["nobodys", "switchover policy list"],
    );

    with_a_route(&place, "reviewed");
    refused(
        &place,
        &["policy", "delete", "reviewed", REASON],
        1,
        &["count_commits"],
    );
    place.well(&["route", "update", "count_commits", "--policy=open", REASON]);
    assert!(
        place
            .well(&["policy", "delete", "reviewed", REASON])
            .contains("is deleted")
    );
    refused(
        &place,
        &["policy", "delete", "gitaly", REASON],
        1,
        &["comes with the product"],
    );
}

#[test]
fn evidence_of_several_kinds_is_given_at_once() {
    let place = Place::serving();
    with_a_route(&place, "gitaly");
    let add = ["evidence", "add", "count_commits", "dev"];
    let seen = ["--verdict=pass", "--summary=18 ms against 25 ms"];
    let kinds = [
        "--kind",
        "performance,resources,error_rate",
        "--link=https://example.com/d/1",
    ];
    let said = place.well(&[&add[..], &kinds, &seen].concat());
    assert_eq!(said.lines().count(), 3, "{said}");
    let listed = place.well(&["evidence", "list", "count_commits", "dev"]);
    for part in [
        "performance",
        "resources",
        "error_rate",
        "local:tester",
        "https://example.com/d/1",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    // The gate asks for the next environment now.
    let gates = place.well(&["gates", "count_commits", "dev"]);
    assert!(
        gates.contains("no passing evidence of performance in staging"),
        "{gates}"
    );
    let wrong = [&add[..], &["--kind=luck"], &seen].concat();
    refused(&place, &wrong, 2, &["no kind of evidence", "performance"]);
    let wrong = [
        &add[..],
        &["--kind=other", "--verdict=maybe", "--summary=x"],
    ]
    .concat();
    refused(&place, &wrong, 2, &["say pass or fail"]);
    let wrong = [&add[..], &["--kind=other", "--link=dashboards/1"], &seen].concat();
    refused(&place, &wrong, 1, &["http or https address"]);
    refused(
        &place,
        &[&add[..], &["--kind=other", "--verdict=pass"]].concat(),
        2,
        &["--summary"],
    );
    refused(
        &place,
        &["evidence", "list", "missing", "dev"],
        1,
        &["switchover route list"],
    );
}

#[test]
fn a_freeze_is_opened_seen_and_closed() {
    let place = Place::serving();
    with_a_route(&place, "open");
    let said = place.well(&["freeze", "open", "dev", "staging", "--for=2h", REASON]);
    assert!(
        said.starts_with("change freeze in dev, staging until 2"),
        "{said}"
    );
    refused(
        &place,
        &["setting", "count_commits", "dev", "on", REASON],
        1,
        &["change freeze", "switchover freeze close"],
    );
    refused(
        &place,
        &["promote", "count_commits", "dev", REASON],
        1,
        &["incident: fail"],
    );
    place.well(&["halt", "count_commits", "dev", REASON]);
    place.well(&["halt", "--environment=staging", REASON]);
    let open = place.well(&["freeze", "list", "--json"]);
    let open: Value = serde_json::from_str(&open).unwrap();
    let id = open["items"][0]["id"].as_str().unwrap();
    assert_eq!(open["items"][0]["open"], true);
    refused(&place, &["freeze", "close", id], 2, &["--reason"]);
    assert!(
        place
            .well(&["freeze", "close", id, REASON])
            .contains("is closed")
    );
    assert!(!place.well(&["freeze", "list"]).contains(id));
    assert!(place.well(&["freeze", "list", "--past"]).contains(id));

    let said = place.well(&["freeze", "open", "--from=2099-12-23T00:00:00Z", REASON]);
    assert!(
        said.contains("everywhere") && said.contains("2099-12-23"),
        "{said}"
    );
    let listed = place.well(&["freeze", "list"]);
    assert!(listed.contains("to come"), "{listed}");
    for (wrong, status, says) in [
        (&["freeze", "open", "mars", REASON][..], 1, "mars"),
        (
            &["freeze", "open", "--until=tomorrow", REASON],
            2,
            "2026-11-21T18:00:00Z",
        ),
        (&["freeze", "open", "--for=2", REASON], 2, "write 90s"),
        (
            &[
                "freeze",
                "open",
                "--for=2h",
                "--until=2099-01-01T00:00:00Z",
                REASON,
            ],
            2,
            "cannot be used with",
        ),
        (
            &["freeze", "open", "--until=2020-01-01T00:00:00Z", REASON],
            1,
            "later than its beginning",
        ),
        (
            &["freeze", "close", "none", REASON],
            1,
            "switchover freeze list",
        ),
    ] {
        refused(&place, wrong, status, &[says]);
    }
}

#[test]
fn a_route_is_updated_field_by_field() {
    let place = Place::serving();
    with_a_route(&place, "gitaly");
    let update = |more: &[&str]| place.well(&changing(more));
    let shown = || -> Value {
        let shown = place.well(&["route", "show", "count_commits", "--json"]);
        serde_json::from_str(&shown).unwrap()
    };
    update(&[
        "--number=opt_out.soak.days=10",
        "--number=opt_in.approval.count=2",
    ]);
    update(&[
        "--number=opt_out.soak.days=9",
        "--label=a=1",
        "--contact=on_call=#git",
    ]);
    update(&[
        "--runbook=https://example.com/r",
        "--label=b=2",
        "--owner=others",
    ]);
    update(&["--alert=https://example.com/a", "--description=counts"]);
    let route = shown();
    assert_eq!(
        route["policy_numbers"],
        json!({ "opt_in.approval.count": 2.0, "opt_out.soak.days": 9.0 })
    );
    assert_eq!(route["labels"], json!({ "a": "1", "b": "2" }));
    assert_eq!(route["contacts"], json!({ "on_call": "#git" }));
    assert_eq!(route["links"]["runbook"], "https://example.com/r");
    assert_eq!(route["links"]["alert"], "https://example.com/a");
    assert_eq!(
        (&route["owner"], &route["description"]),
        (&json!("others"), &json!("counts"))
    );
    let text = place.well(&["route", "show", "count_commits"]);
    assert!(
        text.contains("opt_in.approval.count=2 opt_out.soak.days=9"),
        "{text}"
    );

    for (wrong, status, says) in [
        (&["--number=opt_out.soak.days=many"][..], 1, "no number"),
        (&["--number=opt_out.soak.days"], 2, "NAME=VALUE"),
        (&["--number=opt_out.soak.weeks=1"], 1, "opt_out.soak.days"),
        (&["--number=opt_out.soak.days=NaN"], 1, "no number"),
        (&["--number=opt_out.soak.days=inf"], 1, "no number"),
        (&["--policy=none"], 1, "the policies are"),
        (&["--policy=open"], 1, "take it away"),
        (&["--runbook=r"], 1, "http"),
        (&["--requires=missing"], 1, "missing"),
        (&[], 2, "--owner"),
        (&["--cascade"], 2, "--owner"),
    ] {
        refused(&place, &changing(wrong), status, &[says]);
    }
    let operator = place.well(&["token", "create", "--role=operator", "--subject=o"]);
    let maintainer = place.well(&["token", "create", "--role=maintainer", "--subject=m"]);
    for token in [operator, maintainer] {
        let token = format!("--token={}", token.trim());
        refused(
            &place,
            &changing(&["--number=opt_out.soak.days=8", &token]),
            1,
            &["needs"],
        );
    }
    // A number goes back to the policy's, and the whole of it with another policy.
    update(&["--number=opt_out.soak.days="]);
    assert_eq!(
        shown()["policy_numbers"],
        json!({ "opt_in.approval.count": 2.0 })
    );
    update(&["--policy=open", "--number=opt_in.approval.count="]);
    assert_eq!(shown()["policy_numbers"], json!({}));
}
