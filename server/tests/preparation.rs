//! From an idea to a route that is ready: phases, backlog, planned days.

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    it_is_published_when_everything_is_done,
    until_then_it_is_in_no_environment,
    the_backlog_is_in_order,
    what_it_requires_is_ready_first,
    rows_of_an_import_may_be_in_preparation,
    an_environment_that_comes_meanwhile_has_it_later,
    two_who_finish_it_at_once_publish_it_once,
    planned_days_stand_beside_the_actual_ones,
);

fn begin(app: &App, key: &str, preparation: Value) {
    app.route_with(key, json!({ "preparation": preparation }));
}

fn step(app: &App, key: &str, step: Value) -> Reply {
    let mut body = json!({ "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(step.as_object().unwrap().clone());
    app.post(Who::OPERATOR, &format!("routes/{key}/preparation"), &body)
}

fn act(app: &App, key: &str, action: &str) -> Reply {
    step(app, key, json!({ "action": action }))
}

fn complete(app: &App, key: &str, phase: &str) -> Reply {
    step(app, key, json!({ "action": "complete", "phase": phase }))
}

fn patch(app: &App, key: &str, mut body: Value) -> Reply {
    body["reason"] = json!("test");
    let request = app.request("PATCH", &format!("routes/{key}"));
    request.by(Who::MAINTAINER).json(&body).send()
}

fn keys(reply: &Reply) -> Vec<String> {
    let items = reply.json()["items"].as_array().unwrap().clone();
    let key = |item: &Value| item["key"].as_str().unwrap().to_owned();
    items.iter().map(key).collect()
}

fn it_is_published_when_everything_is_done(engine: Engine) {
    let app = App::start(engine);
    let sdk = app.sdk_key("dev");
    begin(&app, "a", json!({}));
    let shown = app.get("routes/a").json();
    assert_eq!(shown["ready"], false);
    assert_eq!(shown["rollouts"], json!([]));
    assert_eq!(shown["preparation"]["at"], json!(["analysis"]));
    let before = app.snapshot(&sdk).expect(200);
    assert_eq!(before.json()["routes"], json!({}));

    let refused = act(&app, "a", "move_ahead");
    assert_eq!(refused.code(409), "invalid_transition");
    assert!(refused.body.contains("switchover prepare a estimate"));
    let estimate = json!({ "action": "estimate", "estimate": "two sprints", "priority": 3 });
    step(&app, "a", estimate).expect(200);
    act(&app, "a", "shelve").expect(200);
    assert_eq!(
        complete(&app, "a", "rpc_design").code(409),
        "invalid_transition"
    );
    act(&app, "a", "take_up").expect(200);
    act(&app, "a", "move_ahead").expect(200);
    complete(&app, "a", "rpc_design").expect(200);
    complete(&app, "a", "client_implementation").expect(200);
    assert_eq!(
        app.snapshot(&sdk).etag(),
        before.etag(),
        "not published yet"
    );
    app.advance(chrono::Duration::hours(1));
    let done = complete(&app, "a", "server_implementation").expect(200);
    assert_eq!(done.etag(), app.get("routes/a").etag());
    let done = done.json();
    assert_eq!(done["ready"], true);
    assert_eq!(done["rollouts"].as_array().unwrap().len(), 4);
    let preparation = &done["preparation"];
    assert_eq!(preparation["at"], json!(["ready"]));
    assert_eq!(preparation["decision"]["decision"], "ahead");
    assert_eq!(
        preparation["completed"][1]["phase"],
        "server_implementation"
    );
    assert_eq!(preparation["completed"][1]["by"], Who::OPERATOR.1);
    assert_eq!(preparation["estimate"], "two sprints");
    let published = app.snapshot(&sdk).json()["routes"]["a"].clone();
    assert_eq!(published["stage"], "ready_for_testing");

    for action in ["shelve", "take_up", "move_ahead"] {
        assert_eq!(act(&app, "a", action).code(409), "invalid_transition");
    }
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
    let history = app.get("routes/a/history?limit=100").json().to_string();
    for action in [
        "\"shelve\"",
        "\"take_up\"",
        "\"complete_phase\"",
        "\"ready\"",
    ] {
        assert!(history.contains(action), "{action}: {history}");
    }
    app.route("b");
    assert_eq!(app.get("routes/b").json()["preparation"], Value::Null);
    assert_eq!(act(&app, "b", "shelve").code(409), "invalid_transition");
    app.assert_audit_intact();
}

fn until_then_it_is_in_no_environment(engine: Engine) {
    let app = App::start(engine);
    begin(
        &app,
        "a",
        json!({ "estimate": 5, "existing_endpoint": true }),
    );
    app.route("other");
    let before = app.database().fingerprint();
    let asks = [
        ("GET", "", Value::Null),
        ("GET", "gates", Value::Null),
        ("GET", "approvals", Value::Null),
        ("POST", "promotions", json!({ "to": "opt_in" })),
        ("POST", "demotions", json!({ "to": "ready_for_testing" })),
        ("POST", "halt", json!({})),
        ("POST", "resume", json!({})),
        ("PUT", "setting", json!({ "mode": "on" })),
        ("PUT", "cohorts", json!({ "include": ["k"], "exclude": [] })),
        (
            "POST",
            "acceptance",
            json!({ "until": "2026-01-06T00:00:00Z", "percent": 5 }),
        ),
        (
            "POST",
            "approvals",
            json!({ "to": "opt_in", "comment": "x" }),
        ),
        ("DELETE", "acceptance", Value::Null),
    ];
    for (method, what, mut body) in asks {
        let request = app.request(method, &at("a", "dev", what)).by(Who::ADMIN);
        let reply = match &mut body {
            Value::Null => request.send(),
            body => {
                if what != "approvals" {
                    body["reason"] = json!("test");
                }
                request.json(body).send()
            }
        };
        assert_eq!(reply.code(409), "not_ready", "{method} {what}");
        assert!(reply.body.contains("move-ahead"), "{}", reply.body);
    }
    let retired = app.post(Who::ADMIN, "routes/a/retire", &json!({ "reason": "r" }));
    assert_eq!(retired.code(409), "not_ready");
    assert_eq!(app.get(&at("a", "nowhere", "")).code(404), "not_found");
    assert_eq!(app.database().fingerprint(), before);

    let explained = app.post(Who::VIEWER, &at("a", "dev", "explain"), &json!({}));
    assert_eq!(explained.expect(200).json()["reason"], "unknown_route");
    for routes in [json!({}), json!({ "routes": ["a", "other"] })] {
        let mut body = json!({ "environment": "dev", "reason": "r" });
        body.as_object_mut()
            .unwrap()
            .extend(routes.as_object().unwrap().clone());
        let halted = app.post(Who::OPERATOR, "halts", &body).expect(200).json();
        assert!(!halted.to_string().contains("\"a\""), "{halted}");
    }
    // Its names are taken.
    let body = |key: &str, flag: &str| json!({ "endpoint": "a.B/C", "key": key, "flag": flag, "operation": "read", "owner": "o" });
    let taken = app.post(Who::OPERATOR, "routes", &body("a", "X_Y"));
    assert_eq!(taken.code(409), "name_taken");
    let flag = app.get("routes/a").json()["flag"]
        .as_str()
        .unwrap()
        .to_owned();
    let taken = app.post(Who::OPERATOR, "routes", &body("b", &flag));
    assert_eq!(taken.code(409), "name_taken");
    // What is said of it can be changed.
    patch(&app, "a", json!({ "owner": "git", "policy": "gitaly" })).expect(200);
    let seen = app.get("routes/a").etag();
    act(&app, "a", "move_ahead").expect(200);
    let late = app
        .request("POST", "routes/a/preparation")
        .by(Who::OPERATOR)
        .header("if-match", &seen)
        .json(&json!({ "action": "shelve", "reason": "r" }))
        .send();
    assert_eq!(late.code(412), "precondition_failed");
    complete(&app, "a", "client_implementation").expect(200);
    assert_eq!(app.rollout("a", "dev")["stage"], "ready_for_testing");
}

fn the_backlog_is_in_order(engine: Engine) {
    let app = App::start(engine);
    app.route("published");
    for (key, priority) in [
        ("d", Some(2)),
        ("a", None),
        ("c", Some(2)),
        ("b", Some(1)),
        ("e", None),
    ] {
        begin(&app, key, json!({ "estimate": 1, "priority": priority }));
    }
    let backlog = app
        .get("routes?preparation=unready&sort=priority")
        .expect(200);
    assert_eq!(keys(&backlog), ["b", "c", "d", "a", "e"]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!(
            "routes?preparation=unready&sort=priority&limit=2{cursor}"
        ));
        seen.extend(keys(&page.clone().expect(200)));
        match page.json()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["b", "c", "d", "a", "e"]);
    step(&app, "e", json!({ "action": "estimate", "priority": 1 })).expect(200);
    for key in ["b", "c", "d"] {
        act(&app, key, "move_ahead").expect(200);
    }
    complete(&app, "c", "rpc_design").expect(200);
    act(&app, "d", "shelve").expect(200);
    for (at, expected) in [
        ("analysis", &["a", "e"][..]),
        ("rpc_design", &["b"]),
        ("server_implementation", &["c"]),
        ("client_implementation", &["c"]),
        ("shelved", &["d"]),
        ("ready", &["published"]),
        ("unready", &["a", "b", "c", "d", "e"]),
    ] {
        let listed = app.get(&format!("routes?preparation={at}")).expect(200);
        assert_eq!(keys(&listed), expected, "{at}");
    }
    for wrong in [
        "preparation=done",
        "sort=key&cursor=%C3",
        "sort=priority&cursor=YQ",
        "sort=owner",
    ] {
        let refused = app.get(&format!("routes?{wrong}"));
        assert_eq!(refused.code(400), "malformed_request", "{wrong}");
    }
    for (wrong, field) in [
        (json!({ "action": "estimate" }), "estimate"),
        (json!({ "action": "estimate", "priority": 0 }), "priority"),
        (json!({ "action": "estimate", "estimate": 0 }), "estimate"),
        (json!({ "action": "estimate", "estimate": "" }), "estimate"),
        (json!({ "action": "shelve", "priority": 1 }), "action"),
        (
            json!({ "action": "shelve", "phase": "rpc_design" }),
            "phase",
        ),
        (json!({ "action": "complete" }), "phase"),
    ] {
        let refused = step(&app, "a", wrong.clone()).problem(422);
        assert_eq!(refused["errors"][0]["field"], field, "{wrong}");
    }
    let malformed = step(
        &app,
        "a",
        json!({ "action": "complete", "phase": "analysis" }),
    );
    assert_eq!(malformed.code(400), "malformed_request");
    let unfounded = json!({ "endpoint": "a.B/Cd", "operation": "read", "owner": "o",
                            "preparation": { "priority": 0 } });
    let refused = app.post(Who::OPERATOR, "routes", &unfounded).problem(422);
    assert_eq!(refused["errors"][0]["field"], "preparation.priority");
}

fn what_it_requires_is_ready_first(engine: Engine) {
    let app = App::start(engine);
    let soon = json!({ "estimate": 1, "existing_endpoint": true });
    begin(&app, "below", soon.clone());
    app.route_with(
        "above",
        json!({ "requires": ["below"], "preparation": soon }),
    );
    let at_once = json!({ "endpoint": "a.B/Cd", "operation": "read", "owner": "o",
                          "requires": ["below"] });
    let refused = app.post(Who::OPERATOR, "routes", &at_once).problem(422);
    assert_eq!(refused["errors"][0]["field"], "requires");
    app.route("published");
    let refused = patch(&app, "published", json!({ "requires": ["below"] })).problem(422);
    assert_eq!(refused["errors"][0]["field"], "requires");
    act(&app, "above", "move_ahead").expect(200);
    let before = app.database().fingerprint();
    let refused = complete(&app, "above", "client_implementation");
    assert_eq!(refused.code(409), "not_ready");
    assert!(
        refused.body.contains("switchover prepare below"),
        "{}",
        refused.body
    );
    assert_eq!(app.database().fingerprint(), before);
    act(&app, "below", "move_ahead").expect(200);
    complete(&app, "below", "client_implementation").expect(200);
    complete(&app, "above", "client_implementation").expect(200);
    patch(&app, "published", json!({ "requires": ["below"] })).expect(200);
}

fn rows_of_an_import_may_be_in_preparation(engine: Engine) {
    let app = App::start(engine);
    let row = |key: &str, requires: &[&str], preparation: Value| {
        json!({ "endpoint": format!("a.B/{key}"), "key": key, "flag": format!("F_{}", key.to_uppercase()),
                "operation": "read", "owner": "o", "requires": requires, "preparation": preparation })
    };
    let import = |rows: &[Value]| app.post(Who::OPERATOR, "routes:import", &json!(rows));
    let wrong = [
        row("a", &[], json!({ "estimate": 0 })),
        row("b", &["a"], Value::Null),
    ];
    assert_eq!(import(&wrong).problem(422)["rows"][0]["index"], 0);
    let unready = [row("a", &[], json!({})), row("b", &["a"], Value::Null)];
    let refused = import(&unready).problem(422);
    assert_eq!(refused["rows"][0]["errors"][0]["field"], "requires");
    let good = [
        row("a", &["c"], json!({ "priority": 7 })),
        row("b", &[], Value::Null),
        row("c", &[], json!({})),
    ];
    import(&good).expect(201);
    assert_eq!(keys(&app.get("routes?preparation=unready")), ["a", "c"]);
    assert_eq!(keys(&app.get("routes?stage=ready_for_testing")), ["b"]);
}

fn an_environment_that_comes_meanwhile_has_it_later(engine: Engine) {
    let app = App::start(engine);
    begin(
        &app,
        "a",
        json!({ "estimate": 1, "existing_endpoint": true }),
    );
    app.route("b");
    let canary = json!({ "key": "canary", "kind": "hosted", "position": 9 });
    app.post(Who::ADMIN, "environments", &canary).expect(201);
    assert_eq!(app.get(&at("a", "canary", "")).code(409), "not_ready");
    app.get(&at("b", "canary", "")).expect(200);
    act(&app, "a", "move_ahead").expect(200);
    complete(&app, "a", "client_implementation").expect(200);
    app.get(&at("a", "canary", "")).expect(200);
}

fn two_who_finish_it_at_once_publish_it_once(engine: Engine) {
    let app = App::start(engine);
    for round in 0..5 {
        let key = format!("r{round}");
        begin(&app, &key, json!({ "estimate": 1 }));
        act(&app, &key, "move_ahead").expect(200);
        complete(&app, &key, "rpc_design").expect(200);
        let statuses = std::thread::scope(|scope| {
            let (app, key) = (&app, &key);
            let finish = |phase| scope.spawn(move || complete(app, key, phase).status);
            let both = ["server_implementation", "client_implementation"].map(finish);
            both.map(|done| done.join().unwrap())
        });
        assert!(
            statuses
                .iter()
                .all(|status| [200, 412, 503].contains(status)),
            "{statuses:?}"
        );
        // Whoever was too late does it again.
        for phase in ["server_implementation", "client_implementation"] {
            complete(&app, &key, phase);
        }
        assert_eq!(app.get(&format!("routes/{key}")).json()["ready"], true);
    }
    assert_eq!(app.database().number("SELECT COUNT(*) FROM rollouts"), 20);
    app.assert_audit_intact();
}

fn planned_days_stand_beside_the_actual_ones(engine: Engine) {
    let app = App::start(engine);
    begin(
        &app,
        "a",
        json!({ "estimate": 1, "existing_endpoint": true }),
    );
    let days = json!({ "schedule": {
        "dev": { "ready_for_testing": "2026-01-05", "opt_in": "2026-01-07" },
        "production": { "opt_in": "2026-02-01" },
    } });
    patch(&app, "a", days.clone()).expect(200);
    for (wrong, field) in [
        (json!({ "nowhere": { "opt_in": "2026-01-07" } }), "schedule"),
        (
            json!({ "dev": { "opt_in": "soon" } }),
            "schedule.dev.opt_in",
        ),
        (
            json!({ "dev": { "opt_in": "2026-01-07", "opt_out": "2026-01-06" } }),
            "schedule.dev.opt_out",
        ),
    ] {
        let refused = patch(&app, "a", json!({ "schedule": wrong })).problem(422);
        assert_eq!(refused["errors"][0]["field"], field);
    }
    let schedule = |app: &App| -> Vec<String> {
        let shown = app.get("routes/a").json();
        assert_eq!(app.get("routes").json()["items"][0], shown);
        let text = |milestone: &Value| {
            let part = |name: &str| milestone[name].as_str().unwrap_or("-").to_owned();
            ["environment", "stage", "planned", "actual"]
                .map(part)
                .join(" ")
        };
        shown["schedule"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect()
    };
    assert_eq!(
        schedule(&app),
        [
            "dev ready_for_testing 2026-01-05 -",
            "dev opt_in 2026-01-07 -",
            "production opt_in 2026-02-01 -",
        ]
    );
    act(&app, "a", "move_ahead").expect(200);
    complete(&app, "a", "client_implementation").expect(200);
    let day = chrono::Duration::days(1);
    let move_to = |kind: &str, to: &str| {
        app.advance(day);
        let body = json!({ "to": to, "reason": "test" });
        app.post(Who::OPERATOR, &at("a", "dev", kind), &body)
            .expect(201);
    };
    move_to("promotions", "opt_in");
    move_to("demotions", "ready_for_testing");
    move_to("promotions", "opt_in");
    app.set("a", "dev", json!({ "mode": "off" })).expect(200);
    move_to("promotions", "opt_out");
    move_to("demotions", "opt_in");
    assert_eq!(
        schedule(&app)[..3],
        [
            "dev ready_for_testing 2026-01-05 2026-01-05T10:00:00Z",
            "dev opt_in 2026-01-07 2026-01-08T10:00:00Z",
            "staging ready_for_testing - 2026-01-05T10:00:00Z",
        ]
    );
    let entries = app.database().number("SELECT COUNT(*) FROM stage_history");
    assert_eq!(entries, 4 + 5);
    patch(&app, "a", json!({ "schedule": {} })).expect(200);
    assert!(
        schedule(&app)
            .iter()
            .all(|milestone| milestone.contains(" - "))
    );
}
