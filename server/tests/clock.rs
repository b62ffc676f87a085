//! The clock that a script moves, in builds for tests.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, eventually};

#[test]
fn what_runs_by_time_follows_the_clock() {
    let mut place = Place::new();
    let clock = place.file("clock");
    std::fs::write(&clock, "0").unwrap();
    place.start_with(&["--clock-file", &clock]);
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=gitaly",
    ]);
    let window = ["acceptance", "count_commits", "production"];
    let share = ["--for=2d", "--percent=5", "--reason=x"];
    place.well(&[window, share].concat());
    let acceptance = || {
        let shown = place.well(&["route", "show", "count_commits", "--json"]);
        let route: Value = serde_json::from_str(&shown).unwrap();
        route["rollouts"][2]["acceptance"].clone()
    };
    std::fs::write(&clock, "1d").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(acceptance().is_object(), "it has a day left");
    std::fs::write(&clock, "3d").unwrap();
    eventually("the window closes", Duration::from_secs(10), || {
        acceptance().is_null().then_some(())
    });
    let closed: Value = serde_json::from_str(&place.well(&["audit", "--json"])).unwrap();
    assert_eq!(closed["items"][0]["action"], "acceptance_close");
}
