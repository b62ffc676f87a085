//! Ramps of data migrations go on by themselves while what is mirrored and compared is well.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::conductor::Conductor;

use crate::support::{App, Engine, Fleet, Who, at, on_both_engines};

on_both_engines!(
    failed_mirror_writes_stop_the_mirror,
    a_data_migration_goes_up_by_itself,
);

/// Calls for callers, and copies beside them.
fn rows(calls: u64, failed: u64) -> Vec<Value> {
    let slow = |limit: u32| json!([{ "limit_ms": limit, "trials": calls, "violations": 0 }]);
    let latency = json!([[620, calls]]);
    vec![
        json!({ "route": "save", "path": "new", "role": "authoritative", "calls": calls,
                "latency": latency, "slow": slow(500), "comparisons": 50, "mismatches": 0 }),
        json!({ "route": "save", "path": "old", "role": "mirror", "calls": calls, "errors": failed,
                "latency": latency, "slow": slow(1000) }),
    ]
}

fn report(app: &App, fleet: &Fleet, conductor: &mut Conductor, failed: u64) {
    for _ in 0..4 {
        app.advance(Duration::seconds(5));
        fleet.report(app, |_| rows(200, failed));
        conductor.tick();
    }
}

fn started(engine: Engine) -> (App, Fleet, Conductor) {
    let app = App::start(engine);
    app.route_with(
        "save",
        json!({ "operation": "write", "policy": "data_migration" }),
    );
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let conductor = Conductor::new(Arc::clone(app.services()));
    (app, fleet, conductor)
}

fn failed_mirror_writes_stop_the_mirror(engine: Engine) {
    let (app, fleet, mut conductor) = started(engine);
    app.equal_stores("save", "dev");
    report(&app, &fleet, &mut conductor, 0);
    assert_eq!(app.rollout("save", "dev")["mirror"]["write_percent"], 100);
    report(&app, &fleet, &mut conductor, 60);
    let rollout = app.rollout("save", "dev");
    assert_eq!(rollout["mirror"]["write_percent"], 0);
    assert_eq!(rollout["mirror"]["stopped"]["by"], "guard:mirror_failures");
    assert_eq!(rollout["halted"], false);
    // What is written now is in one store alone.
    assert_eq!(rollout["stores"]["mirrored"], false);
    assert_eq!(rollout["stores"]["backfill_complete"], false);
    app.assert_audit_intact();
}

fn a_data_migration_goes_up_by_itself(engine: Engine) {
    let (app, fleet, mut conductor) = started(engine);
    let key = app.equal_stores("save", "dev");
    report(&app, &fleet, &mut conductor, 0);
    app.promote(Who::MAINTAINER, "save", "dev", "opt_in")
        .expect(201);
    let begin = at("save", "dev", "ramp/start");
    app.post(Who::OPERATOR, &begin, &json!({ "reason": "test" }))
        .expect(200);
    let exposed = || app.rollout("save", "dev")["exposure_percent"].clone();
    assert_eq!(exposed(), 10);
    for (days, percent) in [(1, 30), (1, 50), (2, 80), (2, 100)] {
        app.advance(Duration::days(days));
        report(&app, &fleet, &mut conductor, 0);
        // The schedule has asked for a run; without it nobody knows, and nothing goes up.
        let runs = app
            .get(&at("save", "dev", "consistency"))
            .expect(200)
            .json();
        assert_eq!(runs["items"][0]["origin"], "schedule");
        let result = json!({ "instance": "a", "route": "save", "order": runs["items"][0]["id"],
                             "kind": "sample", "generation": 1, "duration_ms": 500,
                             "compared": 100, "differing": 0 });
        app.sdk_post(&key, "consistency", &result).expect(204);
        report(&app, &fleet, &mut conductor, 0);
        assert_eq!(
            exposed(),
            percent,
            "{}",
            app.get(&at("save", "dev", "guards")).body
        );
    }
    app.assert_audit_intact();
}
