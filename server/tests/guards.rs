//! Guards from the report to the action, over real HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover::Version;
use switchover_server::conductor::Conductor;

use crate::support::{App, Engine, Fleet, Reply, Who, at, calls_of, on_both_engines};

on_both_engines!(
    a_breach_halts_once_with_its_numbers,
    too_little_holds,
    a_breach_that_only_notifies_closes_the_door,
    a_ramp_pauses,
    one_bad_host_is_named_and_halts_nothing,
    slow_calls_halt,
    whatever_begins_an_epoch_reaches_the_callers,
    what_callers_count_follows_the_policy,
    another_limit_begins_an_epoch,
);

/// A route `a` under a policy with these guards, whose calls in dev take the new path.
fn watched(app: &App, guards: &Value) {
    write(app, guards, "").expect(201);
    app.route_with("a", json!({ "policy": "watched" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
}

fn write(app: &App, guards: &Value, description: &str) -> Reply {
    let policy = json!({
        "name": "watched", "description": description, "guards": guards,
    });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body)
}

fn guard(name: &str, measure: &str, limit: f64, action: &str) -> Value {
    json!({ "name": name, "measure": measure, "limit": limit, "action": action })
}

fn conductor(app: &App) -> Conductor {
    Conductor::new(Arc::clone(app.services()))
}

fn guards(app: &App) -> Value {
    app.get(&at("a", "dev", "guards")).expect(200).json()
}

fn state(app: &App) -> String {
    guards(app)["guards"][0]["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What guards have put on record, oldest first.
fn acted(app: &App) -> Vec<Value> {
    let page = app.get("audit?limit=1000").expect(200).json();
    let entries = page["items"].as_array().unwrap().clone();
    let mut entries: Vec<Value> = entries
        .into_iter()
        .filter(|entry| entry["by"].as_str().unwrap().starts_with("guard:"))
        .collect();
    entries.sort_by_key(|entry| entry["seq"].as_u64());
    entries
}

fn a_breach_halts_once_with_its_numbers(engine: Engine) {
    let app = App::start(engine);
    watched(&app, &json!([guard("errors", "error_rate", 0.01, "halt")]));
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = conductor(&app);
    assert!(conductor.tick());
    assert_eq!(state(&app), "insufficient");
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 0);
        conductor.tick();
    }
    assert_eq!(state(&app), "pass");
    assert_eq!(guards(&app)["epoch"], 1);
    fleet.calls(&app, "a", 100, 30);
    assert_eq!(state(&app), "pass", "what came in is not read yet");
    conductor.tick();

    let rollout = app.rollout("a", "dev");
    assert_eq!(rollout["halted"], true, "{}", guards(&app));
    assert_eq!(rollout["halt"]["by"], "guard:errors");
    let entries = acted(&app);
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert_eq!(entry["action"], "halt");
    let saw = &entry["after"]["guard"];
    assert_eq!(saw["trials"], 1_600);
    assert_eq!(saw["violations"], 120);
    assert_eq!(saw["rate"], 0.075);
    assert_eq!(saw["limit"], 0.01);
    assert_eq!(saw["epoch"], 1);
    assert_eq!(saw["instances"], 4);
    assert!(saw["log10_e_without_one"].as_f64() >= saw["log10_bound"].as_f64());
    assert_eq!(saw["instance"], Value::Null);

    // Once in an epoch, whatever still comes in of the calls before the halt.
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 30);
        conductor.tick();
    }
    assert_eq!(acted(&app).len(), 1);
    app.assert_audit_intact();

    // After a resume the counts begin anew.
    let body = json!({ "reason": "mended" });
    app.post(Who::OPERATOR, &at("a", "dev", "resume"), &body)
        .expect(200);
    assert_eq!(state(&app), "insufficient");
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 0);
        conductor.tick();
    }
    assert_eq!(state(&app), "pass");
    assert_eq!(app.rollout("a", "dev")["halted"], false);
}

