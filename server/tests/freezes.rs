//! Change freezes and evidence: given, listed, closed, and what they hold back.

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_freeze_is_opened_and_closed,
    a_freeze_begins_and_ends_by_the_clock,
    what_cannot_be_a_freeze_is_refused,
    nothing_raises_exposure_while_a_freeze_is_open,
    whatever_is_safer_goes_on,
    a_freeze_holds_back_edits_of_a_route,
    an_admin_passes_over_a_freeze_on_record,
    evidence_is_given_and_listed,
    evidence_that_says_too_little_is_refused
);

fn open(app: &App, who: Who, more: Value) -> Reply {
    let mut body = json!({ "reason": "incident 2718" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.post(who, "freezes", &body)
}

fn close(app: &App, who: Who, id: &Value) -> Reply {
    let path = format!("freezes/{}?reason=over", id.as_str().unwrap());
    app.request("DELETE", &path).by(who).send()
}

/// The freezes of a list and whether they are in force.
fn listed(app: &App, path: &str) -> Vec<(String, bool)> {
    let found = app.get(path).expect(200).json();
    found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            (
                each["id"].as_str().unwrap().to_owned(),
                each["open"].as_bool().unwrap(),
            )
        })
        .collect()
}

fn incident(app: &App, environment: &str) -> Value {
    let gates = app.get(&at("a", environment, "gates")).expect(200).json();
    let gates = gates["gates"].as_array().unwrap().clone();
    gates
        .into_iter()
        .find(|gate| gate["gate"] == "incident")
        .unwrap()
}

fn the_field(reply: &Reply) -> String {
    let problem = reply.problem(422);
    problem["errors"][0]["field"].as_str().unwrap().to_owned()
}

fn a_freeze_is_opened_and_closed(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    assert_eq!(
        open(&app, Who::VIEWER, json!({})).problem(403)["needs"],
        "operator"
    );
    let everywhere = open(&app, Who::OPERATOR, json!({})).expect(201).json();
    assert_eq!(everywhere["environments"], json!([]));
    assert_eq!(everywhere["opened_by"], "otto@example.com");
    assert_eq!(
        (&everywhere["until"], &everywhere["closed_at"]),
        (&Value::Null, &Value::Null)
    );
    let staging = json!({ "environments": ["staging", "staging"] });
    let staging = open(&app, Who::OPERATOR, staging).expect(201).json();
    assert_eq!(staging["environments"], json!(["staging"]));
    let id = |freeze: &Value| freeze["id"].as_str().unwrap().to_owned();
    // Newest first.
    let both = [(id(&staging), true), (id(&everywhere), true)];
    assert_eq!(listed(&app, "freezes"), both);
    assert_eq!(incident(&app, "dev")["state"], "fail");

    // Opening is for who sees smoke; closing is for maintainers, with a reason.
    let refused = close(&app, Who::OPERATOR, &everywhere["id"]).problem(403);
    assert_eq!(refused["needs"], "maintainer");
    let path = format!("freezes/{}", id(&everywhere));
    let silent = app.request("DELETE", &path).by(Who::MAINTAINER).send();
    assert_eq!(the_field(&silent), "reason");
    let closed = close(&app, Who::MAINTAINER, &everywhere["id"])
        .expect(200)
        .json();
    assert!(closed["closed_at"].is_string(), "{closed}");
    let entries = app.audit_count();
    let again = close(&app, Who::MAINTAINER, &everywhere["id"])
        .expect(200)
        .json();
    assert_eq!(again, closed, "closed once");
    assert_eq!(app.audit_count(), entries);
    assert_eq!(listed(&app, "freezes"), [(id(&staging), true)]);
    assert_eq!(
        listed(&app, "freezes?past=true"),
        [(id(&staging), true), (id(&everywhere), false)]
    );
    assert_eq!(incident(&app, "dev")["state"], "pass");
    assert_eq!(incident(&app, "staging")["state"], "fail");
    let newest = app.get("audit?limit=3").expect(200).json();
    let actions: Vec<&str> = newest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["freeze_close", "freeze_open", "freeze_open"]);
    app.assert_audit_intact();
}

