//! Ramps and mirrors over HTTP, and what happens to them without a person.

mod guards;
mod nodes;

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::domain::guard::{GuardReport, GuardState};
use switchover_server::domain::policy::{Guard, GuardAction, Measure};
use switchover_server::service::Target;

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_ramp_goes_up_by_itself,
    a_freeze_holds_it,
    a_policy_brings_its_ramp,
    who_sets_by_hand_takes_the_wheel,
    the_steps_of_an_approved_ramp_void_no_approval,
    a_mirror_is_published_and_stopped,
    ramps_have_their_place,
);

fn put(app: &App, who: Who, environment: &str, steps: Value) -> Reply {
    let body = json!({ "steps": steps, "reason": "test" });
    app.put(who, &at("a", environment, "ramp"), &body)
}

fn order(app: &App, who: Who, environment: &str, what: &str) -> Reply {
    app.post(
        who,
        &at("a", environment, what),
        &json!({ "reason": "test" }),
    )
}

/// A route at opt_in in dev, of which nothing is exposed.
fn offered(app: &App) {
    app.route("a");
    app.bring("a", &["dev"], "opt_in");
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
}

fn target() -> Target {
    Target {
        route: "a".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    }
}

/// Looks at all ramps as the conductor does; how many moved.
fn look(app: &App, guards: &[(&str, GuardState)]) -> usize {
    let answers: Vec<GuardReport> = guards
        .iter()
        .map(|(name, state)| GuardReport {
            guard: Guard {
                query: None,
                name: (*name).to_owned(),
                measure: Measure::ErrorRate,
                limit: 0.01,
                action: GuardAction::Halt,
                min_calls: None,
            },
            state: *state,
            detail: "3 errors in 1000 calls".to_owned(),
            numbers: [("calls".to_owned(), json!(1_000))].into_iter().collect(),
            instance: None,
        })
        .collect();
    let moved = app.services().advance_ramps(&|_| answers.clone());
    moved.unwrap().len()
}

fn ramp(app: &App) -> Value {
    app.rollout("a", "dev")["ramp"].clone()
}

fn newest(app: &App) -> Value {
    app.get("audit?limit=1").expect(200).json()["items"][0].clone()
}

fn a_ramp_goes_up_by_itself(engine: Engine) {
    let app = App::start(engine);
    offered(&app);
    let steps = json!([{ "percent": 10, "hold": "1h" }, { "percent": 50.5, "hold": "30m" }]);
    let planned = put(&app, Who::OPERATOR, "dev", steps.clone()).expect(200);
    assert_eq!(planned.json()["action"], "ramp_plan");
    let ready = ramp(&app);
    assert_eq!(ready["state"], "ready");
    assert_eq!(ready["waits_for"][0]["what"], "start");
    assert_eq!(
        (&ready["step"], &ready["next_step_at"]),
        (&json!(null), &json!(null))
    );

    let started = order(&app, Who::OPERATOR, "dev", "ramp/start")
        .expect(200)
        .json();
    assert_eq!(started["rollout"]["exposure_percent"], 10);
    assert_eq!(
        started["rollout"]["ramp"]["next_step_at"],
        "2026-01-05T11:00:00Z"
    );
    let entries = app.audit_count();
    assert_eq!(
        order(&app, Who::OPERATOR, "dev", "ramp/start")
            .expect(200)
            .json()["changed"],
        false
    );
    assert_eq!(app.audit_count(), entries);

    app.advance(Duration::minutes(59));
    assert_eq!(look(&app, &[]), 0);
    assert_eq!(ramp(&app)["held_s"], 59 * 60);
    app.advance(Duration::minutes(1));
    assert_eq!((look(&app, &[]), look(&app, &[])), (1, 0));
    let rollout = app.rollout("a", "dev");
    assert_eq!(rollout["exposure_percent"], 50.5);
    assert_eq!(
        (&rollout["ramp"]["step"], &rollout["ramp"]["held_s"]),
        (&json!(2), &json!(0))
    );
    let entry = newest(&app);
    assert_eq!(
        (&entry["action"], &entry["by"]),
        (&json!("ramp_advance"), &json!("system"))
    );
    assert_eq!(entry["reason"], "10 % was held for 1h: step 2 of 2");
    assert_eq!(entry["after"]["guards"], json!([]));
    let published = app.snapshot(&app.sdk_key("dev")).expect(200).json();
    assert_eq!(
        published["routes"]["a"]["setting"]["percent"], 50.5,
        "{published}"
    );

    // A day without a look is one step, here the end.
    app.advance(Duration::days(1));
    assert_eq!((look(&app, &[]), look(&app, &[])), (1, 0));
    assert_eq!(newest(&app)["action"], "ramp_finish");
    let finished = ramp(&app);
    assert_eq!(
        (&finished["state"], &finished["waits_for"]),
        (&json!("finished"), &json!([]))
    );
    assert_eq!(
        order(&app, Who::OPERATOR, "dev", "ramp/resume").code(409),
        "invalid_transition"
    );
    app.assert_audit_intact();
}