fn too_little_holds(engine: Engine) {
    let app = App::start(engine);
    watched(&app, &json!([guard("errors", "error_rate", 0.01, "halt")]));
    let fleet = Fleet::new(app.sdk_key("dev"), 1);
    let mut conductor = conductor(&app);
    for _ in 0..5 {
        fleet.calls(&app, "a", 0, 0);
        conductor.tick();
        assert_eq!(state(&app), "insufficient");
    }
    fleet.calls(&app, "a", 3, 1);
    conductor.tick();
    assert_eq!(state(&app), "insufficient");
    let detail = guards(&app)["guards"][0]["detail"].to_string();
    assert!(detail.contains("1 of 3 calls failed"), "{detail}");
    assert_eq!(app.rollout("a", "dev")["halted"], false);
    assert_eq!(acted(&app), Vec::<Value>::new());
    fleet.calls(&app, "a", 200, 0);
    conductor.tick();
    assert_eq!(state(&app), "pass");
    app.advance(Duration::seconds(11));
    conductor.tick();
    assert_eq!(state(&app), "insufficient", "nothing was reported for 11 s");
    app.get(&at("b", "dev", "guards")).expect(404);
}

fn a_breach_that_only_notifies_closes_the_door(engine: Engine) {
    let app = App::start(engine);
    watched(
        &app,
        &json!([guard("errors", "error_rate", 0.01, "notify")]),
    );
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 20 }))
        .expect(200);
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = conductor(&app);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 30);
        conductor.tick();
    }
    assert_eq!(state(&app), "breach");
    assert_eq!(app.rollout("a", "dev")["halted"], false);
    let entries = acted(&app);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["action"], "guard_notify");

    let refused = app.set("a", "dev", json!({ "mode": "ramp", "percent": 30 }));
    assert_eq!(refused.code(409), "guard_breach");
    assert!(refused.body.contains("guard errors"), "{}", refused.body);
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 10 }))
        .expect(200);
    // Less exposure is another form of the rollout: what was seen of the other says nothing of it.
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 12 }))
        .expect(200);
}

fn a_ramp_pauses(engine: Engine) {
    let app = App::start(engine);
    let policy = json!({
        "name": "watched",
        "ramp": [{ "percent": 10, "hold_hours": 1 }, { "percent": 100, "hold_hours": 1 }],
        "ramp_start": "at_promotion",
        "guards": [guard("errors", "error_rate", 0.01, "pause")],
    });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with("a", json!({ "policy": "watched" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = conductor(&app);
    conductor.tick();
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 10.0);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 30);
        conductor.tick();
    }
    let entries = acted(&app);
    assert_eq!(entries[0]["action"], "ramp_pause", "{entries:?}");
    assert_eq!(entries[0]["after"]["guard"]["name"], "errors");
    for _ in 0..3 {
        app.advance(Duration::hours(2));
        fleet.calls(&app, "a", 100, 0);
        conductor.tick();
    }
    let rollout = app.rollout("a", "dev");
    assert_eq!(rollout["exposure_percent"], 10.0);
    assert_eq!(rollout["halted"], false);
}

fn one_bad_host_is_named_and_halts_nothing(engine: Engine) {
    let app = App::start(engine);
    watched(&app, &json!([guard("errors", "error_rate", 0.01, "halt")]));
    let fleet = Fleet::new(app.sdk_key("dev"), 10);
    let mut conductor = conductor(&app);
    for _ in 0..6 {
        app.advance(Duration::seconds(5));
        fleet.report(&app, |instance| {
            vec![calls_of("a", 100, if instance == 3 { 50 } else { 0 })]
        });
        conductor.tick();
    }
    let answer = guards(&app);
    assert_eq!(answer["guards"][0]["state"], "pass");
    assert_eq!(answer["guards"][0]["instance"], "web-3");
    assert_eq!(app.rollout("a", "dev")["halted"], false);
    let entries = acted(&app);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["after"]["guard"]["instance"], "web-3");
}

fn slow_calls_halt(engine: Engine) {
    let app = App::start(engine);
    watched(&app, &json!([guard("p99", "p99_ms", 500.0, "halt")]));
    let fleet = Fleet::new(app.sdk_key("dev"), 2);
    let mut conductor = conductor(&app);
    for slow in [0, 0, 0, 40] {
        app.advance(Duration::seconds(5));
        fleet.report(&app, |_| {
            let mut row = calls_of("a", 100, 0);
            row["slow"] = json!([{ "limit_ms": 500, "trials": 100, "violations": slow }]);
            vec![row]
        });
        conductor.tick();
    }
    assert_eq!(app.rollout("a", "dev")["halt"]["by"], "guard:p99");
}

