//! Gates answer from what callers report.

use chrono::Duration;
use serde_json::{Value, json};

use super::{batch, counts, instance_of};
use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(
    calls_within_limits_pass,
    slow_calls_are_counted_by_the_limit,
    one_instance_without_the_code_is_named,
    an_override_that_runs_holds_mandatory_back,
    what_cannot_be_read_holds_back_and_breaks_nothing,
);

impl App {
    /// A route under a policy with these gates alone.
    fn gated(&self, stage: &str, gates: Value) {
        let policy = json!({ "name": "own", "gates": { stage: gates } });
        let body = json!({ "policy": policy, "reason": "test" });
        self.post(Who::ADMIN, "policies", &body).expect(201);
        self.route_with("a", json!({ "policy": "own" }));
    }

    /// A gate's state and grounds.
    fn gate(&self, name: &str, to: &str) -> (String, String) {
        let path = at("a", "dev", &format!("gates?to={to}"));
        let found = self.get(&path).expect(200).json();
        let gates = found["gates"].as_array().unwrap();
        let gate = gates.iter().find(|gate| gate["gate"] == name).unwrap();
        let text = |field: &str| gate[field].as_str().unwrap().to_owned();
        (text("state"), text("detail"))
    }

    #[track_caller]
    fn assert_gate(&self, name: &str, to: &str, state: &str, says: &str) {
        let (found, detail) = self.gate(name, to);
        assert_eq!(found, state, "{detail}");
        assert!(detail.contains(says), "{detail}");
    }
}

fn with_routes(instance: &str, sequence: u64, routes: Value) -> Value {
    json!({
        "sequence": sequence,
        "instance": instance_of(instance),
        "routes": routes,
    })
}

fn calls_within_limits_pass(engine: Engine) {
    let app = App::start(engine);
    let rule = json!({ "gate": "telemetry", "error_rate": 0.01, "window_minutes": 30 });
    app.gated("opt_in", json!([rule]));
    let key = app.sdk_key("dev");
    app.assert_gate("telemetry", "opt_in", "insufficient", "nothing is reported");
    // What the old path does is not what is asked, nor what runs beside the old path.
    let mut mirror = counts("a", "new", 1_000, 0);
    mirror["role"] = json!("mirror");
    let mut old = batch("i", 1, 1_000, 0);
    old["counts"] = json!([counts("a", "old", 1_000, 0), mirror]);
    assert_eq!(app.report(&key, &old), 204);
    app.assert_gate("telemetry", "opt_in", "insufficient", "errors 0 of 0");
    assert_eq!(app.report(&key, &batch("i", 2, 299, 0)), 204);
    app.assert_gate("telemetry", "opt_in", "insufficient", "errors 0 of 299");
    assert_eq!(
        app.promote(Who::OPERATOR, "a", "dev", "opt_in").code(409),
        "gates_not_met"
    );
    assert_eq!(app.report(&key, &batch("i", 3, 1, 1)), 204);
    app.assert_gate("telemetry", "opt_in", "fail", "errors 1 of 300");
    assert_eq!(app.report(&key, &batch("i", 4, 700, 0)), 204);
    app.assert_gate("telemetry", "opt_in", "pass", "errors 1 of 1000");
    // What lies longer back than the window does not count.
    app.advance(Duration::minutes(31));
    app.assert_gate("telemetry", "opt_in", "insufficient", "nothing is reported");
    assert_eq!(app.report(&key, &batch("i", 5, 500, 0)), 204);
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
}

fn slow_calls_are_counted_by_the_limit(engine: Engine) {
    let app = App::start(engine);
    let rule = json!({ "gate": "telemetry", "p99_ms": 500 });
    app.gated("opt_in", json!([rule]));
    let key = app.sdk_key("dev");
    // Their histogram says 10 ms; the limit that they counted by says otherwise, as calls hang.
    let mut hanging = batch("i", 1, 1_000, 0);
    let slow = json!([{ "limit_ms": 500, "trials": 1_020, "violations": 20 }]);
    hanging["counts"][0]["slow"] = slow;
    assert_eq!(app.report(&key, &hanging), 204);
    app.assert_gate("telemetry", "opt_in", "fail", "slow 20 of 1020");
    // Who counts by another limit is judged by the histogram.
    app.advance(Duration::minutes(61));
    let mut other = batch("i", 2, 1_000, 0);
    let slow = json!([{ "limit_ms": 5, "trials": 1_000, "violations": 1_000 }]);
    other["counts"][0]["slow"] = slow;
    assert_eq!(app.report(&key, &other), 204);
    app.assert_gate("telemetry", "opt_in", "pass", "slow 0 of 1000");
}

