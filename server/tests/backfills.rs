//! Backfills: one process at a time, every batch once, and nothing acknowledged is lost.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, TestDatabase, Who, at, on_both_engines};

on_both_engines!(
    batches_count_once,
    one_process_runs_it,
    two_that_begin_at_once,
    people_pause_resume_and_reset,
    it_needs_copies_of_all_writes,
    a_complete_one_is_not_run_again,
    what_could_not_be_copied_is_a_repair,
    nothing_acknowledged_is_lost_with_the_server,
    what_cannot_be_is_refused,
);

fn begin(app: &App, key: &str, instance: &str, more: Value) -> Reply {
    let mut body = json!({ "instance": instance, "route": "save", "batch": 100 });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.sdk_post(key, "backfills", &body)
}

fn batch(app: &App, key: &str, id: &str, instance: &str, more: Value) -> Reply {
    let mut body = json!({ "instance": instance, "cursor": null });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.sdk_post(key, &format!("backfills/{id}"), &body)
}

fn order(app: &App, id: &str, what: &str) -> Reply {
    let path = at("save", "dev", &format!("backfills/{id}/{what}"));
    app.post(Who::OPERATOR, &path, &json!({ "reason": "test" }))
}

fn latest(app: &App) -> Value {
    let all = app.get(&at("save", "dev", "backfills")).expect(200).json();
    all["items"][0].clone()
}

fn batches_count_once(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    let first = json!({ "cursor": "k1", "keys": 100, "copied": 40 });
    for _ in 0..3 {
        let order = batch(&app, &key, &id, "a", first.clone())
            .expect(200)
            .json();
        assert_eq!(
            (order["keys"].as_u64(), order["copied"].as_u64()),
            (Some(100), Some(40))
        );
    }
    app.advance(Duration::seconds(10));
    let second = json!({ "cursor": "k2", "keys": 50, "copied": 1 });
    batch(&app, &key, &id, "a", second).expect(200);
    batch(&app, &key, &id, "a", first).expect(200);
    let seen = latest(&app);
    assert_eq!(
        (seen["keys"].as_u64(), seen["cursor"].as_str()),
        (Some(150), Some("k2"))
    );
    assert_eq!(seen["keys_per_second"], 15.0);
    // The last batch may have nothing in it.
    let end = json!({ "cursor": "k2", "complete": true });
    assert_eq!(
        batch(&app, &key, &id, "a", end).expect(200).json()["state"],
        "complete"
    );
    let stores = app.rollout("save", "dev")["stores"].clone();
    assert_eq!(stores["backfill_complete"], true);
    assert_eq!(stores["backfill"]["state"], "complete");
    let history = app.get("routes/save/history").expect(200).body;
    assert!(history.contains("backfill_start") && history.contains("backfill_complete"));
    app.assert_audit_intact();
}

fn one_process_runs_it(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    let held = begin(&app, &key, "b", json!({})).expect(409).body;
    assert!(
        held.contains("`a` runs the backfill") && held.contains("30 s"),
        "{held}"
    );
    // The same process again: it was started anew under its old name, or an answer was lost.
    assert_eq!(
        begin(&app, &key, "a", json!({})).expect(200).json()["id"],
        id.as_str()
    );
    batch(&app, &key, &id, "a", json!({ "cursor": "k1", "keys": 100 })).expect(200);
    app.advance(Duration::seconds(31));
    let over = begin(&app, &key, "b", json!({ "total": 500 }))
        .expect(200)
        .json();
    assert_eq!(
        (over["id"].as_str(), over["cursor"].as_str()),
        (Some(id.as_str()), Some("k1"))
    );
    let late = json!({ "cursor": "k2", "keys": 100 });
    let late = batch(&app, &key, &id, "a", late).expect(200).json();
    assert_eq!(
        (late["state"].as_str(), late["keys"].as_u64()),
        (Some("taken_over"), Some(100))
    );
    let more = json!({ "cursor": "k2", "keys": 100 });
    assert_eq!(
        batch(&app, &key, &id, "b", more).expect(200).json()["keys"],
        200
    );
    assert_eq!(latest(&app)["runner"], "b");
}

