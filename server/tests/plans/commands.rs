//! Plans from the command line.

use serde_json::Value;

use super::{PLAN, id};
use crate::support::Place;

#[test]
fn a_plan_is_worked_through_by_commands() {
    let place = Place::serving();
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=gitaly",
        "--policy=open",
    ]);
    let says = |arguments: &[&str], hint: &str| {
        let refused = place.run(arguments);
        assert_eq!(refused.status, 1, "{arguments:?}");
        assert!(refused.err.contains(hint), "{arguments:?}: {}", refused.err);
    };
    says(&["plan", "show", "count_commits"], "switchover plan put");
    let file = place.file("plan.md");
    std::fs::write(&file, PLAN).unwrap();
    let put = ["plan", "put", "count_commits", &file, "--reason=x"];
    assert_eq!(place.well(&put), "count_commits: 1 of 4 steps done\n");
    says(
        &["plan", "put", "count_commits", "/nope", "--reason=x"],
        "cannot read /nope",
    );
    place.well(&["plan", "order", "count_commits", "--reason=x"]);
    let check = ["plan", "check", "count_commits", "cle", "--reason=x"];
    says(&check, "Back up");
    says(
        &["plan", "check", "count_commits", "zz", "--reason=x"],
        "switchover plan show",
    );
    place.well(&["plan", "order", "count_commits", "--off", "--reason=x"]);
    let checked = place.well(&[&check[..], &["--note=by hand"]].concat());
    assert_eq!(checked, "count_commits: 2 of 4 steps done\n");
    let bound = [
        "plan",
        "bind",
        "count_commits",
        "After",
        "mandatory",
        "--reason=x",
    ];
    assert!(
        place
            .well(&bound)
            .contains("a promotion to mandatory waits")
    );
    let tree = place.well(&["plan", "show", "count_commits"]);
    for part in [
        "## Before opt-in → opt_in  1/3",
        "## After → mandatory  1/1",
        "[DevOps] Back up",
        "    [ ] ",
        "[x] clean  Clean up  (local:tester, ",
        "note: by hand",
        "code: sh",
    ] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    let text = place.well(&["plan", "show", "count_commits", "--markdown"]);
    assert_eq!(text, PLAN.replace("1. Clean up", "1. [x] Clean up"));
    let json: Value =
        serde_json::from_str(&place.well(&["plan", "show", "count_commits", "--json"])).unwrap();
    assert_eq!(json["done"], 2);
    let backup = id(&json, "Back up");
    place.well(&[
        "plan",
        "after",
        "count_commits",
        "clean",
        &backup,
        "--reason=x",
    ]);
    place.well(&["plan", "uncheck", "count_commits", "clean", "--reason=x"]);
    says(&check, "Back up");
    place.well(&["plan", "after", "count_commits", "clean", "--reason=x"]);
    place.well(&check);
    place.well(&[
        "plan",
        "bind",
        "count_commits",
        "After",
        "none",
        "--reason=x",
    ]);
    let deleted = place.well(&["plan", "delete", "count_commits", "--reason=x", "--json"]);
    let deleted: Value = serde_json::from_str(&deleted).unwrap();
    assert_eq!(deleted["deleted"], true);
    assert_eq!(
        place
            .run(&["plan", "bind", "count_commits", "a", "soon", "--reason=x"])
            .status,
        2
    );
}
