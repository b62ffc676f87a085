//! One node at a time acts for guards and ramps, another takes over, and nothing is done twice.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover_server::conductor::Conductor;
use tempfile::TempDir;

use crate::support::{
    App, Engine, Fleet, Remote, TestDatabase, Who, at, calls_of, eventually, on_both_engines,
};

on_both_engines!(
    who_comes_next_goes_on,
    two_that_both_believe_to_lead_do_nothing_twice,
    it_runs_by_itself,
);

const POLICY: &str = r#"{"name": "watched", "guards": [
    {"name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt"}
]}"#;

/// A route `a` with a guard, whose calls in dev take the new path, and the SDK key of dev.
fn watched(remote: &Remote) -> String {
    let policy: Value = serde_json::from_str(POLICY).unwrap();
    let body = json!({ "policy": policy, "reason": "test" });
    remote.post(Who::ADMIN, "policies", &body).expect(201);
    let route = json!({
        "endpoint": "gitaly.Service/A", "key": "a", "operation": "read", "owner": "test",
        "policy": "watched",
    });
    remote.post(Who::OPERATOR, "routes", &route).expect(201);
    let promotion = json!({ "to": "opt_in", "reason": "test" });
    remote
        .post(Who::MAINTAINER, &at("a", "dev", "promotions"), &promotion)
        .expect(201);
    let made = json!({ "environment": "dev", "name": "test" });
    let made = remote.post(Who::MAINTAINER, "sdk-keys", &made).expect(201);
    made.json()["key"].as_str().unwrap().to_owned()
}

fn conductor(app: &App) -> Conductor {
    Conductor::new(Arc::clone(app.services()))
}

fn numbers(remote: &Remote) -> Value {
    let guards = remote.get(&at("a", "dev", "guards")).expect(200).json();
    guards["guards"][0]["numbers"].clone()
}

fn halts(remote: &Remote) -> usize {
    let page = remote.get("audit?limit=1000").expect(200).json();
    let entries = page["items"].as_array().unwrap();
    let halts = entries.iter().filter(|entry| entry["action"] == "halt");
    halts.count()
}

fn is_halted(remote: &Remote) -> bool {
    remote.get(&at("a", "dev", "")).expect(200).json()["halted"] == true
}

fn who_comes_next_goes_on(engine: Engine) {
    let app = App::start(engine);
    let fleet = Fleet::new(watched(&app), 4);
    let mut first = conductor(&app);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 1);
        assert!(first.tick());
    }
    let before = numbers(&app);
    assert_eq!(before["trials"], 1_200);
    let mut second = conductor(&app);
    if engine == Engine::Postgres {
        assert!(!second.tick(), "one at a time");
    }
    // What comes in while nobody acts is not lost.
    drop(first);
    fleet.calls(&app, "a", 100, 1);
    eventually("another takes over", Duration::from_secs(5), || {
        // The database hears of the end of a connection a moment later.
        let mut next = conductor(&app);
        next.tick().then(|| drop(next))
    });
    let after = numbers(&app);
    assert_eq!(after["trials"], 1_600);
    assert_eq!(after["epoch"], before["epoch"]);
    drop(second);
    let third = std::cell::RefCell::new(conductor(&app));
    eventually("a third one acts", Duration::from_secs(5), || {
        third.borrow_mut().tick().then_some(())
    });
    fleet.calls(&app, "a", 100, 40);
    third.borrow_mut().tick();
    assert!(is_halted(&app), "{}", numbers(&app));
    assert_eq!(halts(&app), 1);
}

fn two_that_both_believe_to_lead_do_nothing_twice(engine: Engine) {
    // On SQLite nothing keeps two loops of one process apart, which is what a node is that does not
    // know yet that it was replaced.
    let app = App::start(engine);
    let fleet = Fleet::new(watched(&app), 4);
    let mut both = [conductor(&app), conductor(&app)];
    let mut reported = 0;
    for round in 0..12 {
        let errors = if round < 9 { 0 } else { 40 };
        if !is_halted(&app) {
            fleet.calls(&app, "a", 100, errors);
            reported += 400;
        }
        for conductor in &mut both {
            conductor.tick();
        }
        if !is_halted(&app) {
            assert_eq!(numbers(&app)["trials"], reported);
        }
    }
    assert!(is_halted(&app));
    assert_eq!(halts(&app), 1);
    app.assert_audit_intact();
}

fn it_runs_by_itself(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine));
    let app = App::conducting(database, Duration::from_millis(50));
    let fleet = Fleet::new(watched(&app), 4);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 30);
    }
    eventually("the guard halts", Duration::from_secs(20), || {
        is_halted(&app).then_some(())
    });
    assert_eq!(halts(&app), 1);
    app.stop();
}

/// A node of its own process.
struct Node {
    child: Child,
    remote: Remote,
}