fn two_that_begin_at_once(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine));
    let one = App::over(Arc::clone(&database));
    one.data_route("save", "dev");
    let key = one.sdk_key("dev");
    let other = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(App::over(database)),
    };
    if let Some(other) = &other {
        other.services().catch_up().unwrap();
    }
    let apps = [&one, other.as_ref().unwrap_or(&one)];
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|number| {
                let (app, key) = (apps[number % 2], &key);
                scope.spawn(move || begin(app, key, &format!("p{number}"), json!({})))
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let begun = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(begun, 1);
    assert!(
        replies
            .iter()
            .all(|reply| [200, 409].contains(&reply.status))
    );
    let all = one.get(&at("save", "dev", "backfills")).expect(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
}

fn people_pause_resume_and_reset(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    assert_eq!(
        order(&app, &id, "pause").expect(200).json()["state"],
        "paused"
    );
    order(&app, &id, "pause").expect(200);
    // The batch that was under way is done, and counts.
    let done = json!({ "cursor": "k1", "keys": 100 });
    let done = batch(&app, &key, &id, "a", done).expect(200).json();
    assert_eq!(
        (done["state"].as_str(), done["keys"].as_u64()),
        (Some("paused"), Some(100))
    );
    assert_eq!(
        batch(&app, &key, &id, "a", json!({})).expect(200).json()["state"],
        "paused"
    );
    order(&app, &id, "resume").expect(200);
    assert_eq!(
        batch(&app, &key, &id, "a", json!({})).expect(200).json()["state"],
        "running"
    );
    let reset = order(&app, &id, "reset").expect(200).json();
    assert_eq!(reset["said"]["by"], "otto@example.com");
    let void = json!({ "cursor": "k2", "keys": 100 });
    assert_eq!(
        batch(&app, &key, &id, "a", void).expect(200).json()["state"],
        "reset"
    );
    assert!(
        order(&app, &id, "resume")
            .expect(409)
            .body
            .contains("is reset")
    );
    let anew = begin(&app, &key, "a", json!({})).expect(200).json();
    assert!(anew["id"] != id.as_str() && anew["cursor"].is_null());
    let actions = app.get("routes/save/history").expect(200).body;
    for action in ["backfill_pause", "backfill_resume", "backfill_reset"] {
        assert!(actions.contains(action), "{action}");
    }
    let nobody = "0199b1c2-0000-7000-8000-000000000000";
    order(&app, nobody, "pause").expect(404);
}

fn it_needs_copies_of_all_writes(engine: Engine) {
    let app = App::start(engine);
    app.route_with("save", json!({ "operation": "write" }));
    app.route("find");
    let key = app.sdk_key("dev");
    let refused = begin(&app, &key, "a", json!({})).expect(409).body;
    assert!(
        refused.contains("never ends") && refused.contains("--write 100"),
        "{refused}"
    );
    app.copy_writes("save", "dev", 50);
    begin(&app, &key, "a", json!({})).expect(409);
    let (id, key) = app.begin_backfill("save", "dev");
    // Fewer are copied for a moment: what was written then is in no batch that is done.
    app.copy_writes("save", "dev", 50);
    app.advance(Duration::seconds(1));
    app.copy_writes("save", "dev", 100);
    let end = json!({ "cursor": "z", "keys": 1, "complete": true });
    assert_eq!(
        batch(&app, &key, &id, "a", end).expect(200).json()["state"],
        "reset"
    );
    let body = json!({ "instance": "a", "route": "find", "batch": 100 });
    assert!(
        app.sdk_post(&key, "backfills", &body)
            .expect(409)
            .body
            .contains("two stores")
    );
    let body = json!({ "instance": "a", "route": "nothing", "batch": 100 });
    app.sdk_post(&key, "backfills", &body).expect(404);
}

fn a_complete_one_is_not_run_again(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let key = app.equal_stores("save", "dev");
    let id = latest(&app)["id"].clone();
    let again = begin(&app, &key, "b", json!({})).expect(200).json();
    assert_eq!(
        (&again["id"], again["state"].as_str()),
        (&id, Some("complete"))
    );
    let anew = begin(&app, &key, "b", json!({ "anew": true }))
        .expect(200)
        .json();
    assert_eq!(anew["state"], "running");
    assert_ne!(anew["id"], id);
    // One that is complete says nothing about what was written while nothing was copied.
    let end = json!({ "cursor": "z", "keys": 1, "complete": true });
    batch(&app, &key, anew["id"].as_str().unwrap(), "b", end).expect(200);
    assert_eq!(
        app.rollout("save", "dev")["stores"]["backfill_complete"],
        true
    );
    app.copy_writes("save", "dev", 0);
    app.advance(Duration::seconds(1));
    app.copy_writes("save", "dev", 100);
    assert_eq!(
        app.rollout("save", "dev")["stores"]["backfill_complete"],
        false
    );
    assert_eq!(
        begin(&app, &key, "b", json!({})).expect(200).json()["state"],
        "running"
    );
}

fn what_could_not_be_copied_is_a_repair(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    let failed = json!({ "cursor": "k9", "keys": 10, "copied": 8, "failed": ["k3", "k\u{0}4"] });
    for _ in 0..2 {
        let order = batch(&app, &key, &id, "a", failed.clone())
            .expect(200)
            .json();
        assert_eq!(order["failed"], 2);
    }
    let repairs = app.get(&at("save", "dev", "repairs")).expect(200).json();
    let repairs = repairs["items"].as_array().unwrap();
    assert_eq!(repairs.len(), 2);
    for repair in repairs {
        assert_eq!(
            (repair["cause"].as_str(), repair["state"].as_str()),
            (Some("backfill"), Some("open"))
        );
    }
    assert!(repairs.iter().any(|repair| repair["key"] == "k\u{0}4"));
    assert_eq!(app.rollout("save", "dev")["stores"]["open_repairs"], 2);
}

fn nothing_acknowledged_is_lost_with_the_server(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine));
    let app = App::over(Arc::clone(&database));
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    let first = json!({ "cursor": "k1", "keys": 100, "copied": 100 });
    batch(&app, &key, &id, "a", first).expect(200);
    app.stop();
    let app = App::over(database);
    let asked = batch(&app, &key, &id, "a", json!({})).expect(200).json();
    assert_eq!(
        (asked["cursor"].as_str(), asked["keys"].as_u64()),
        (Some("k1"), Some(100))
    );
}

