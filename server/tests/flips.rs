//! Keys that move between the two stores of a data route: announced first, and made when every process
//! that writes has let go of them.

mod blocked;
mod commands;
mod ended;
mod nodes;
mod ramps;
mod sdk;

use std::sync::Arc;
use std::time::Duration as Wait;

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{
    App, Engine, Remote, Reply, TestDatabase, Who, at, eventually, on_both_engines,
};

on_both_engines!(
    a_flip_waits_for_every_process,
    one_that_does_not_let_go_has_it_given_up,
    nobody_waits_for_nobody,
    what_moves_no_key_is_not_announced,
    lost_and_repeated_reports,
    a_promotion_is_announced_with_its_approvals,
    what_is_announced_is_judged_again,
);

/// A data route `save` at opt_in in dev, of which no key is new yet, doubled; the SDK key of dev.
fn doubled(app: &App) -> String {
    app.route_with("save", json!({ "operation": "write" }));
    app.set("save", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    app.bring("save", &["dev"], "opt_in");
    mirror(app, 100).expect(200);
    app.sdk_key("dev")
}

fn mirror(app: &App, write: u32) -> Reply {
    let body = json!({ "read_percent": 0, "write_percent": write, "reason": "test" });
    app.put(Who::OPERATOR, &at("save", "dev", "mirror"), &body)
}

fn ramp(app: &App, percent: u32) -> Reply {
    app.set("save", "dev", json!({ "mode": "ramp", "percent": percent }))
}

fn patch(app: &App, route: &str, body: &Value) -> Reply {
    let request = app.request("PATCH", &format!("routes/{route}"));
    request.by(Who::ADMIN).json(body).send()
}

fn order(remote: &Remote, who: Who, what: &str) -> Reply {
    let body = json!({ "reason": "test" });
    remote.post(who, &at("save", "dev", what), &body)
}

fn rollout(remote: &Remote) -> Value {
    remote.get(&at("save", "dev", "")).expect(200).json()
}

/// What is published of the route.
fn published(remote: &Remote, key: &str) -> Value {
    let snapshot = remote.request("GET", "/sdk/v1/snapshot").bearer(key);
    snapshot.send().expect(200).json()["routes"]["save"].clone()
}

/// What is published of the route once nothing is announced any more: a moment after the commit.
fn released(remote: &Remote, key: &str) -> Value {
    eventually("the end is published", Wait::from_secs(20), || {
        Some(published(remote, key)).filter(|route| route["hold"].is_null())
    })
}

/// A process reports; what it is answered.
fn report(remote: &Remote, key: &str, instance: &str, more: Value) -> Reply {
    let mut route = json!({ "route": "save", "generation": 0 });
    let fields = route.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let body =
        json!({ "instance": instance, "name": format!("web-{instance}"), "routes": [route] });
    let request = remote.request("POST", "/sdk/v1/writers").bearer(key);
    request.json(&body).send()
}

fn joins(remote: &Remote, key: &str, instance: &str) {
    report(remote, key, instance, json!({})).expect(200);
}

fn lets_go(remote: &Remote, key: &str, instance: &str, generation: u64) {
    let more = json!({ "generation": generation, "drained": generation });
    report(remote, key, instance, more).expect(200);
}

fn leaves(remote: &Remote, key: &str, instance: &str) {
    let body = json!({
        "instance": instance, "name": "web", "routes": [{ "route": "save" }], "ends": true,
    });
    let request = remote.request("POST", "/sdk/v1/writers").bearer(key);
    request.json(&body).send().expect(200);
}

/// Waits until nothing is announced any more; the rollout then.
fn ended(remote: &Remote) -> Value {
    eventually("the flip ends", Wait::from_secs(20), || {
        Some(rollout(remote)).filter(|rollout| rollout["hold"].is_null())
    })
}

fn actions(remote: &Remote) -> Vec<String> {
    let page = remote.get("audit?limit=1000&route=save").expect(200).json();
    let entries = page["items"].as_array().unwrap().iter();
    let actions = entries.map(|entry| entry["action"].as_str().unwrap().to_owned());
    actions.collect()
}

fn a_flip_waits_for_every_process(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    for instance in ["a", "b", "c"] {
        joins(&app, &key, instance);
    }
    let before = rollout(&app);
    let held = ramp(&app, 30).expect(202).json();
    assert_eq!(held["action"], "flip_hold");
    assert_eq!(held["rollout"]["hold"]["action"], "setting");
    assert_eq!(held["rollout"]["hold"]["by"], Who::OPERATOR.1);
    assert_eq!(held["rollout"]["exposure_percent"], 0);
    assert_eq!(held["rollout"]["changed_at"], before["changed_at"]);
    let told = published(&app, &key);
    assert_eq!(told["generation"], 1);
    assert_eq!(told["setting"]["percent"], 0);
    assert_eq!(told["hold"]["setting"]["percent"], 30);

    lets_go(&app, &key, "a", 1);
    lets_go(&app, &key, "b", 1);
    lets_go(&app, &key, "a", 1);
    assert!(!rollout(&app)["hold"].is_null());
    app.advance(Duration::milliseconds(80));
    lets_go(&app, &key, "c", 1);
    let after = ended(&app);
    assert_eq!(after["exposure_percent"], 30);
    assert_eq!(after["generation"], 1);
    let last = &after["last_flip"];
    assert_eq!(
        (&last["outcome"], &last["waited_ms"]),
        (&json!("made"), &json!(80))
    );
    let told = released(&app, &key);
    assert_eq!(
        (&told["generation"], &told["hold"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(told["setting"]["percent"], 30);
    let entries = app.get("audit?limit=2&route=save").expect(200).json();
    assert_eq!(entries["items"][0]["action"], "setting");
    assert_eq!(entries["items"][0]["by"], Who::OPERATOR.1);
    assert_eq!(entries["items"][1]["action"], "flip_hold");
    app.assert_audit_intact();
}

fn one_that_does_not_let_go_has_it_given_up(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    joins(&app, &key, "b");
    let before = rollout(&app);
    ramp(&app, 30).expect(202);
    lets_go(&app, &key, "a", 1);
    app.advance(Duration::milliseconds(1_499));
    std::thread::sleep(Wait::from_millis(60));
    assert!(!rollout(&app)["hold"].is_null());
    app.advance(Duration::milliseconds(1));
    let after = ended(&app);
    assert_eq!(after["exposure_percent"], 0);
    assert_eq!(after["generation"], 1);
    assert_eq!(after["last_flip"]["outcome"], "abandoned");
    let detail = after["last_flip"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("web-b") && !detail.contains("web-a"),
        "{detail}"
    );
    for same in [
        "stage",
        "setting",
        "stage_since",
        "changed_at",
        "include",
        "mirror",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    // Late: that flip is over, and the next is another one.
    lets_go(&app, &key, "b", 1);
    assert_eq!(rollout(&app)["exposure_percent"], 0);
    ramp(&app, 30).expect(202);
    assert_eq!(published(&app, &key)["generation"], 2);
    lets_go(&app, &key, "a", 2);
    lets_go(&app, &key, "b", 2);
    assert_eq!(ended(&app)["exposure_percent"], 30);
    let told = ["setting", "flip_hold", "flip_abandoned", "flip_hold"];
    assert_eq!(actions(&app)[..4], told);
}

fn nobody_waits_for_nobody(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    let changed = ramp(&app, 30).expect(200).json();
    assert_eq!(changed["rollout"]["exposure_percent"], 30);
    assert_eq!(published(&app, &key)["generation"], 1);
    joins(&app, &key, "a");
    leaves(&app, &key, "a");
    ramp(&app, 40).expect(200);
    assert_eq!(published(&app, &key)["generation"], 2);
    // The last that is waited for may also leave.
    joins(&app, &key, "a");
    joins(&app, &key, "b");
    ramp(&app, 50).expect(202);
    lets_go(&app, &key, "a", 3);
    leaves(&app, &key, "b");
    assert_eq!(ended(&app)["exposure_percent"], 50);
}

fn what_moves_no_key_is_not_announced(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    ramp(&app, 0).expect(200);
    app.set("save", "dev", json!({ "mode": "off" })).expect(200);
    mirror(&app, 50).expect(200);
    assert_eq!(rollout(&app)["generation"], 0);
    // Where nothing is doubled, nobody is waited for.
    mirror(&app, 0).expect(200);
    ramp(&app, 10).expect(200);
    assert_eq!(rollout(&app)["generation"], 1);
    let other = json!({ "operation": "read" });
    app.route_with("find", other);
    app.bring("find", &["dev"], "opt_in");
    assert_eq!(app.rollout("find", "dev")["generation"], 0);
}

/// Whatever is lost or comes twice, a flip is made once, and by what was said of it.
fn lost_and_repeated_reports(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    joins(&app, &key, "b");
    ramp(&app, 10).expect(202);
    for _ in 0..3 {
        lets_go(&app, &key, "a", 1);
    }
    // What was said of other generations says nothing of this one.
    report(&app, &key, "b", json!({ "generation": 0, "drained": 0 })).expect(200);
    report(&app, &key, "b", json!({ "generation": 1 })).expect(200);
    assert!(!rollout(&app)["hold"].is_null());
    lets_go(&app, &key, "b", 1);
    assert_eq!(ended(&app)["exposure_percent"], 10);
    for _ in 0..3 {
        lets_go(&app, &key, "b", 1);
        report(&app, &key, "a", json!({ "generation": 0 })).expect(200);
    }
    let writers = app.get(&at("save", "dev", "writers")).expect(200).json();
    assert_eq!(writers["items"][0]["drained"], 1);
    assert_eq!(writers["items"][0]["generation"], 1);
    ramp(&app, 20).expect(202);
    lets_go(&app, &key, "a", 2);
    std::thread::sleep(Wait::from_millis(60));
    assert!(!rollout(&app)["hold"].is_null(), "b has let go of another");
    lets_go(&app, &key, "b", 2);
    assert_eq!(ended(&app)["exposure_percent"], 20);
    let made = actions(&app);
    let flips = made.iter().filter(|action| *action == "setting").count();
    assert_eq!(flips, 3, "{made:?}");
}

fn a_promotion_is_announced_with_its_approvals(engine: Engine) {
    let app = App::start(engine);
    let policy =
        json!({ "name": "seen", "gates": { "opt_out": [{ "gate": "approval", "count": 1 }] } });
    app.post(
        Who::ADMIN,
        "policies",
        &json!({ "policy": policy, "reason": "test" }),
    )
    .expect(201);
    let key = doubled(&app);
    let change = json!({ "policy": "seen", "reason": "test" });
    patch(&app, "save", &change).expect(200);
    joins(&app, &key, "a");
    // A promotion that raises keys: the share is the stage's own.
    ramp(&app, 100).expect(202);
    lets_go(&app, &key, "a", 1);
    assert_eq!(ended(&app)["exposure_percent"], 100);
    app.promote(Who::MAINTAINER, "save", "dev", "opt_out")
        .expect(409);
    let approval = json!({ "to": "opt_out", "comment": "test" });
    app.post(Who::APPROVER, &at("save", "dev", "approvals"), &approval)
        .expect(201);
    // No key moves: nothing is announced.
    app.promote(Who::MAINTAINER, "save", "dev", "opt_out")
        .expect(201);
    let body = json!({ "to": "ready_for_testing", "reason": "test" });
    let held = app.post(Who::OPERATOR, &at("save", "dev", "demotions"), &body);
    assert_eq!(held.expect(202).json()["rollout"]["stage"], "opt_out");
    lets_go(&app, &key, "a", 2);
    assert_eq!(ended(&app)["stage"], "ready_for_testing");
}

/// A promotion counts its approvals when it is made, and is made as its promoter's.
fn what_is_announced_is_judged_again(engine: Engine) {
    let app = App::start(engine);
    let policy =
        json!({ "name": "seen", "gates": { "opt_in": [{ "gate": "approval", "count": 1 }] } });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with("save", json!({ "operation": "write", "policy": "seen" }));
    mirror(&app, 100).expect(200);
    let key = app.sdk_key("dev");
    joins(&app, &key, "a");
    let promote = || app.promote(Who::MAINTAINER, "save", "dev", "opt_in");
    assert_eq!(promote().code(409), "gates_not_met");
    let approval = json!({ "to": "opt_in", "comment": "test" });
    let path = at("save", "dev", "approvals");
    app.post(Who::APPROVER, &path, &approval).expect(201);
    let held = promote().expect(202).json();
    assert_eq!(
        (
            &held["rollout"]["stage"],
            &held["rollout"]["hold"]["action"]
        ),
        (&json!("ready_for_testing"), &json!("promote"))
    );
    // What it was allowed by is gone when all have let go.
    let patched = json!({ "endpoint": "gear.Store/Other", "reason": "test" });
    patch(&app, "save", &patched).expect(200);
    lets_go(&app, &key, "a", 1);
    let after = ended(&app);
    assert_eq!(after["stage"], "ready_for_testing");
    assert_eq!(after["last_flip"]["outcome"], "abandoned");
    let detail = after["last_flip"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("approval"), "{detail}");

    app.post(Who::APPROVER, &path, &approval).expect(201);
    promote().expect(202);
    lets_go(&app, &key, "a", 2);
    let after = ended(&app);
    assert_eq!(
        (&after["stage"], &after["exposure_percent"]),
        (&json!("opt_in"), &json!(100))
    );
    let entry = app.get("audit?limit=1&route=save").expect(200).json()["items"][0].clone();
    assert_eq!(
        (&entry["action"], &entry["by"]),
        (&json!("promote"), &json!(Who::MAINTAINER.1))
    );
    assert_eq!(entry["after"]["gates"][0]["state"], "pass", "{entry}");
    app.assert_audit_intact();
}