fn a_freeze_begins_and_ends_by_the_clock(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    // It is 10:00. What would have begun before begins now.
    let early = json!({ "from": "2026-01-05T08:00:00Z", "until": "2026-01-05T10:30:00Z" });
    let early = open(&app, Who::OPERATOR, early).expect(201).json();
    assert_eq!(early["from"], "2026-01-05T10:00:00Z");
    let later = json!({ "environments": ["dev"], "from": "2026-01-05T11:00:00Z",
                        "until": "2026-01-05T12:00:00Z" });
    let later = open(&app, Who::OPERATOR, later).expect(201).json();
    let id = |freeze: &Value| freeze["id"].as_str().unwrap().to_owned();
    assert_eq!(
        listed(&app, "freezes"),
        [(id(&later), false), (id(&early), true)]
    );
    assert_eq!(incident(&app, "dev")["state"], "fail");
    app.advance(Duration::minutes(30));
    assert_eq!(incident(&app, "dev")["state"], "pass");
    assert_eq!(listed(&app, "freezes"), [(id(&later), false)]);
    app.advance(Duration::minutes(30));
    assert_eq!(incident(&app, "dev")["state"], "fail");
    assert_eq!(incident(&app, "staging")["state"], "pass");
    assert_eq!(listed(&app, "freezes"), [(id(&later), true)]);
    app.advance(Duration::hours(1));
    assert_eq!(incident(&app, "dev")["state"], "pass");
    assert_eq!(listed(&app, "freezes"), []);
    assert_eq!(listed(&app, "freezes?past=true").len(), 2);
    // One that is still to come can be called off.
    let coming = json!({ "from": "2026-01-06T00:00:00Z" });
    let coming = open(&app, Who::OPERATOR, coming).expect(201).json();
    close(&app, Who::MAINTAINER, &coming["id"]).expect(200);
    app.advance(Duration::days(2));
    assert_eq!(incident(&app, "dev")["state"], "pass");
}

fn what_cannot_be_a_freeze_is_refused(engine: Engine) {
    let app = App::start(engine);
    let before = app.database().fingerprint();
    for (wrong, field) in [
        (json!({ "environments": ["mars"] }), "environments"),
        (json!({ "environments": ["dev", "Mars"] }), "environments"),
        (json!({ "until": "2026-01-05T10:00:00Z" }), "until"),
        (
            json!({ "from": "2026-01-07T00:00:00Z", "until": "2026-01-06T00:00:00Z" }),
            "until",
        ),
        (json!({ "reason": "" }), "reason"),
    ] {
        assert_eq!(
            the_field(&open(&app, Who::OPERATOR, wrong.clone())),
            field,
            "{wrong}"
        );
    }
    for wrong in [
        json!({ "from": "tomorrow" }),
        json!({ "environments": "dev" }),
        json!({ "to": "2026-01-06T00:00:00Z" }),
    ] {
        let refused = open(&app, Who::OPERATOR, wrong.clone());
        assert_eq!(refused.code(400), "malformed_request", "{wrong}");
    }
    for id in [
        "none",
        "0199c0de-0000-7000-8000-000000000000",
        "%00",
        "%F0%9F%98%80",
    ] {
        let refused = close(&app, Who::MAINTAINER, &json!(id));
        assert_eq!(refused.status / 100, 4, "{id}: {}", refused.body);
    }
    assert_eq!(app.database().fingerprint(), before);
}

