//! What going back to the old store costs: shown before, and accepted by a person; the point of no
//! return.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::conductor::Conductor;

use crate::support::{App, Engine, Fleet, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_halt_that_loses_writes_needs_a_word,
    a_halt_without_the_mirror_needs_a_backfill,
    the_point_of_no_return,
    a_guard_halts_nothing_that_would_be_lost,
);

/// A data route at opt_in in dev with this share of its keys on the new store, both stores equal; the
/// SDK key of dev.
fn exposed(app: &App, more: Value, percent: u32) -> String {
    let mut route = json!({ "operation": "write" });
    let fields = route.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.route_with("save", route);
    let key = app.equal_stores("save", "dev");
    app.set("save", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    app.bring("save", &["dev"], "opt_in");
    let who = json!({ "mode": "ramp", "percent": percent, "reason": "test" });
    app.put(Who::MAINTAINER, &at("save", "dev", "setting"), &who)
        .expect(200);
    key
}

fn order(app: &App, what: &str, more: Value) -> Reply {
    let mut body = json!({ "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.post(Who::OPERATOR, &at("save", "dev", what), &body)
}

/// A process says of a key that was written to the new store that it is not copied back yet; or that
/// it is.
fn repair(app: &App, key: &str, state: &str) {
    let repair = json!({ "key": "k1", "written": "new", "cause": "failed", "state": state });
    let body = json!({ "instance": "a", "name": "web-a", "routes": [
        { "route": "save", "generation": 9, "open_repairs": 1, "repairs": [repair] }] });
    app.sdk_post(key, "writers", &body).expect(200);
}

fn risk(app: &App) -> Value {
    app.rollout("save", "dev")["loss_risk"].clone()
}

fn a_halt_that_loses_writes_needs_a_word(engine: Engine) {
    let app = App::start(engine);
    let key = exposed(&app, json!({}), 50);
    assert_eq!(risk(&app)["risk"], "none");
    repair(&app, &key, "open");
    assert_eq!(
        (&risk(&app)["risk"], &risk(&app)["writes"]),
        (&json!("at_risk"), &json!(1))
    );
    let refused = order(&app, "halt", json!({})).expect(409).json();
    assert_eq!(refused["code"], "loss_risk");
    assert_eq!(refused["loss_risk"]["writes"], 1);
    let lower = json!({ "mode": "off" });
    assert_eq!(
        app.set("save", "dev", lower).expect(409).json()["code"],
        "loss_risk"
    );
    let many = json!({ "environment": "dev", "reason": "test" });
    let done = app.post(Who::OPERATOR, "halts", &many).expect(200).json();
    assert_eq!(done["halted"], json!([]));
    assert_eq!(done["at_risk"][0]["route"], "save");
    order(&app, "halt", json!({ "accept_loss": true })).expect(200);
    assert_eq!(app.rollout("save", "dev")["halted"], true);
    assert_eq!(app.rollout("save", "dev")["mirror"]["write_percent"], 100);
    // Copied back in the meantime: nobody is asked.
    repair(&app, &key, "resolved");
    order(&app, "resume", json!({}));
    app.assert_audit_intact();
}

fn a_halt_without_the_mirror_needs_a_backfill(engine: Engine) {
    let app = App::start(engine);
    let key = exposed(&app, json!({}), 50);
    order(&app, "halt", json!({ "mirror": "off" })).expect(200);
    let rollout = app.rollout("save", "dev");
    assert_eq!(rollout["mirror"]["write_percent"], 0);
    assert_eq!(rollout["stores"]["diverged"], true);
    let refused = order(&app, "resume", json!({})).expect(409).json();
    assert_eq!(refused["code"], "stores_differ");
    assert_eq!(refused["gates"][0]["gate"], "repairs");
    app.advance(Duration::seconds(5));
    app.equal_stores("save", "dev");
    assert_eq!(app.rollout("save", "dev")["stores"]["diverged"], false);
    // A run under an older generation says nothing of what was written since.
    order(&app, "resume", json!({})).expect(409);
    let body = json!({ "instance": "a", "route": "save", "kind": "checksum", "generation": 9,
                       "duration_ms": 1000, "compared": 10, "differing": 0 });
    app.sdk_post(&key, "consistency", &body).expect(204);
    order(&app, "resume", json!({})).expect(200);
}

fn the_point_of_no_return(engine: Engine) {
    let app = App::start(engine);
    exposed(&app, json!({}), 80);
    let off = || {
        let body = json!({ "read_percent": 0, "write_percent": 0, "reason": "test" });
        app.put(Who::OPERATOR, &at("save", "dev", "mirror"), &body)
    };
    let refused = off().expect(409).json();
    assert_eq!(refused["code"], "old_store_needed");
    assert_eq!(refused["lacking"].as_array().unwrap().len(), 2);
    app.set("save", "dev", json!({ "mode": "on" })).expect(200);
    let backup = json!({ "kind": "backup", "verdict": "pass", "url": "https://example.com/backup",
                         "summary": "restored into a scratch database" });
    app.post(Who::OPERATOR, &at("save", "dev", "evidence"), &backup)
        .expect(201);
    app.promote(Who::MAINTAINER, "save", "dev", "opt_out")
        .expect(201);
    let promote = || app.promote(Who::MAINTAINER, "save", "dev", "mandatory");
    assert_eq!(promote().expect(409).json()["code"], "old_store_needed");
    let warned = off().expect(200).json()["warnings"][0].clone();
    assert!(warned.as_str().unwrap().contains("only a restored backup"));
    assert_eq!(risk(&app)["risk"], "needs_restore");
    assert_eq!(
        order(&app, "halt", json!({})).expect(409).json()["code"],
        "loss_risk"
    );
    promote().expect(201);
    let reminders = app.rollout("save", "dev")["reminders"].clone();
    assert_eq!(reminders[0]["what"], "archive");
    assert_eq!(reminders[0]["done"], Value::Null);
    let archived = json!({ "kind": "archive", "verdict": "pass", "summary": "in cold storage" });
    app.advance(Duration::days(1));
    app.post(Who::OPERATOR, &at("save", "dev", "evidence"), &archived)
        .expect(201);
    let reminders = app.rollout("save", "dev")["reminders"].clone();
    assert_ne!(reminders[0]["done"], Value::Null);
    assert_eq!(reminders[1]["what"], "archive_deleted");
    app.assert_audit_intact();
}

fn a_guard_halts_nothing_that_would_be_lost(engine: Engine) {
    let app = App::start(engine);
    let policy = json!({ "name": "guarded", "ramp": [{ "percent": 50, "hold_hours": 1 },
                         { "percent": 100, "hold_hours": 1 }],
                         "guards": [{ "name": "errors", "measure": "error_rate", "limit": 0.01,
                                      "action": "halt" }] });
    app.post(
        Who::ADMIN,
        "policies",
        &json!({ "policy": policy, "reason": "test" }),
    )
    .expect(201);
    let key = exposed(&app, json!({ "policy": "guarded" }), 0);
    order(&app, "ramp/start", json!({})).expect(200);
    repair(&app, &key, "open");
    let fleet = Fleet::new(key, 4);
    let mut conductor = Conductor::new(Arc::clone(app.services()));
    for _ in 0..6 {
        app.advance(Duration::seconds(5));
        fleet.report(&app, |_| {
            vec![
                json!({ "route": "save", "path": "new", "role": "authoritative", "calls": 300,
                         "errors": 90, "latency": [[620, 300]] }),
            ]
        });
        conductor.tick();
    }
    let rollout = app.rollout("save", "dev");
    assert_eq!(rollout["halted"], false);
    assert_eq!(rollout["ramp"]["state"], "paused");
    assert_eq!(rollout["loss_risk"]["writes"], 1);
}
