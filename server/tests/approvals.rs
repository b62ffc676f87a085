//! T39: nobody approves their own promotion, and an approval is of exactly what was there.

mod races;
mod voids;

use serde_json::{Value, json};

use crate::support::history::reviewed;
use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(an_approval_is_somebody_elses, a_change_voids_an_approval);

const ROUTE: &str = "count_commits";

fn approve(app: &App, who: Who, to: &str) -> Reply {
    app.post(
        who,
        &at(ROUTE, "staging", "approvals"),
        &json!({ "to": to }),
    )
}

/// A route under the policy `reviewed`, at opt_in in dev and staging, opt_out in dev.
fn prepared(engine: Engine) -> App {
    let app = App::start(engine);
    reviewed(app.services());
    app.route_with(ROUTE, json!({ "policy": "reviewed" }));
    app.bring(ROUTE, &["dev"], "opt_out");
    app.bring(ROUTE, &["staging"], "opt_in");
    app
}

fn gates(app: &App, who: Who, to: &str) -> Vec<(String, String)> {
    let path = at(ROUTE, "staging", &format!("gates?to={to}"));
    let body = app.request("GET", &path).by(who).send().expect(200).json();
    let gates = body["gates"].as_array().unwrap().iter();
    let text = |gate: &Value, name: &str| gate[name].as_str().unwrap().to_owned();
    let gates: Vec<_> = gates
        .map(|gate| {
            let helps = gate["state"] == "pass" || !text(gate, "remedy").is_empty();
            assert!(helps && !text(gate, "detail").is_empty(), "{gate}");
            (text(gate, "gate"), text(gate, "state"))
        })
        .collect();
    let met = gates.iter().all(|(_, state)| state == "pass");
    assert_eq!(body["met"], met);
    gates
}

fn an_approval_is_somebody_elses(engine: Engine) {
    let app = prepared(engine);
    let promote = |who: Who| app.promote(who, ROUTE, "staging", "opt_out");
    let state = |who: Who| {
        let gates = gates(&app, who, "opt_out");
        assert_eq!(gates.len(), 4, "{gates:?}");
        gates[3].1.clone()
    };
    let refused = promote(Who::MAINTAINER).problem(409);
    assert_eq!(refused["code"], "gates_not_met");
    assert_eq!(refused["gates"].as_array().unwrap().len(), 1);
    assert_eq!(refused["gates"][0]["gate"], "approval");

    // One's own does not count, also not said twice.
    let made = approve(&app, Who::MAINTAINER, "opt_out").expect(201).json();
    let again = approve(&app, Who::MAINTAINER, "opt_out").expect(201).json();
    assert_eq!(made["id"], again["id"]);
    assert_eq!(promote(Who::MAINTAINER).code(409), "gates_not_met");
    assert_eq!(
        (state(Who::MAINTAINER), state(Who::OPERATOR)),
        ("fail".into(), "pass".into())
    );

    // Another's does, until it is withdrawn, which only they can do.
    let id = approve(&app, Who::APPROVER, "opt_out").expect(201).json()["id"].clone();
    assert_eq!(state(Who::MAINTAINER), "pass");
    let withdraw = |who: Who| {
        let path = at(
            ROUTE,
            "staging",
            &format!("approvals/{}", id.as_str().unwrap()),
        );
        app.request("DELETE", &path).by(who).send()
    };
    assert_eq!(withdraw(Who::MAINTAINER).code(404), "not_found");
    assert_eq!(withdraw(Who::ADMIN).code(404), "not_found");
    withdraw(Who::APPROVER).expect(204);
    assert_eq!(withdraw(Who::APPROVER).code(404), "not_found");
    assert_eq!(promote(Who::MAINTAINER).code(409), "gates_not_met");
    approve(&app, Who::APPROVER, "opt_out").expect(201);
    promote(Who::MAINTAINER).expect(201);

    // It was of that one step.
    app.promote(Who::MAINTAINER, ROUTE, "dev", "mandatory")
        .problem(409);
    for stage in ["opt_in", "opt_out", "ready_for_testing"] {
        assert_eq!(
            approve(&app, Who::APPROVER, stage).code(409),
            "invalid_transition"
        );
    }
    let states = gates(&app, Who::MAINTAINER, "mandatory");
    let failing = |gate: &str| (gate.to_owned(), "fail".to_owned());
    assert_eq!(
        states,
        [
            failing("order"),
            ("requires".into(), "pass".into()),
            ("incident".into(), "pass".into()),
            failing("approval")
        ]
    );
}

fn a_change_voids_an_approval(engine: Engine) {
    let app = prepared(engine);
    app.route("other");
    app.bring("other", &["dev", "staging"], "opt_out");
    let rollout = |method: &str, what: &str, mut body: Value| {
        body["reason"] = json!("test");
        let request = app
            .request(method, &at(ROUTE, "staging", what))
            .by(Who::MAINTAINER);
        request.json(&body).send().expect(200);
    };
    let route = |mut body: Value| {
        body["reason"] = json!("test");
        let request = app
            .request("PATCH", &format!("routes/{ROUTE}"))
            .by(Who::MAINTAINER);
        request.json(&body).send().expect(200);
    };
    let valid = || {
        let list = app
            .get(&at(ROUTE, "staging", "approvals"))
            .expect(200)
            .json();
        let newest = list["items"].as_array().unwrap().last().unwrap().clone();
        newest["valid"].as_bool().unwrap()
    };
    let voiding: [&dyn Fn(); 6] = [
        &|| rollout("PUT", "setting", json!({ "mode": "ramp", "percent": 5 })),
        &|| rollout("PUT", "cohorts", json!({ "include": ["k"], "exclude": [] })),
        &|| rollout("PUT", "cohorts", json!({ "include": [], "exclude": ["k"] })),
        &|| route(json!({ "links": { "runbook": "https://example.com/runbook" } })),
        &|| route(json!({ "requires": ["other"] })),
        &|| {
            let body = json!({ "to": "ready_for_testing", "reason": "test" });
            app.post(Who::OPERATOR, &at(ROUTE, "staging", "demotions"), &body)
                .expect(201);
            app.bring(ROUTE, &["staging"], "opt_in");
        },
    ];
    for (number, void) in voiding.iter().enumerate() {
        app.advance(chrono::Duration::minutes(1));
        approve(&app, Who::APPROVER, "opt_out").expect(201);
        assert!(valid(), "{number}");
        app.advance(chrono::Duration::minutes(1));
        void();
        let list = app.get(&at(ROUTE, "staging", "approvals")).json();
        let of_step = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["to"] == "opt_out");
        assert!(
            of_step.clone().count() > number && of_step.clone().all(|item| item["valid"] == false),
            "{number}: {list}"
        );
        let refused = app
            .promote(Who::MAINTAINER, ROUTE, "staging", "opt_out")
            .problem(409);
        let detail = refused["gates"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("void"), "{number}: {detail}");
    }
    // What says nothing about the promotion voids nothing.
    approve(&app, Who::APPROVER, "opt_out").expect(201);
    route(json!({ "description": "another", "owner": "git" }));
    rollout("POST", "halt", json!({}));
    rollout("POST", "resume", json!({}));
    assert!(valid());
    app.promote(Who::MAINTAINER, ROUTE, "staging", "opt_out")
        .expect(201);
}