fn nothing_raises_exposure_while_a_freeze_is_open(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let resumed = |app: &App| {
        let body = json!({ "reason": "test" });
        app.post(Who::ADMIN, &at("a", "dev", "resume"), &body)
    };
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 10 }))
        .expect(200);
    let halt = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "halt"), &halt)
        .expect(200);
    let freeze = open(&app, Who::OPERATOR, json!({})).expect(201).json();
    let before = app.rollout("a", "dev");

    assert_eq!(resumed(&app).code(409), "frozen");
    let many = app
        .post(
            Who::ADMIN,
            "resumes",
            &json!({ "environment": "dev", "reason": "test" }),
        )
        .expect(200)
        .json();
    assert_eq!(many["still_halted"][0]["route"], "a", "{many}");
    let window = json!({ "until": "2026-01-05T11:00:00Z", "percent": 5, "reason": "test" });
    let window = app.post(Who::ADMIN, &at("a", "production", "acceptance"), &window);
    assert_eq!(window.code(409), "frozen");
    for setting in [
        json!({ "mode": "on" }),
        json!({ "mode": "ramp", "percent": 1 }),
    ] {
        let refused = app.set("a", "staging", setting.clone()).problem(409);
        assert_eq!(refused["code"], "frozen", "{setting}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.contains("incident 2718") && detail.contains("freeze close"),
            "{detail}"
        );
    }
    let cohorts = json!({ "include": ["me"], "exclude": [], "reason": "test" });
    let refused = app.put(Who::ADMIN, &at("a", "staging", "cohorts"), &cohorts);
    assert_eq!(refused.code(409), "frozen");
    let refused = app
        .promote(Who::ADMIN, "a", "staging", "opt_in")
        .problem(409);
    assert_eq!(refused["code"], "gates_not_met");
    let gates: Vec<&str> = refused["gates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gate| gate["gate"].as_str().unwrap())
        .collect();
    assert_eq!(gates, ["order", "incident"]);
    assert_eq!(app.rollout("a", "dev"), before);

    close(&app, Who::MAINTAINER, &freeze["id"]).expect(200);
    resumed(&app).expect(200);
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
    app.assert_audit_intact();
}