impl Node {
    fn start(database: &TestDatabase, data: &TempDir) -> Node {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchover"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--database", database.url()])
            .arg("--data-dir")
            .arg(data.path())
            .env("SWITCHOVER_SIGNING_KEY", App::signing_key())
            .env_remove("SWITCHOVER_DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                address = address.or(rest.split('/').next().map(str::to_owned));
            }
            if line.trim() == "ready" {
                break;
            }
        }
        let remote = Remote::at(&address.expect("the node says where it listens"));
        Node { child, remote }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn another_node_takes_over_from_a_killed_one() {
    let database = TestDatabase::new(Engine::Postgres);
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut first = Node::start(&database, &places[0]);
    let fleet = Fleet::new(watched(&first.remote), 4);
    let mut second = Node::start(&database, &places[1]);
    let report = |node: &Node, errors: u64| {
        fleet.report(&node.remote, |_| vec![calls_of("a", 200, errors)]);
    };
    for _ in 0..3 {
        report(&second, 1);
    }
    // The first has acted since before the second was there.
    eventually(
        "the first reads what is reported",
        Duration::from_secs(20),
        || (numbers(&second.remote)["trials"] == 2_400).then_some(()),
    );
    first.kill();
    let killed = Instant::now();
    report(&second, 1);
    let within = Duration::from_secs(20);
    eventually("the second goes on", within, || {
        (numbers(&second.remote)["trials"] == 3_200).then_some(())
    });
    println!("taken over within {:?}", killed.elapsed());
    assert_eq!(numbers(&second.remote)["epoch"], 1);
    // Time enough for everybody to be known.
    eventually("the guard halts", Duration::from_secs(40), || {
        if !is_halted(&second.remote) {
            report(&second, 60);
            std::thread::sleep(Duration::from_millis(500));
        }
        is_halted(&second.remote).then_some(())
    });
    assert_eq!(halts(&second.remote), 1);
    second.kill();
}

/// The steps that a ramp has taken by itself, oldest first: when, and to which share.
fn steps(remote: &Remote) -> Vec<(DateTime<Utc>, i64)> {
    let page = remote.get("audit?limit=1000").expect(200).json();
    let mut steps: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "ramp_advance")
        .map(|entry| {
            let at = entry["at"].as_str().unwrap().parse().unwrap();
            (at, entry["after"]["setting"]["percent"].as_i64().unwrap())
        })
        .collect();
    steps.sort_unstable();
    steps
}

#[test]
fn a_ramp_goes_on_when_its_leader_is_killed() {
    const HOLD: i64 = 2;
    let database = TestDatabase::new(Engine::Postgres);
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Only the first is there when somebody has to act, so it is the one that does.
    let mut first = Node::start(&database, &places[0]);
    let route = json!({
        "endpoint": "gitaly.Service/A", "key": "a", "operation": "read", "owner": "test",
        "policy": "open",
    });
    let remote = &first.remote;
    remote.post(Who::OPERATOR, "routes", &route).expect(201);
    let promotion = json!({ "to": "opt_in", "reason": "test" });
    remote
        .post(Who::MAINTAINER, &at("a", "dev", "promotions"), &promotion)
        .expect(201);
    let none = json!({ "mode": "ramp", "percent": 0, "reason": "test" });
    remote
        .put(Who::OPERATOR, &at("a", "dev", "setting"), &none)
        .expect(200);
    let plan: Vec<Value> = (1..=5)
        .map(|step| json!({ "percent": step * 10, "hold": format!("{HOLD}s") }))
        .collect();
    let plan = json!({ "steps": plan, "reason": "test" });
    remote
        .put(Who::OPERATOR, &at("a", "dev", "ramp"), &plan)
        .expect(200);
    let start = json!({ "reason": "test" });
    remote
        .post(Who::OPERATOR, &at("a", "dev", "ramp/start"), &start)
        .expect(200);
    eventually("the first takes a step", Duration::from_secs(20), || {
        (!steps(remote).is_empty()).then_some(())
    });
    let mut second = Node::start(&database, &places[1]);
    first.kill();
    eventually("the ramp is finished", Duration::from_secs(60), || {
        let rollout = second.remote.get(&at("a", "dev", "")).expect(200).json();
        (rollout["ramp"]["state"] == "finished").then_some(())
    });
    let steps = steps(&second.remote);
    let shares: Vec<i64> = steps.iter().map(|(_, percent)| *percent).collect();
    assert_eq!(shares, [20, 30, 40, 50], "none skipped, none doubled");
    // By the database's own record: what a step holds, and at most five seconds.
    let waits = steps.windows(2).map(|two| two[1].0 - two[0].0);
    let longest = waits.max().unwrap();
    println!("the longest step took {} ms", longest.num_milliseconds());
    assert!(longest <= chrono::Duration::seconds(HOLD + 5), "{longest}");
    second.kill();
}