fn a_freeze_holds_it(engine: Engine) {
    let app = App::start(engine);
    offered(&app);
    let steps = json!([{ "percent": 10, "hold": "1h" }, { "percent": 50, "hold": "1h" }]);
    put(&app, Who::OPERATOR, "dev", steps).expect(200);
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    app.advance(Duration::minutes(20));
    let freeze = json!({ "until": "2026-01-05T11:20:00Z", "reason": "incident 2718" });
    app.post(Who::OPERATOR, "freezes", &freeze).expect(201);
    // 20 minutes are held, and an hour stands still.
    let held = ramp(&app);
    assert_eq!(
        (&held["held_s"], &held["next_step_at"]),
        (&json!(1_200), &json!("2026-01-05T12:00:00Z"))
    );
    assert_eq!(held["waits_for"][0]["what"], "freeze");
    app.advance(Duration::minutes(50));
    assert_eq!(look(&app, &[]), 0);
    assert_eq!(ramp(&app)["held_s"], 1_200);
    app.advance(Duration::minutes(49));
    assert_eq!(look(&app, &[]), 0, "one minute is missing");
    app.advance(Duration::minutes(1));
    assert_eq!(look(&app, &[]), 1);
    // Without an end nobody knows when it goes on. One elsewhere is no matter.
    let elsewhere = json!({ "environments": ["staging"], "reason": "x" });
    app.post(Who::OPERATOR, "freezes", &elsewhere).expect(201);
    assert_eq!(ramp(&app)["next_step_at"], "2026-01-05T13:00:00Z");
    let here = json!({ "environments": ["dev"], "reason": "x" });
    let here = app.post(Who::OPERATOR, "freezes", &here).expect(201).json();
    assert_eq!(ramp(&app)["next_step_at"], json!(null));
    app.advance(Duration::days(3));
    assert_eq!(look(&app, &[]), 0);
    let close = format!("freezes/{}?reason=over", here["id"].as_str().unwrap());
    app.request("DELETE", &close)
        .by(Who::MAINTAINER)
        .send()
        .expect(200);
    app.advance(Duration::minutes(60));
    assert_eq!(look(&app, &[]), 1);
    assert_eq!(ramp(&app)["state"], "finished");
}

/// A policy of two steps and a guard.
fn with_policy(app: &App, start: &str) {
    let policy = json!({
        "name": "stepped", "ramp_start": start,
        "ramp": [{ "percent": 10, "hold_hours": 1 }, { "percent": 100, "hold_hours": 2 }],
        "guards": [{ "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" }],
    });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with("a", json!({ "policy": "stepped" }));
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
}