fn whatever_is_safer_goes_on(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
    let window = json!({ "until": "2026-01-05T11:00:00Z", "percent": 5, "reason": "test" });
    let path = at("a", "production", "acceptance");
    app.post(Who::MAINTAINER, &path, &window).expect(201);
    open(&app, Who::OPERATOR, json!({})).expect(201);

    app.request("DELETE", &path)
        .by(Who::OPERATOR)
        .send()
        .expect(200);
    assert_eq!(app.rollout("a", "production")["exposure_percent"], 0);
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 50 }))
        .expect(200);
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 20 }))
        .expect(200);
    assert_eq!(
        app.set("a", "dev", json!({ "mode": "ramp", "percent": 20.001 }))
            .code(409),
        "frozen"
    );
    let reason = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "halt"), &reason)
        .expect(200);
    let many = json!({ "environment": "production", "reason": "test" });
    app.post(Who::OPERATOR, "halts", &many).expect(200);
    // Behind a halt the setting is where a resume would lead: raising it raises nothing yet, but
    // the resume is refused.
    let back = json!({ "to": "ready_for_testing", "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "demotions"), &back)
        .expect(201);
    assert_eq!(
        app.post(Who::ADMIN, &at("a", "dev", "resume"), &reason)
            .status,
        200,
        "nobody takes the new path here: there is nothing to raise"
    );
    app.assert_audit_intact();
}

fn a_freeze_holds_back_edits_of_a_route(engine: Engine) {
    let app = App::start(engine);
    app.route("base");
    app.route_with("a", json!({ "requires": ["base"] }));
    for route in ["base", "a"] {
        app.promote(Who::OPERATOR, route, "dev", "opt_in")
            .expect(201);
    }
    let freeze = open(&app, Who::OPERATOR, json!({ "environments": ["dev"] })).expect(201);
    let drop = json!({ "requires": [], "reason": "test" });
    let edit = || {
        app.request("PATCH", "routes/a")
            .by(Who::ADMIN)
            .json(&drop)
            .send()
    };
    assert_eq!(edit().code(409), "frozen");
    // What is only said of it may change.
    let owner = json!({ "owner": "others", "reason": "test" });
    app.request("PATCH", "routes/a")
        .by(Who::MAINTAINER)
        .json(&owner)
        .send()
        .expect(200);
    close(&app, Who::MAINTAINER, &freeze.json()["id"]).expect(200);
    edit().expect(200);
}

fn an_admin_passes_over_a_freeze_on_record(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    open(&app, Who::OPERATOR, json!({})).expect(201);
    let glass = |who: Who, environment: &str| {
        let body = json!({ "to": "opt_in", "break_glass": true, "reason": "must go on" });
        app.post(who, &at("a", environment, "promotions"), &body)
    };
    assert_eq!(glass(Who::MAINTAINER, "dev").problem(403)["needs"], "admin");
    // The order of things is passed over by nobody.
    let refused = glass(Who::ADMIN, "staging").problem(409);
    assert_eq!(refused["code"], "gates_not_met");
    glass(Who::ADMIN, "dev").expect(201);
    let newest = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    assert_eq!(newest["action"], "break_glass_promote");
    let passed_over = newest["after"]["gates"].as_array().unwrap().iter();
    let passed_over = passed_over.filter(|gate| gate["state"] != "pass");
    let names: Vec<&str> = passed_over
        .map(|gate| gate["gate"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"incident") && names.contains(&"telemetry"),
        "{names:?}"
    );
    app.assert_audit_intact();
}

fn evidence_is_given_and_listed(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let path = at("a", "dev", "evidence");
    let give = |who: Who, kind: &str, verdict: &str| {
        let body = json!({
            "kind": kind, "verdict": verdict, "summary": "18 ms against 25 ms",
            "url": "https://dashboards.example.com/d/1?from=now-1h",
        });
        app.post(who, &path, &body)
    };
    assert_eq!(
        give(Who::VIEWER, "other", "pass").problem(403)["needs"],
        "operator"
    );
    let kinds = [
        "performance",
        "resources",
        "error_rate",
        "consistency",
        "other",
    ];
    for kind in kinds {
        let made = give(Who::OPERATOR, kind, "pass").expect(201).json();
        assert_eq!(
            (&made["kind"], &made["verdict"]),
            (&json!(kind), &json!("pass"))
        );
        assert_eq!(
            (&made["route"], &made["environment"]),
            (&json!("a"), &json!("dev"))
        );
        assert_eq!(made["created_by"], "otto@example.com");
        app.advance(Duration::seconds(1));
    }
    give(Who::OPERATOR, "other", "fail").expect(201);
    let listed = app.get(&path).expect(200).json();
    let listed: Vec<(&str, &str)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            (
                each["kind"].as_str().unwrap(),
                each["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    let mut expected: Vec<(&str, &str)> = kinds.iter().map(|kind| (*kind, "pass")).collect();
    expected.push(("other", "fail"));
    assert_eq!(listed, expected, "oldest first");
    // Each environment has its own.
    let elsewhere = app.get(&at("a", "staging", "evidence")).expect(200).json();
    assert_eq!(elsewhere["items"], json!([]));
    let newest = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    assert_eq!(newest["action"], "evidence");
    assert_eq!(newest["reason"], "18 ms against 25 ms");
    app.assert_audit_intact();
}

fn evidence_that_says_too_little_is_refused(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let before = app.database().fingerprint();
    let path = at("a", "dev", "evidence");
    let give = |more: Value| {
        let mut body = json!({ "kind": "other", "verdict": "pass", "summary": "seen" });
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        app.post(Who::OPERATOR, &path, &body)
    };
    for (wrong, field) in [
        (json!({ "summary": " " }), "summary"),
        (json!({ "summary": null }), "summary"),
        (json!({ "summary": "x".repeat(1_001) }), "summary"),
        (json!({ "summary": "\u{1b}[31m" }), "summary"),
        (json!({ "url": "" }), "url"),
        (json!({ "url": "javascript:alert(1)" }), "url"),
        (json!({ "url": "https://a b" }), "url"),
        (
            json!({ "url": format!("https://{}", "x".repeat(2_000)) }),
            "url",
        ),
    ] {
        assert_eq!(the_field(&give(wrong.clone())), field, "{wrong}");
    }
    for wrong in [
        json!({ "kind": "luck" }),
        json!({ "verdict": "maybe" }),
        json!({ "by": "somebody else" }),
    ] {
        assert_eq!(
            give(wrong.clone()).code(400),
            "malformed_request",
            "{wrong}"
        );
    }
    let body = json!({ "kind": "other", "verdict": "pass", "summary": "seen" });
    for path in [at("b", "dev", "evidence"), at("a", "mars", "evidence")] {
        assert_eq!(app.post(Who::OPERATOR, &path, &body).code(404), "not_found");
        assert_eq!(app.get(&path).code(404), "not_found");
    }
    assert_eq!(app.database().fingerprint(), before);
}
