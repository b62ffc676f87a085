//! Environments that people add and change.

use serde_json::json;

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    one_is_shown_with_the_tag_that_a_change_needs,
    a_new_one_makes_nobody_ahead,
    a_new_one_exposes_nothing_that_nobody_judged,
    production_is_exposed_by_its_rules_alone
);

fn one_is_shown_with_the_tag_that_a_change_needs(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let shown = app.get("environments/staging").expect(200);
    let listed = app.get("environments").json();
    assert_eq!(shown.json(), listed["items"][1]);
    let patch = |etag: &str, position: i32| {
        app.request("PATCH", "environments/staging")
            .by(Who::ADMIN)
            .header("if-match", etag)
            .json(&json!({ "position": position, "reason": "r" }))
            .send()
    };
    app.set("a", "staging", json!({ "mode": "on" })).expect(200);
    let refused = patch(&shown.etag(), 2).problem(412);
    let now = app.get("environments/staging").expect(200);
    assert_eq!(refused["etag"], now.etag());
    assert!(now.json()["revision"].as_u64() > shown.json()["revision"].as_u64());
    assert_eq!(patch(&now.etag(), 2).expect(200).etag(), now.etag());
    let unread = app.get("environments/missing");
    assert_eq!(unread.code(404), "not_found");
}

fn a_new_one_makes_nobody_ahead(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.route("b");
    app.bring("a", &["dev", "staging", "production"], "opt_in");
    app.promote(Who::OPERATOR, "a", "dev", "opt_out")
        .expect(201);
    let create = |key: &str, position: i32| {
        let body = json!({ "key": key, "kind": "hosted", "position": position });
        app.post(Who::ADMIN, "environments", &body)
    };
    let moved = json!({ "position": 30, "reason": "r" });
    let patch = |key: &str, body| {
        app.request("PATCH", &format!("environments/{key}"))
            .by(Who::ADMIN)
            .json(&body)
            .send()
    };
    // One after the other, last one first: in between, too, nobody is ahead.
    patch("on-prem", json!({ "position": 40, "reason": "r" })).expect(200);
    patch("production", moved).expect(200);
    assert_eq!(create("canary", 20).expect(201).json()["production"], false);
    assert_eq!(
        create("production-2", 35).expect(201).json()["production"],
        true
    );
    assert_eq!(
        create("canary", 21).problem(409)["errors"][0]["field"],
        "key"
    );
    assert_eq!(
        create("other", 20).problem(409)["errors"][0]["field"],
        "position"
    );
    let stage = |environment: &str, route: &str| app.rollout(route, environment)["stage"].clone();
    // As far as the furthest of those that come later.
    assert_eq!(stage("canary", "a"), "opt_in");
    assert_eq!(stage("canary", "b"), "ready_for_testing");
    assert_eq!(stage("production-2", "a"), "ready_for_testing");
    let key = app.sdk_key("canary");
    let published = app.snapshot(&key).expect(200).json();
    assert_eq!(published["environment"], "canary");
    assert_eq!(published["routes"]["a"]["stage"], "opt_in");
    let listed = app.get("environments").json();
    let keys: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "dev",
            "staging",
            "canary",
            "production",
            "production-2",
            "on-prem"
        ]
    );
    // It takes part in the order at once, and routes made from now on are there too.
    app.post(
        Who::APPROVER,
        &at("a", "production-2", "approvals"),
        &json!({ "to": "opt_in" }),
    )
    .expect(201);
    app.promote(Who::MAINTAINER, "a", "production-2", "opt_in")
        .expect(201);
    app.route("c");
    assert_eq!(stage("canary", "c"), "ready_for_testing");
    app.bring("c", &["dev", "staging"], "opt_in");
    let refused = app
        .promote(Who::MAINTAINER, "c", "production", "opt_in")
        .problem(409);
    assert!(
        refused["gates"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("canary"),
        "{refused}"
    );
}

/// Neither in front of real users, whoever runs the callers, nor while a freeze is open.
fn a_new_one_exposes_nothing_that_nobody_judged(engine: Engine) {
    let app = App::start(engine);
    for route in ["a", "b"] {
        app.route(route);
    }
    let patch = json!({ "position": 90, "reason": "r" });
    let request = app.request("PATCH", "environments/on-prem").by(Who::ADMIN);
    request.json(&patch).send().expect(200);
    // A later one that has these stages: those before it get them, too.
    let all = ["dev", "staging", "production", "on-prem"];
    app.bring("a", &all, "opt_out");
    app.bring("b", &all, "opt_in");
    let create = |key: &str, kind: &str, position: i32| {
        let body = json!({
            "key": key, "kind": kind, "position": position, "production": false,
        });
        app.post(Who::ADMIN, "environments", &body).expect(201);
    };
    let seen = |environment: &str| {
        ["a", "b"].map(|route| {
            let rollout = app.rollout(route, environment);
            (
                rollout["exposure_percent"].clone(),
                rollout["setting"]["mode"].clone(),
            )
        })
    };
    let (off, open, unset) = (
        (json!(0), json!("off")),
        (json!(100), json!("stage_default")),
        (json!(0), json!("stage_default")),
    );
    create("customers", "on_prem", 80);
    assert_eq!(seen("customers"), [off.clone(), unset]);
    create("canary", "hosted", 70);
    assert_eq!(seen("canary"), [open.clone(), open]);
    let freeze = json!({ "reason": "incident" });
    app.post(Who::OPERATOR, "freezes", &freeze).expect(201);
    create("canary-2", "hosted", 60);
    assert_eq!(seen("canary-2"), [off.clone(), off]);
}

/// Making an environment production is no way around the acceptance window.
fn production_is_exposed_by_its_rules_alone(engine: Engine) {
    let app = App::start(engine);
    for route in ["a", "b", "c"] {
        app.route(route);
    }
    let produce = |production: bool| -> Reply {
        let body = json!({ "production": production, "reason": "r" });
        app.request("PATCH", "environments/staging")
            .by(Who::ADMIN)
            .json(&body)
            .send()
    };
    app.set("a", "staging", json!({ "mode": "ramp", "percent": 0.001 }))
        .expect(200);
    let cohorts = json!({ "include": ["k"], "exclude": [], "reason": "r" });
    app.put(Who::OPERATOR, &at("b", "staging", "cohorts"), &cohorts)
        .expect(200);
    let refused = produce(true).problem(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("a, b") && !detail.contains("c,"),
        "{detail}"
    );
    app.set("a", "staging", json!({ "mode": "stage_default" }))
        .expect(200);
    app.post(
        Who::OPERATOR,
        &at("b", "staging", "halt"),
        &json!({ "reason": "r" }),
    )
    .expect(200);
    produce(true).expect(200);
    assert_eq!(
        app.set("a", "staging", json!({ "mode": "on" })).code(409),
        "window_needed"
    );
    let resumed = app.post(
        Who::ADMIN,
        &at("b", "staging", "resume"),
        &json!({ "reason": "r" }),
    );
    assert_eq!(resumed.code(409), "window_needed");
    produce(false).expect(200);
    app.set("a", "staging", json!({ "mode": "on" })).expect(200);
}