fn a_policy_brings_its_ramp(engine: Engine) {
    let app = App::start(engine);
    with_policy(&app, "by_hand");
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 0);
    assert_eq!(ramp(&app)["state"], "ready");
    assert_eq!(
        ramp(&app)["steps"][1],
        json!({ "percent": 100, "hold": "2h" })
    );
    assert_eq!(look(&app, &[("errors", GuardState::Pass)]), 0);
    let own = json!([{ "percent": 100, "hold": "0s" }]);
    assert_eq!(
        put(&app, Who::OPERATOR, "dev", own.clone()).problem(403)["needs"],
        "maintainer"
    );
    // An operator goes by the steps, and no other way.
    assert_eq!(
        app.set("a", "dev", json!({ "mode": "on" })).code(403),
        "forbidden"
    );
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    app.advance(Duration::hours(1));
    for (answers, state) in [
        (&[][..], json!(null)),
        (
            &[("errors", GuardState::Insufficient)],
            json!("insufficient"),
        ),
        (&[("errors", GuardState::Breach)], json!("breach")),
    ] {
        assert_eq!(look(&app, answers), 0, "{state}");
    }
    assert_eq!(ramp(&app)["waits_for"][0]["guard"], "errors");
    let (before, entries) = (app.rollout("a", "dev"), app.audit_count());
    assert_eq!(
        before["revision"],
        app.rollout("a", "dev")["revision"],
        "waiting writes nothing"
    );
    assert_eq!(look(&app, &[("errors", GuardState::Pass)]), 1);
    assert_eq!(app.audit_count(), entries + 1);
    let acted_on = newest(&app)["after"]["guards"].clone();
    assert_eq!(acted_on[0]["numbers"]["calls"], 1_000, "{acted_on}");
    put(&app, Who::MAINTAINER, "dev", own.clone()).expect(409);
    order(&app, Who::OPERATOR, "dev", "ramp/pause").expect(200);
    put(&app, Who::MAINTAINER, "dev", own).expect(200);

    let other = App::start(engine);
    with_policy(&other, "at_promotion");
    assert_eq!(other.rollout("a", "dev")["exposure_percent"], 0);
    assert_eq!(look(&other, &[("errors", GuardState::Insufficient)]), 1);
    assert_eq!(newest(&other)["action"], "ramp_start");
    assert_eq!(other.rollout("a", "dev")["exposure_percent"], 10);
    // The policy's end is closed by the next promotion.
    for hours in [1, 2] {
        other.advance(Duration::hours(hours));
        assert_eq!(look(&other, &[("errors", GuardState::Pass)]), 1);
    }
    other
        .promote(Who::OPERATOR, "a", "dev", "opt_out")
        .expect(201);
    let closed = other.rollout("a", "dev");
    assert_eq!(
        (&closed["setting"]["mode"], &closed["ramp"]),
        (&json!("stage_default"), &json!(null))
    );
}

fn who_sets_by_hand_takes_the_wheel(engine: Engine) {
    let app = App::start(engine);
    offered(&app);
    let steps = json!([{ "percent": 10, "hold": "1h" }, { "percent": 50, "hold": "1h" }]);
    put(&app, Who::OPERATOR, "dev", steps).expect(200);
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    app.advance(Duration::minutes(30));
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 5 }))
        .expect(200);
    let paused = ramp(&app);
    assert_eq!(
        (&paused["state"], &paused["paused"]["by"]),
        (&json!("paused"), &json!("otto@example.com"))
    );
    assert!(
        paused["paused"]["reason"]
            .as_str()
            .unwrap()
            .contains("by hand")
    );
    app.advance(Duration::hours(9));
    assert_eq!(look(&app, &[]), 0);
    let resumed = order(&app, Who::OPERATOR, "dev", "ramp/resume")
        .expect(200)
        .json();
    assert_eq!(resumed["rollout"]["exposure_percent"], 10);
    assert_eq!(resumed["rollout"]["ramp"]["held_s"], 0, "held anew");
    // A halt only stops its clock.
    app.advance(Duration::minutes(30));
    order(&app, Who::OPERATOR, "dev", "halt").expect(200);
    app.advance(Duration::hours(9));
    assert_eq!(look(&app, &[]), 0);
    assert_eq!(ramp(&app)["waits_for"][0]["what"], "halt");
    order(&app, Who::OPERATOR, "dev", "resume").expect(200);
    app.advance(Duration::minutes(29));
    assert_eq!(look(&app, &[]), 0);
    app.advance(Duration::minutes(1));
    assert_eq!(look(&app, &[]), 1);
    // Whatever a page has seen: a pause is for now.
    let pause = app
        .request("POST", &at("a", "dev", "ramp/pause"))
        .by(Who::OPERATOR);
    let pause = pause
        .header("if-match", "\"old\"")
        .json(&json!({ "reason": "x" }));
    pause.send().expect(200);
    let start = app
        .request("POST", &at("a", "dev", "ramp/resume"))
        .by(Who::OPERATOR);
    start
        .header("if-match", "\"old\"")
        .json(&json!({ "reason": "x" }))
        .send()
        .problem(412);
}

