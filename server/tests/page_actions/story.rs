//! A whole migration by forms alone, without a script.

use serde_json::json;

use super::person::{Filled, Person};
use super::{dev, says};
use crate::support::{App, Engine, Who, on_both_engines};

on_both_engines!(from_a_missing_gate_to_the_way_back);

fn from_a_missing_gate_to_the_way_back(engine: Engine) {
    let app = App::start(engine);
    let gates = json!({ "opt_in": [{ "gate": "acceptance" }, { "gate": "approval", "count": 1 }] });
    let policy = json!({ "policy": { "name": "own", "gates": gates }, "reason": "test" });
    app.post(Who::ADMIN, "policies", &policy).expect(201);
    app.route_with("a", json!({ "policy": "own" }));
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let mia = Person::signed_in(&app, Who::MAINTAINER);

    // What is missing is named, with what satisfies it and where.
    let form = otto.form(&dev("promote")).with("reason", "ready");
    let refused = otto.send(&form.with("step", "preview")).expect(409);
    says(&refused, "acceptance");
    says(
        &refused,
        "href=\"/routes/a/environments/dev/evidence?kind=performance\"",
    );
    says(&refused, "href=\"/routes/a/environments/dev/approve\"");
    assert_eq!(Filled::of(&refused).get("reason"), "ready");

    for environment in ["dev", "staging", "production"] {
        for kind in ["performance", "resources", "error_rate"] {
            let path = format!("/routes/a/environments/{environment}/evidence");
            otto.does_at_once(&path, &[("kind", kind), ("summary", "seen")])
                .expect(303);
        }
    }
    mia.does_at_once(&dev("approve"), &[("comment", "good")])
        .expect(303);

    let promoted = otto
        .does(&dev("promote"), &[("reason", "ready")])
        .expect(303);
    assert_eq!(
        promoted.header("location"),
        Some("/routes/a/environments/dev")
    );
    assert_eq!(app.rollout("a", "dev")["stage"], "opt_in");
    otto.does_at_once(&dev("halt"), &[("reason", "errors")])
        .expect(303);
    assert_eq!(app.rollout("a", "dev")["halted"], true);
    otto.does(&dev("resume"), &[("reason", "mended")])
        .expect(303);
    assert_eq!(app.rollout("a", "dev")["halted"], false);
    otto.does(
        &dev("setting"),
        &[("mode", "ramp"), ("percent", "25"), ("reason", "slowly")],
    )
    .expect(303);

    // What is on record leads to the form that undoes it.
    let history = app.get("routes/a/history").json();
    let seq = |action: &str| {
        let items = history["items"].as_array().unwrap().iter();
        let mut found = items.filter(|entry| entry["action"] == action);
        found.next().unwrap()["seq"].as_u64().unwrap()
    };
    let way = |action: &str| otto.get(&format!("/routes/a/revert/{}", seq(action)));
    let back = way("setting").expect(303);
    let undo = back.header("location").unwrap().to_owned();
    let form = otto.form(&undo);
    assert_eq!(form.get("mode"), "stage_default");
    assert!(form.get("reason").contains("undoes entry"), "{form:?}");
    otto.does(&undo, &[]).expect(303);
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 100);
    says(&way("halt").expect(409), "resumed since");
    let back = way("promote").expect(303);
    otto.does(back.header("location").unwrap(), &[]).expect(303);
    assert_eq!(app.rollout("a", "dev")["stage"], "ready_for_testing");
    assert_eq!(otto.get("/routes/a/revert/999999").status, 404);
    app.assert_audit_intact();
}
