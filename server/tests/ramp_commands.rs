//! `ramp` and `mirror` on the command line.

use std::io::{BufRead as _, BufReader};

use crate::support::Place;

const REASON: &str = "--reason=x";

#[test]
fn a_ramp_is_set_started_and_shown() {
    let place = Place::serving();
    let endpoint = "gitaly.CommitService/CountCommits";
    let add = [
        "route",
        "add",
        endpoint,
        "--operation=read",
        "--owner=gitaly",
        "--policy=open",
    ];
    place.well(&add);
    place.well(&["promote", "count_commits", "dev", REASON]);
    let none = place.well(&["ramp", "count_commits", "dev"]);
    assert!(none.contains("has no ramp"), "{none}");
    let set = [
        "ramp",
        "set",
        "count_commits",
        "dev",
        "--step=10%:24h",
        "--step=50%:2d",
        REASON,
    ];
    let said = place.well(&set);
    assert!(
        said.contains("ramp_plan") && said.contains("ramp 0/2 ready"),
        "{said}"
    );
    let said = place.well(&["ramp", "start", "count_commits", "dev", REASON]);
    assert!(
        said.contains("ramp 1/2 running") && said.contains("50 % at 20"),
        "{said}"
    );
    let shown = place.well(&["ramp", "count_commits", "dev"]);
    for part in [
        "count_commits in dev: ramp 1/2 running",
        "10 % held",
        "of 1d",
        "| 2    | 50 %",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let status = place.well(&["status"]);
    assert!(status.contains("opt-in 10 % ramp 1/2 running"), "{status}");
    let said = place.well(&["ramp", "pause", "count_commits", "dev", REASON]);
    assert!(said.contains("ramp 1/2 paused"), "{said}");
    let shown = place.well(&["ramp", "count_commits", "dev"]);
    assert!(shown.contains("waits: paused by"), "{shown}");
    place.well(&["ramp", "resume", "count_commits", "dev", REASON]);
    let wrong = place.run(&["ramp", "set", "count_commits", "dev", "--step=10%", REASON]);
    assert!(
        wrong.status == 2 && wrong.err.contains("10%:24h"),
        "{}",
        wrong.err
    );

    let said = place.well(&[
        "mirror",
        "count_commits",
        "dev",
        "--read=1%",
        "--write=100",
        REASON,
    ]);
    assert!(
        said.contains("mirror 1 % of reads and 100 % of writes"),
        "{said}"
    );
}

#[test]
fn a_rollout_is_watched_until_something_happens() {
    let place = Place::serving();
    let endpoint = "gitaly.CommitService/CountCommits";
    place.well(&[
        "route",
        "add",
        endpoint,
        "--operation=read",
        "--owner=gitaly",
        "--policy=open",
    ]);
    let reached = [
        "watch",
        "count_commits",
        "dev",
        "--until=stage=ready_for_testing",
    ];
    let said = place.well(&reached);
    assert!(said.starts_with("now: testing"), "{said}");
    place.well(&["promote", "count_commits", "dev", REASON]);
    place.well(&[
        "ramp",
        "set",
        "count_commits",
        "dev",
        "--step=10%:0s",
        "--step=50%:7d",
        REASON,
    ]);
    let until = ["--until=finished", "--until=halted", "--json"];
    let mut watching = place.begin(&[&["watch", "count_commits", "dev"][..], &until].concat());
    let mut said = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || -> Option<serde_json::Value> {
        let line = said.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap())
    };
    // Once it has seen what there was, it tells what comes.
    assert_eq!(next().unwrap()["event"], "now");
    place.well(&["ramp", "start", "count_commits", "dev", REASON]);
    place.well(&["halt", "count_commits", "dev", "--reason=smoke"]);
    let lines: Vec<serde_json::Value> = std::iter::from_fn(next).collect();
    assert_eq!(watching.wait().unwrap().code(), Some(3), "{lines:?}");
    let events: Vec<&str> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert!(events.starts_with(&["ramp_start"]), "{events:?}");
    let halt = lines.iter().find(|line| line["event"] == "halt").unwrap();
    assert_eq!(halt["reason"], "smoke");
    assert!(halt["by"].as_str().unwrap().starts_with("local:"), "{halt}");
    let wrong = place.run(&["watch", "nobody", "dev"]);
    assert!(
        wrong.status == 1 && wrong.err.contains("there is no route `nobody`"),
        "{}",
        wrong.err
    );
}