fn the_steps_of_an_approved_ramp_void_no_approval(engine: Engine) {
    let app = App::start(engine);
    with_policy(&app, "by_hand");
    let approvals = at("a", "dev", "approvals");
    app.post(Who::APPROVER, &approvals, &json!({ "to": "opt_out" }))
        .expect(201);
    let valid = || app.get(&approvals).expect(200).json()["items"][0]["valid"].clone();
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    for hours in [1, 2] {
        app.advance(Duration::hours(hours));
        assert_eq!(look(&app, &[("errors", GuardState::Pass)]), 1);
        assert_eq!(valid(), true);
    }
    assert_eq!(ramp(&app)["state"], "finished");
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 99 }))
        .expect(200);
    assert_eq!(valid(), false, "any other setting");
}

fn a_mirror_is_published_and_stopped(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let mirror = |read: f64, write: f64| {
        let body = json!({ "read_percent": read, "write_percent": write, "reason": "test" });
        app.put(Who::OPERATOR, &at("a", "dev", "mirror"), &body)
    };
    let set = mirror(1.5, 100.0).expect(200).json();
    assert_eq!(
        set["rollout"]["mirror"],
        json!({ "read_percent": 1.5, "write_percent": 100, "stopped": null })
    );
    assert_eq!(mirror(1.5, 100.0).expect(200).json()["changed"], false);
    let published = app.snapshot(&key).expect(200).json();
    assert_eq!(
        published["routes"]["a"]["mirror"],
        json!({ "read_percent": 1.5, "write_percent": 100 }),
        "{published}"
    );
    assert_eq!(guards::act(&app, GuardAction::StopMirror), "mirror_stop");
    let entries = app.audit_count();
    guards::act(&app, GuardAction::StopMirror);
    assert_eq!(app.audit_count(), entries, "stopped once");
    let stopped = app.rollout("a", "dev")["mirror"].clone();
    assert_eq!(
        (&stopped["write_percent"], &stopped["stopped"]["by"]),
        (&json!(0), &json!("guard:errors"))
    );
    mirror(101.0, 0.0).expect(400);
    assert_eq!(
        mirror(0.0, 10.0).expect(200).json()["rollout"]["mirror"]["stopped"],
        json!(null)
    );
    app.route_with("b", json!({ "operation": "call" }));
    let body = json!({ "read_percent": 1, "write_percent": 0, "reason": "test" });
    let refused = app
        .put(Who::OPERATOR, &at("b", "dev", "mirror"), &body)
        .problem(409);
    assert!(
        refused["detail"].as_str().unwrap().contains("call"),
        "{refused}"
    );
}

fn ramps_have_their_place(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let steps = || json!([{ "percent": 10, "hold": "1h" }]);
    assert_eq!(
        put(&app, Who::ADMIN, "dev", steps()).code(409),
        "invalid_transition"
    );
    assert_eq!(
        put(&app, Who::ADMIN, "on-prem", steps()).code(409),
        "invalid_transition"
    );
    app.bring("a", &["dev"], "opt_in");
    assert_eq!(
        order(&app, Who::ADMIN, "dev", "ramp/pause").code(409),
        "invalid_transition"
    );
    for wrong in [
        json!([]),
        json!([{ "percent": 0, "hold": "1h" }]),
        json!([{ "percent": 20, "hold": "1h" }, { "percent": 20, "hold": "1h" }]),
        json!([{ "percent": 20, "hold": "91d" }]),
        Value::Array(
            (1..=51)
                .map(|n| json!({ "percent": n, "hold": "1h" }))
                .collect(),
        ),
    ] {
        let problem = put(&app, Who::ADMIN, "dev", wrong.clone()).problem(422);
        assert_eq!(problem["errors"][0]["field"], "steps", "{wrong}");
    }
    for wrong in [
        json!([{ "percent": 101, "hold": "1h" }]),
        json!([{ "percent": 10, "hold": "1 hour" }]),
        json!([{ "percent": 10, "hold": 60 }]),
        json!([{ "percent": 10 }]),
    ] {
        put(&app, Who::ADMIN, "dev", wrong).expect(400);
    }
    let most = (1..=50).map(|n| json!({ "percent": n, "hold": "90d" }));
    put(&app, Who::ADMIN, "dev", Value::Array(most.collect())).expect(200);
    // Demoted, its ramp is gone.
    let back = json!({ "to": "ready_for_testing", "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "demotions"), &back)
        .expect(201);
    assert_eq!(ramp(&app), json!(null));
}
