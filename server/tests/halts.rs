//! Halts of many, and the way back.

use serde_json::json;

use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(many_are_resumed_as_they_were_halted);

fn many_are_resumed_as_they_were_halted(engine: Engine) {
    let app = App::start(engine);
    for route in ["a", "b", "c"] {
        app.route_with(
            route,
            json!({ "owner": if route == "c" { "other" } else { "git" } }),
        );
    }
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let all = json!({ "environment": "dev", "reason": "test" });
    app.post(Who::OPERATOR, "halts", &all).expect(200);
    let mine = json!({ "environment": "dev", "owner": "git", "reason": "test" });
    let done = app.post(Who::OPERATOR, "resumes", &mine).expect(200).json();
    assert_eq!(done["resumed"], json!(["a", "b"]));
    assert_eq!(done["still_halted"], json!([]));
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 100);
    assert_eq!(app.rollout("c", "dev")["halted"], true);
    let again = app.post(Who::OPERATOR, "resumes", &mine).expect(200).json();
    assert_eq!(again["resumed"], json!([]));
    assert_eq!(again["not_halted"], json!(["a", "b"]));
    let nobody = json!({ "environment": "dev", "owner": "nobody", "reason": "test" });
    assert_eq!(
        app.post(Who::OPERATOR, "resumes", &nobody).code(404),
        "not_found"
    );

    // What the rules keep halted is named, and keeps nobody else halted.
    app.put(
        Who::OPERATOR,
        &at("a", "staging", "setting"),
        &json!({ "mode": "on", "reason": "test" }),
    )
    .expect(200);
    let staging = json!({ "environment": "staging", "reason": "test" });
    app.post(Who::OPERATOR, "halts", &staging).expect(200);
    let production = json!({ "production": true, "reason": "test" });
    let patch = app.request("PATCH", "environments/staging");
    patch.by(Who::ADMIN).json(&production).send().expect(200);
    let done = app
        .post(Who::OPERATOR, "resumes", &staging)
        .expect(200)
        .json();
    assert_eq!(done["resumed"], json!(["b", "c"]));
    assert_eq!(done["still_halted"][0]["route"], "a");
    assert_eq!(app.rollout("a", "staging")["halted"], true);
    app.assert_audit_intact();
}
