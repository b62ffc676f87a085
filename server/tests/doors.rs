//! Ways round the rules that somebody has tried: each led somewhere once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, TestDatabase, Who, at, eventually, on_both_engines};

on_both_engines!(
    closing_a_window_never_exposes_more,
    a_window_is_its_own_keys_alone,
    gates_are_not_taken_away_by_who_would_pass_them,
    a_new_environment_keeps_requirements_and_exposes_nobody,
    an_environment_that_moves_leaves_nobody_ahead,
    nothing_is_published_that_sdks_would_refuse
);

fn window(app: &App, route: &str, environment: &str, more: Value) -> Reply {
    let mut body = json!({ "until": "2026-01-05T11:00:00Z", "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let path = at(route, environment, "acceptance");
    app.post(Who::MAINTAINER, &path, &body)
}

fn patch(app: &App, who: Who, path: &str, body: Value) -> Reply {
    app.request("PATCH", path).by(who).json(&body).send()
}

fn closing_a_window_never_exposes_more(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.set("a", "staging", json!({ "mode": "on" })).expect(200);
    window(&app, "a", "staging", json!({ "percent": 5 })).expect(201);
    // What is exposed cannot become production, by a window or otherwise.
    let production = json!({ "production": true, "reason": "test" });
    let refused = patch(&app, Who::ADMIN, "environments/staging", production);
    assert_eq!(refused.code(409), "conflict");
    // An emergency `off` outlives the window.
    app.set("a", "staging", json!({ "mode": "off" }))
        .expect(200);
    app.advance(chrono::Duration::hours(2));
    eventually("the window closes", Duration::from_secs(10), || {
        let rollout = app.rollout("a", "staging");
        rollout["acceptance"].is_null().then_some(())
    });
    assert_eq!(app.rollout("a", "staging")["setting"]["mode"], "off");
}

fn a_window_is_its_own_keys_alone(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.set("a", "production", json!({ "mode": "off" }))
        .expect(200);
    let planted = json!({ "include": ["vip"], "exclude": [], "reason": "test" });
    app.put(Who::OPERATOR, &at("a", "production", "cohorts"), &planted)
        .expect(200);
    window(
        &app,
        "a",
        "production",
        json!({ "percent": 0.001, "cohort": ["tester"] }),
    )
    .expect(201);
    let path = |key: &str| {
        let ask = json!({ "key": key });
        let explained = app.post(Who::VIEWER, &at("a", "production", "explain"), &ask);
        explained.expect(200).json()["path"].clone()
    };
    assert_eq!(path("vip"), "old");
    assert_eq!(path("tester"), "new");
    let refused = app.put(Who::OPERATOR, &at("a", "production", "cohorts"), &planted);
    assert_eq!(refused.code(409), "window_needed");
    let close = app.request("DELETE", &at("a", "production", "acceptance"));
    close.by(Who::OPERATOR).send().expect(200);
    assert_eq!(path("vip"), "old");
    assert_eq!(path("tester"), "old");
}

fn gates_are_not_taken_away_by_who_would_pass_them(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let open = json!({ "policy": "open", "reason": "test" });
    let refused = patch(&app, Who::MAINTAINER, "routes/a", open.clone());
    assert_eq!(refused.code(403), "forbidden");
    patch(&app, Who::ADMIN, "routes/a", open).expect(200);
    let newest = app.get("audit?limit=1").expect(200).json();
    assert_eq!(newest["items"][0]["action"], "break_glass_policy");
    let strict = json!({ "policy": "gitaly", "reason": "test" });
    patch(&app, Who::MAINTAINER, "routes/a", strict).expect(200);
}

fn a_new_environment_keeps_requirements_and_exposes_nobody(engine: Engine) {
    let app = App::start(engine);
    app.route("base");
    app.route_with("dependent", json!({ "requires": ["base"] }));
    app.route("young");
    let everywhere = ["dev", "staging", "production", "on-prem"];
    app.bring("base", &everywhere, "mandatory");
    app.bring("dependent", &everywhere, "mandatory");
    app.bring("young", &everywhere, "opt_in");
    app.scanned(&["dependent"]);
    let retire = json!({ "reason": "test" });
    app.post(Who::MAINTAINER, "routes/dependent/retire", &retire)
        .expect(200);
    for (key, position) in [("late", 50), ("first", 0)] {
        let body =
            json!({ "key": key, "kind": "hosted", "position": position, "production": true });
        app.post(Who::ADMIN, "environments", &body).expect(201);
    }
    assert_eq!(app.rollout("dependent", "late")["stage"], "mandatory");
    assert_eq!(app.rollout("base", "late")["stage"], "mandatory");
    assert_eq!(app.rollout("young", "late")["stage"], "ready_for_testing");
    let first = app.rollout("young", "first");
    assert_eq!(first["stage"], "opt_in");
    assert_eq!(first["setting"]["mode"], "off");
    assert_eq!(first["exposure_percent"], 0);
}

fn an_environment_that_moves_leaves_nobody_ahead(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
    let to = |position: i32| json!({ "position": position, "reason": "test" });
    let refused = patch(&app, Who::ADMIN, "environments/dev", to(10));
    let problem = refused.problem(409);
    assert!(
        problem["detail"].as_str().unwrap().contains(": a;"),
        "{problem}"
    );
    let refused = patch(&app, Who::ADMIN, "environments/staging", to(0));
    assert_eq!(refused.code(409), "conflict");
    patch(&app, Who::ADMIN, "environments/staging", to(12)).expect(200);
}

fn nothing_is_published_that_sdks_would_refuse(engine: Engine) {
    const ROUTES: usize = 260;
    let app = App::start(engine);
    let rows: Vec<Value> = (0..ROUTES)
        .map(|n| {
            json!({
                "endpoint": format!("a.B/R{n}"), "key": format!("r_{n}"), "flag": format!("A_R_{n}"),
                "operation": "read", "owner": "test", "policy": "open",
            })
        })
        .collect();
    app.post(Who::OPERATOR, "routes:import", &Value::Array(rows))
        .expect(201);
    let keys: Vec<String> = (0..240).map(|n| format!("{n:0>250}")).collect();
    let body = json!({ "include": keys, "exclude": [], "reason": "test" });
    let refused = (0..ROUTES)
        .map(|n| {
            app.put(
                Who::OPERATOR,
                &at(&format!("r_{n}"), "dev", "cohorts"),
                &body,
            )
        })
        .find(|reply| reply.status != 200)
        .expect("at some time it is too much");
    assert_eq!(refused.code(409), "conflict");
    let key = app.sdk_key("dev");
    let served = app.snapshot(&key).expect(200).body;
    switchover::Snapshot::from_json(&served, switchover::Source::Live).unwrap();
    // The way to the old path stays open.
    let halt = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("r_0", "dev", "halt"), &halt)
        .expect(200);
}

/// A long import on one node does not keep a halt on another waiting, nor its streams.
#[test]
fn an_import_does_not_hold_up_a_halt() {
    let database = Arc::new(TestDatabase::new(Engine::Postgres));
    let importing = App::over(Arc::clone(&database));
    let halting = App::over(database);
    halting.route("base");
    let rows: Vec<Value> = (0..1_500)
        .map(|n| {
            json!({
                "endpoint": format!("a.B/R{n}"), "key": format!("r_{n}"), "flag": format!("A_R_{n}"),
                "operation": "read", "owner": "test", "policy": "open", "requires": ["base"],
            })
        })
        .collect();
    std::thread::scope(|scope| {
        let import = scope.spawn(|| {
            let rows = Value::Array(rows);
            importing
                .post(Who::OPERATOR, "routes:import", &rows)
                .expect(201);
        });
        let mut halts = 0;
        while !import.is_finished() {
            for what in ["halt", "resume"] {
                let body = json!({ "reason": "test" });
                let reply = halting.post(Who::OPERATOR, &at("base", "dev", what), &body);
                assert!(what == "resume" || reply.status == 200, "{}", reply.body);
            }
            halting.request("GET", "/readyz").send().expect(200);
            halts += 1;
        }
        import.join().unwrap();
        assert!(halts > 0);
    });
    halting.assert_audit_intact();
}