fn one_instance_without_the_code_is_named(engine: Engine) {
    let app = App::start(engine);
    app.gated("opt_in", json!([{ "gate": "code_deployed" }]));
    let key = app.sdk_key("dev");
    let has = json!([{ "route": "a" }, { "route": "b" }]);
    app.assert_gate("code_deployed", "opt_in", "insufficient", "no instance");
    assert_eq!(app.report(&key, &with_routes("i", 1, has.clone())), 204);
    app.assert_gate("code_deployed", "opt_in", "pass", "every one of 1");
    // One names it in an override alone, one lacks it, one has not said.
    let override_only = json!([{ "route": "a", "in_code": false, "override": true }]);
    assert_eq!(app.report(&key, &with_routes("j", 1, override_only)), 204);
    app.assert_gate("code_deployed", "opt_in", "fail", "web-j");
    assert_eq!(app.report(&key, &with_routes("j", 2, has.clone())), 204);
    app.assert_gate("code_deployed", "opt_in", "pass", "every one of 2");
    let lacks = json!([{ "route": "b" }]);
    assert_eq!(app.report(&key, &with_routes("k", 1, lacks)), 204);
    assert_eq!(app.report(&key, &batch("l", 1, 1, 0)), 204);
    app.assert_gate(
        "code_deployed",
        "opt_in",
        "fail",
        "web-k in dev, web-l in dev",
    );
    let refused = app.promote(Who::OPERATOR, "a", "dev", "opt_in");
    assert_eq!(refused.code(409), "gates_not_met");
    // One says goodbye, the other is not heard of any more.
    let mut ends = with_routes("k", 2, json!([]));
    ends["ends"] = json!(true);
    assert_eq!(app.report(&key, &ends), 204);
    app.assert_gate("code_deployed", "opt_in", "fail", "code: web-l in dev");
    app.advance(Duration::minutes(11));
    app.assert_gate("code_deployed", "opt_in", "insufficient", "no instance");
    // A batch that says nothing of routes changes nothing about them, nor does an older one.
    assert_eq!(app.report(&key, &batch("i", 3, 1, 0)), 204);
    let late = with_routes("i", 2, json!([]));
    app.assert_gate("code_deployed", "opt_in", "pass", "every one of 1");
    assert_eq!(app.report(&key, &late), 204);
    app.assert_gate("code_deployed", "opt_in", "fail", "web-i");
    app.promote(Who::OPERATOR, "a", "dev", "opt_in")
        .problem(409);
    // A list that is too long for one batch goes on in the next.
    let one = with_routes("i", 4, json!([{ "route": "b" }]));
    assert_eq!(app.report(&key, &one), 204);
    let mut rest = with_routes("i", 5, json!([{ "route": "c" }, { "route": "a" }]));
    rest["continues"] = json!(true);
    assert_eq!(app.report(&key, &rest), 204);
    app.assert_gate("code_deployed", "opt_in", "pass", "every one of 1");
    assert_eq!(app.report(&key, &with_routes("i", 6, has)), 204);
    app.promote(Who::OPERATOR, "a", "dev", "opt_in").expect(201);
}

fn an_override_that_runs_holds_mandatory_back(engine: Engine) {
    let app = App::start(engine);
    app.gated("mandatory", json!([{ "gate": "census" }]));
    let key = app.sdk_key("dev");
    app.bring("a", &["dev"], "opt_out");
    app.assert_gate("census", "mandatory", "insufficient", "no census of dev");
    let with = |sequence, flag: Value| {
        with_routes("i", sequence, json!([{ "route": "a", "override": flag }]))
    };
    assert_eq!(app.report(&key, &with(1, json!(false))), 204);
    app.assert_gate("census", "mandatory", "fail", "=0 is set in web-i");
    let refused = app.promote(Who::MAINTAINER, "a", "dev", "mandatory");
    assert_eq!(refused.code(409), "gates_not_met");
    assert_eq!(app.report(&key, &with(2, json!(true))), 204);
    app.assert_gate("census", "mandatory", "pass", "1 running instances");
    // Another one's census stands beside what runs.
    let census = json!({
        "environment": "dev", "site": "acme", "taken_at": "2026-01-05T10:00:00Z",
        "overrides": { "GITALY_A": false }, "reason": "test",
    });
    app.post(Who::OPERATOR, "censuses", &census).expect(201);
    app.assert_gate("census", "mandatory", "fail", "=0 is set in acme");
}

fn what_cannot_be_read_holds_back_and_breaks_nothing(engine: Engine) {
    let app = App::start(engine);
    let telemetry = json!({ "gate": "telemetry", "error_rate": 0.01 });
    app.gated("opt_in", json!([telemetry, { "gate": "code_deployed" }]));
    app.route_with("b", json!({}));
    let key = app.sdk_key("dev");
    assert_eq!(app.report(&key, &batch("i", 1, 1_000, 0)), 204);
    app.database().run_on_telemetry("DROP TABLE windows");
    for gate in ["telemetry", "code_deployed"] {
        app.assert_gate(gate, "opt_in", "insufficient", "cannot be read now");
    }
    let refused = app.promote(Who::OPERATOR, "a", "dev", "opt_in");
    assert_eq!(refused.code(409), "gates_not_met");
    // Who does not ask for reports is not held back, and halts work.
    app.promote(Who::OPERATOR, "b", "dev", "opt_in").expect(201);
    let reason = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "halt"), &reason)
        .expect(200);
    // Nothing of what comes in is lost in silence.
    let refused = app
        .request("POST", "/sdk/v1/telemetry")
        .bearer(&key)
        .json(&batch("i", 2, 10, 0))
        .send();
    assert_eq!(refused.code(503), "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        app.get(&at("a", "dev", "telemetry")).code(503),
        "unavailable"
    );
    assert_eq!(app.request("GET", "/readyz").send().status, 200);
}
