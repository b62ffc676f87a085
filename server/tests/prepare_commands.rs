//! `prepare`, `backlog`, `runbook`, `external` and planned days on the command line.

use serde_json::Value;

use crate::support::Place;

const ENDPOINT: &str = "gitaly.CommitService/CountCommits";

fn with_an_idea(place: &Place, more: &[&str]) {
    let add = [
        "route",
        "add",
        ENDPOINT,
        "--operation=read",
        "--owner=gitaly",
        "--prepare",
    ];
    let said = place.well(&[&add[..], more].concat());
    assert!(said.contains("next: "), "{said}");
}

#[test]
fn from_an_idea_to_a_route_that_is_ready() {
    let place = Place::serving();
    with_an_idea(&place, &["--priority=2"]);
    let refused = place.run(&["promote", "count_commits", "dev", "--reason=x"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused
            .err
            .contains("switchover prepare count_commits estimate"),
        "{}",
        refused.err
    );
    let prepare = |step: &[&str]| {
        place.well(&[&["prepare", "count_commits"], step, &["--reason=x"]].concat())
    };
    let backlog = place.well(&["backlog"]);
    assert!(
        backlog.contains("analysis") && backlog.contains("1 route"),
        "{backlog}"
    );
    assert!(
        place
            .well(&["status"])
            .contains("1 in preparation (switchover backlog)")
    );
    let said = prepare(&["estimate", "--estimate=8"]);
    assert!(said.contains("move-ahead"), "{said}");
    assert!(prepare(&["move-ahead"]).contains("complete rpc_design"));
    assert!(prepare(&["shelve"]).contains("take-up"));
    assert!(
        place
            .well(&["backlog", "--phase=shelved"])
            .contains("count_commits")
    );
    prepare(&["take-up"]);
    prepare(&["estimate", "--existing-endpoint", "--estimate=two days"]);
    assert!(prepare(&["move-ahead"]).contains("client_implementation"));
    let shown = place.well(&["route", "show", "count_commits"]);
    assert!(shown.contains("estimate two days"), "{shown}");
    let early = [
        "prepare",
        "count_commits",
        "complete",
        "rpc_design",
        "--reason=x",
    ];
    assert_eq!(place.run(&early).status, 1);
    let ready = prepare(&["complete", "client_implementation"]);
    assert!(
        ready.contains("ready for testing in dev, staging"),
        "{ready}"
    );
    assert_eq!(place.well(&["backlog"]), "nothing is left to prepare\n");
    place.well(&["explain", "count_commits", "dev"]);
    for wrong in [
        &["prepare", "count_commits", "--reason=x"][..],
        &["prepare", "count_commits", "estimate", "--reason=x"],
        &[
            "prepare",
            "count_commits",
            "complete",
            "analysis",
            "--reason=x",
        ],
        &["prepare", "count_commits", "shelve"],
    ] {
        assert_eq!(place.run(wrong).status, 2, "{wrong:?}");
    }
}

#[test]
fn planned_days_are_marked_when_they_are_over() {
    let place = Place::serving();
    let add = [
        "route",
        "add",
        ENDPOINT,
        "--operation=read",
        "--owner=gitaly",
    ];
    place.well(&add);
    let schedule = |days: &[&str]| {
        place.well(&[&["route", "schedule", "count_commits", "--reason=x"], days].concat())
    };
    let planned = schedule(&["dev.opt_in=2020-01-31", "production.opt_in=2999-12-31"]);
    assert!(planned.contains("OVERDUE by "), "{planned}");
    let status = place.well(&["status"]);
    assert!(
        status.contains("testing 0 % overdue") && status.contains(", 1 overdue"),
        "{status}"
    );
    // What is not named stays.
    let planned = schedule(&["dev.opt_in="]);
    assert!(
        !planned.contains("2020-01-31") && planned.contains("2999-12-31"),
        "{planned}"
    );
    let shown = place.well(&["route", "show", "count_commits"]);
    assert!(
        shown.contains("2999-12-31") && !shown.contains("OVERDUE"),
        "{shown}"
    );
    let wrong = [
        "route",
        "schedule",
        "count_commits",
        "dev=2026-01-01",
        "--reason=x",
    ];
    assert_eq!(place.run(&wrong).status, 2);
}

#[test]
fn the_template_of_a_runbook_says_what_a_runbook_must() {
    let place = Place::serving();
    with_an_idea(&place, &["--contact=on_call=#gitaly"]);
    let template = place.well(&["runbook", "template", "count_commits"]);
    assert!(template.contains("- on_call: #gitaly"), "{template}");
    let file = place.file("runbook.md");
    std::fs::write(&file, "# later").unwrap();
    let put = ["runbook", "put", "count_commits", &file, "--reason=x"];
    let lacking = place.well(&put);
    assert!(
        lacking.contains("it lacks the name of the flag, GITALY_COUNT_COMMITS"),
        "{lacking}"
    );
    std::fs::write(&file, &template).unwrap();
    assert_eq!(place.well(&put), "the runbook of count_commits is kept\n");
    let shown = place.well(&["runbook", "show", "count_commits"]);
    assert_eq!(shown.trim_end(), template.trim_end());
    place.well(&["runbook", "delete", "count_commits", "--reason=moved"]);
    assert_eq!(place.run(&["runbook", "show", "count_commits"]).status, 1);
}

#[test]
fn its_owner_confirms_what_is_waited_for() {
    let place = Place::serving();
    with_an_idea(&place, &[]);
    let external = |arguments: &[&str]| place.well(&[&["external"], arguments].concat());
    let name = ["count_commits", "replica"];
    let [route, replica] = name;
    let said = external(&[
        "add",
        route,
        replica,
        "--owner=dba",
        "--description=it has room",
        "--stage=opt_in",
        "--reason=x",
    ]);
    assert!(said.contains("not yet, by dba"), "{said}");
    let token = |subject: &str| {
        let subject = format!("--subject={subject}");
        let made = place.well(&["token", "create", "--role=viewer", &subject]);
        format!("--token={}", made.trim())
    };
    let confirm = ["external", "confirm", route, replica, "--comment=200 GB"];
    let other = place.run(&[&confirm[..], &[&token("otto")]].concat());
    assert_eq!(other.status, 1);
    assert!(other.err.contains("is for its owner, dba"), "{}", other.err);
    let said = place.well(&[&confirm[..], &[&token("dba")]].concat());
    assert!(
        said.contains("by dba ") && said.contains("200 GB"),
        "{said}"
    );
    let listed = external(&["list", route]);
    assert!(listed.contains("the promotion to opt_in"), "{listed}");
    external(&["withdraw", route, replica, "--reason=full"]);
    let said = place.well(&confirm);
    assert!(said.contains("in the owner's place"), "{said}");
    external(&["remove", route, replica, "--reason=done"]);
    let none: Value = serde_json::from_str(&external(&["list", route, "--json"])).unwrap();
    assert_eq!(none["items"], serde_json::json!([]));
}