fn what_cannot_be_is_refused(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    for (more, status) in [
        (json!({ "cursor": "", "keys": 1 }), 422),
        (json!({ "cursor": "k".repeat(257), "keys": 1 }), 422),
        (json!({ "cursor": "k", "keys": 1, "copied": 2 }), 422),
        (
            json!({ "cursor": "k", "keys": 1, "failed": ["a", "b"] }),
            422,
        ),
        (json!({ "cursor": "k", "keys": 10_001 }), 422),
        (json!({ "cursor": "k", "keys": -1 }), 400),
        (json!({ "instance": "a b" }), 400),
        (json!({ "instance": "" }), 400),
    ] {
        let reply = batch(&app, &key, &id, "a", more.clone());
        assert_eq!(reply.status, status, "{more}: {}", reply.body);
    }
    for batch in [0, 10_001] {
        begin(&app, &key, "b", json!({ "batch": batch })).expect(422);
    }
    assert_eq!(latest(&app)["keys"], 0);
    // Of another environment it knows nothing.
    let other = app.sdk_key("staging");
    let moved = json!({ "cursor": "k1", "keys": 1 });
    assert_eq!(
        batch(&app, &other, &id, "a", moved).expect(200).json()["state"],
        "reset"
    );
    batch(&app, &key, "nonsense", "a", json!({})).expect(404);
    assert_eq!(latest(&app)["keys"], 0);
    batch(&app, "none", &id, "a", json!({})).expect(401);
    let large = json!({ "cursor": "k1", "keys": 1, "more": "x".repeat(300_000) });
    batch(&app, &key, &id, "a", large).expect(413);
}