fn whatever_begins_an_epoch_reaches_the_callers(engine: Engine) {
    let app = App::start(engine);
    watched(&app, &json!([guard("errors", "error_rate", 0.01, "halt")]));
    let key = app.sdk_key("dev");
    let since = || {
        let snapshot = app.snapshot(&key).expect(200).json();
        let version: Version = snapshot["version"].as_str().unwrap().parse().unwrap();
        let since = &snapshot["routes"]["a"]["watch"]["since"];
        (since.as_u64().unwrap(), version.revision)
    };
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    let plan = json!({ "steps": [{ "percent": 10, "hold": "1h" }], "reason": "test" });
    app.put(Who::OPERATOR, &at("a", "dev", "ramp"), &plan)
        .expect(200);
    let mut last = since().0;
    // The last two move no key, and callers must tell apart what they count all the same.
    for what in ["start", "pause", "resume"] {
        let reason = json!({ "reason": "test" });
        app.post(
            Who::OPERATOR,
            &at("a", "dev", &format!("ramp/{what}")),
            &reason,
        )
        .expect(200);
        let (now, revision) = since();
        assert!(now > last, "{what}");
        assert_eq!(now, revision);
        last = now;
    }
}

/// The limits in a snapshot, and its revision. Which revision guards count from is another test's.
fn counted(app: &App, key: &str) -> (Value, u64) {
    let snapshot = app.snapshot(key).expect(200).json();
    let version: Version = snapshot["version"].as_str().unwrap().parse().unwrap();
    let mut watch = snapshot["routes"]["a"]["watch"].clone();
    watch.as_object_mut().unwrap().remove("since");
    (watch, version.revision)
}

fn what_callers_count_follows_the_policy(engine: Engine) {
    let app = App::start(engine);
    let p99 = |limit| json!([guard("p99", "p99_ms", limit, "halt")]);
    watched(&app, &p99(500.0));
    app.route("b");
    let key = app.sdk_key("dev");
    let (watch, revision) = counted(&app, &key);
    assert_eq!(watch, json!({ "slow_ms": [500] }));

    write(&app, &p99(500.0), "only told otherwise").expect(201);
    assert_eq!(counted(&app, &key), (watch, revision));
    write(&app, &p99(400.0), "").expect(201);
    let (watch, next) = counted(&app, &key);
    assert_eq!(watch, json!({ "slow_ms": [400] }));
    assert_eq!(next, revision + 1);

    let rollout = app.rollout("a", "dev");
    let patch = json!({ "policy_numbers": { "guards.p99.limit": 300 }, "reason": "test" });
    let patched = app
        .request("PATCH", "routes/a")
        .by(Who::ADMIN)
        .json(&patch)
        .send();
    patched.expect(200);
    let (watch, last) = counted(&app, &key);
    assert_eq!(watch, json!({ "slow_ms": [300] }));
    assert_eq!(last, next + 1);
    // Nothing that it decides by has changed, so what counts its rest goes on.
    assert_eq!(app.rollout("a", "dev"), rollout);

    // With the route's own limit the policy's says nothing.
    write(&app, &p99(200.0), "").expect(201);
    assert_eq!(counted(&app, &key).0, json!({ "slow_ms": [300] }));
    let seen: BTreeSet<u64> = [revision, next, last].into();
    assert_eq!(seen.len(), 3);
}

fn another_limit_begins_an_epoch(engine: Engine) {
    let app = App::start(engine);
    let errors = |limit| json!([guard("errors", "error_rate", limit, "notify")]);
    watched(&app, &errors(0.01));
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = conductor(&app);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 5);
        conductor.tick();
    }
    assert_eq!(state(&app), "breach");
    write(&app, &errors(0.2), "").expect(201);
    assert_eq!(state(&app), "insufficient");
    assert_eq!(guards(&app)["epoch"], 0);
    for _ in 0..3 {
        fleet.calls(&app, "a", 100, 5);
        conductor.tick();
    }
    assert_eq!(state(&app), "pass");
    assert_eq!(guards(&app)["epoch"], 2);
    assert_eq!(acted(&app).len(), 1);
}
