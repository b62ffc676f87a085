//! The ledger of repairs: told by processes, tried in the place of those that are gone, settled by people.

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    what_is_told_again_changes_nothing,
    people_have_them_tried_and_settle_them,
    who_is_gone_is_stood_in_for,
    a_spool_that_is_taken_over,
    a_full_ledger_is_no_ledger,
    doubts_end_with_a_backfill_and_checksums,
    a_run_is_handed_to_one_process,
    in_production_a_maintainer_settles,
    pages_and_bad_input,
);

/// What a process says of the route; its first order.
fn say(app: &App, key: &str, instance: &str, more: Value) -> Value {
    let mut route = json!({ "route": "save" });
    let fields = route.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let body = json!({ "instance": instance, "name": instance, "routes": [route] });
    let answer = app.sdk_post(key, "writers", &body).expect(200).json();
    answer["orders"][0].clone()
}

fn bye(app: &App, key: &str, instance: &str) {
    let body = json!({ "instance": instance, "name": instance, "routes": [], "ends": true });
    app.sdk_post(key, "writers", &body).expect(200);
}

fn repair(key: &str, state: &str, attempts: u32) -> Value {
    json!({ "key": key, "written": "old", "generation": 1, "cause": "failed", "state": state,
            "attempts": attempts, "failed_at": "save_new", "age_ms": 2000 })
}

fn told(app: &App, key: &str, instance: &str, repairs: &[Value]) -> Value {
    say(app, key, instance, json!({ "repairs": repairs }))
}

fn list(app: &App, state: &str) -> Vec<Value> {
    let path = at("save", "dev", &format!("repairs?state={state}"));
    let page = app.get(&path).expect(200).json();
    page["items"].as_array().unwrap().clone()
}

fn settle(app: &App, who: Who, environment: &str, body: Value) -> Reply {
    let mut body = body;
    body["reason"] = json!("test");
    app.post(who, &at("save", environment, "repairs/settle"), &body)
}

fn keys(order: &Value) -> Vec<&str> {
    let repairs = order["repairs"].as_array();
    let keys = repairs.into_iter().flatten();
    keys.map(|repair| repair["key"].as_str().unwrap()).collect()
}

fn stores(app: &App) -> Value {
    app.rollout("save", "dev")["stores"].clone()
}

fn started(engine: Engine) -> (App, String) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let key = app.sdk_key("dev");
    (app, key)
}

fn what_is_told_again_changes_nothing(engine: Engine) {
    let (app, key) = started(engine);
    for _ in 0..3 {
        let order = told(
            &app,
            &key,
            "a",
            &[repair("k1", "open", 1), repair("k2", "open", 1)],
        );
        assert_eq!(order, Value::Null);
    }
    let open = list(&app, "open");
    assert_eq!(open.len(), 2);
    assert_eq!(
        (&open[0]["key"], &open[0]["instance"]),
        (&json!("k1"), &json!("a"))
    );
    assert_eq!(open[0]["failed_at"], "save_new");
    assert_eq!(open[0]["first_at"], "2026-01-05T09:59:58Z");
    // The same key of another process is another repair.
    told(&app, &key, "b", &[repair("k1", "open", 1)]);
    told(
        &app,
        &key,
        "a",
        &[repair("k1", "resolved", 2), repair("k2", "failed", 20)],
    );
    let seen = stores(&app);
    assert_eq!(
        (&seen["open_repairs"], &seen["failed_repairs"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(list(&app, "resolved")[0]["settled"]["by"], "a");
    app.advance(Duration::days(8));
    app.services().forget_old_repairs().unwrap();
    assert_eq!(list(&app, "resolved").len(), 0);
    assert_eq!(list(&app, "failed").len(), 1);
    assert!(stores(&app)["oldest_repair_seconds"].as_u64() > Some(600_000));
}

fn people_have_them_tried_and_settle_them(engine: Engine) {
    let (app, key) = started(engine);
    let all = [
        repair("k1", "failed", 20),
        repair("k2", "conflict", 3),
        repair("k3", "open", 1),
    ];
    told(&app, &key, "a", &all);
    let body = json!({ "action": "retry", "keys": ["k1", "k9"] });
    let done = settle(&app, Who::OPERATOR, "dev", body).expect(200).json();
    assert_eq!(done, json!({ "repairs": 1, "unknown": 1 }));
    // It is asked until it says what came of it.
    for _ in 0..2 {
        assert_eq!(keys(&say(&app, &key, "a", json!({}))), ["k1"]);
    }
    told(&app, &key, "a", &[repair("k1", "resolved", 21)]);
    assert_eq!(say(&app, &key, "a", json!({})), Value::Null);

    let body = json!({ "action": "resolve", "keys": ["k2"] });
    settle(&app, Who::OPERATOR, "dev", body).expect(200);
    assert_eq!(say(&app, &key, "a", json!({}))["settled"], json!(["k2"]));
    // What it says before it knows reopens nothing.
    app.advance(Duration::seconds(1));
    let mut late = repair("k2", "conflict", 4);
    late["age_ms"] = json!(3_000);
    told(&app, &key, "a", &[late]);
    assert_eq!(list(&app, "conflict").len(), 0);
    let settled = list(&app, "resolved");
    let of_k2 = settled.iter().find(|repair| repair["key"] == "k2").unwrap();
    assert_eq!(of_k2["settled"]["by"], "otto@example.com");
    told(&app, &key, "a", &[repair("k2", "resolved", 4)]);
    assert_eq!(say(&app, &key, "a", json!({})), Value::Null);
    // A later write of that key is another repair.
    app.advance(Duration::seconds(60));
    told(&app, &key, "a", &[repair("k2", "open", 1)]);
    assert_eq!(list(&app, "open").len(), 2);
    let body = json!({ "action": "resolve", "all": true });
    assert_eq!(
        settle(&app, Who::OPERATOR, "dev", body).expect(200).json()["repairs"],
        2
    );
    let history = app.get("routes/save/history").expect(200).body;
    assert!(history.contains("repairs_retry") && history.contains("repairs_resolve"));
    app.assert_audit_intact();
}

fn who_is_gone_is_stood_in_for(engine: Engine) {
    let (app, key) = started(engine);
    told(
        &app,
        &key,
        "a",
        &[repair("k1", "open", 1), repair("k2", "failed", 20)],
    );
    say(&app, &key, "b", json!({}));
    assert_eq!(
        say(&app, &key, "b", json!({})),
        Value::Null,
        "who has them is there"
    );
    bye(&app, &key, "a");
    assert_eq!(keys(&say(&app, &key, "b", json!({}))), ["k1"]);
    assert_eq!(
        say(&app, &key, "c", json!({})),
        Value::Null,
        "one at a time"
    );
    app.advance(Duration::seconds(30));
    assert_eq!(keys(&say(&app, &key, "c", json!({}))), ["k1"]);
    told(&app, &key, "c", &[repair("k1", "open", 2)]);
    let open = list(&app, "open");
    assert_eq!(open.len(), 1);
    assert_eq!(
        (&open[0]["instance"], &open[0]["first_at"]),
        (&json!("c"), &json!("2026-01-05T09:59:58Z"))
    );
    // One that was given up is tried when a person says so, by who is there.
    settle(
        &app,
        Who::OPERATOR,
        "dev",
        json!({ "action": "retry", "keys": ["k2"] }),
    )
    .expect(200);
    assert_eq!(keys(&say(&app, &key, "b", json!({}))), ["k2"]);
    told(&app, &key, "b", &[repair("k2", "resolved", 1)]);
    assert_eq!(list(&app, "failed").len(), 0);
    // Keys that a backfill could not copy have no process yet.
    let (id, _) = app.begin_backfill("save", "dev");
    let failed =
        json!({ "instance": "a", "cursor": "z", "keys": 1, "failed": ["k7"], "complete": true });
    app.sdk_post(&key, &format!("backfills/{id}"), &failed)
        .expect(200);
    let order = say(&app, &key, "b", json!({}));
    assert_eq!(keys(&order), ["k7"]);
    assert_eq!(order["repairs"][0]["cause"], "backfill");
}

fn a_spool_that_is_taken_over(engine: Engine) {
    let (app, key) = started(engine);
    told(
        &app,
        &key,
        "a",
        &[repair("k1", "open", 1), repair("k2", "open", 1)],
    );
    let gone = at("save", "dev", "writers/a/gone");
    app.advance(Duration::seconds(16));
    app.post(
        Who::MAINTAINER,
        &gone,
        &json!({ "reason": "the machine is off" }),
    )
    .expect(200);
    assert_eq!(stores(&app)["unverified"][0]["why"], "writer_gone");
    let mine = [repair("k1", "open", 1)];
    say(
        &app,
        &key,
        "b",
        json!({ "adopted": ["a"], "repairs": mine }),
    );
    let open = list(&app, "open");
    assert!(open.iter().all(|repair| repair["instance"] == "b"));
    assert_eq!(open.len(), 2);
    assert_eq!(stores(&app)["unverified"], json!([]));
    // Nobody waits for the one that is gone.
    let writers = app.get(&at("save", "dev", "writers")).expect(200).json();
    let writers = writers["items"].as_array().unwrap().clone();
    assert_eq!(writers.len(), 1);
    assert_eq!(writers[0]["instance"], "b");
    // Of what was not in the spool it is told.
    assert!(keys(&say(&app, &key, "b", json!({}))).contains(&"k2"));
}

fn a_full_ledger_is_no_ledger(engine: Engine) {
    let (app, key) = started(engine);
    for part in 0..51 {
        let all: Vec<Value> = (0..200)
            .map(|number| repair(&format!("k{part}-{number}"), "open", 1))
            .collect();
        told(&app, &key, "a", &all);
    }
    let seen = stores(&app);
    assert_eq!(seen["open_repairs"], 10_000);
    assert_eq!(seen["unverified"][0]["why"], "ledger_full");
    assert_eq!(seen["unverified"][0]["by"], "system");
    // Those that are there can still be resolved.
    told(&app, &key, "a", &[repair("k0-0", "resolved", 2)]);
    assert_eq!(stores(&app)["open_repairs"], 9_999);
}

fn doubts_end_with_a_backfill_and_checksums(engine: Engine) {
    let (app, key) = started(engine);
    app.equal_stores("save", "dev");
    let full = json!({ "unverified": "spool_full" });
    say(&app, &key, "a", full.clone());
    assert_eq!(
        stores(&app)["unverified"][0],
        json!({ "why": "spool_full", "since": "2026-01-05T10:00:10Z", "by": "a" })
    );
    app.advance(Duration::seconds(10));
    app.compared(&key, "save", "checksum", (20, 0)).expect(204);
    assert_eq!(
        stores(&app)["unverified"][0]["why"],
        "spool_full",
        "no backfill since"
    );
    say(&app, &key, "a", full.clone());
    // A complete backfill from before is no proof, so another begins.
    let (id, _) = app.begin_backfill("save", "dev");
    let end = json!({ "instance": "a", "cursor": "z", "keys": 10, "complete": true });
    app.sdk_post(&key, &format!("backfills/{id}"), &end)
        .expect(200);
    assert_eq!(
        stores(&app)["unverified"],
        json!([]),
        "the checksums were taken since"
    );
    let order = say(&app, &key, "a", full.clone());
    assert_eq!(order["verified"], true);
    assert_eq!(stores(&app)["unverified"], json!([]));
    assert_eq!(say(&app, &key, "a", json!({})), Value::Null);
    app.advance(Duration::seconds(1));
    say(&app, &key, "a", full);
    assert_eq!(stores(&app)["unverified"][0]["why"], "spool_full", "again");
    assert!(
        app.get("routes/save/history")
            .expect(200)
            .body
            .contains("stores_verified")
    );
}

fn a_run_is_handed_to_one_process(engine: Engine) {
    let (app, key) = started(engine);
    let ask = json!({ "kind": "sample", "sample": 7, "reason": "test" });
    let run = app
        .post(Who::OPERATOR, &at("save", "dev", "consistency"), &ask)
        .expect(201)
        .json();
    let order = say(&app, &key, "a", json!({}));
    assert_eq!(
        order["consistency"],
        json!({ "id": run["id"], "kind": "sample", "sample": 7 })
    );
    assert_eq!(say(&app, &key, "b", json!({})), Value::Null);
    app.advance(Duration::seconds(60));
    assert_eq!(
        say(&app, &key, "b", json!({}))["consistency"]["id"],
        run["id"]
    );
    app.advance(Duration::seconds(60));
    assert_eq!(say(&app, &key, "a", json!({})), Value::Null);
    let runs = app
        .get(&at("save", "dev", "consistency"))
        .expect(200)
        .json();
    assert_eq!(runs["items"][0]["state"], "failed");
    let late = json!({ "instance": "a", "route": "save", "order": run["id"], "kind": "sample",
                       "generation": 1, "duration_ms": 90000, "compared": 7, "differing": 0 });
    app.sdk_post(&key, "consistency", &late).expect(204);
    let runs = app
        .get(&at("save", "dev", "consistency"))
        .expect(200)
        .json();
    assert_eq!(runs["items"][0]["state"], "done");
}

fn in_production_a_maintainer_settles(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "production");
    let body = json!({ "action": "resolve", "keys": ["k1"] });
    let refused = settle(&app, Who::OPERATOR, "production", body.clone()).problem(403);
    assert_eq!(refused["needs"], "maintainer");
    settle(&app, Who::MAINTAINER, "production", body).expect(200);
    let body = json!({ "action": "retry", "all": true });
    settle(&app, Who::OPERATOR, "production", body).expect(200);
}

fn pages_and_bad_input(engine: Engine) {
    let (app, key) = started(engine);
    let awkward = ["a", "a\u{0}b", "\u{1}", "ä/ö", "k 1", "\u{1F600}", "zz"];
    let all: Vec<Value> = awkward.iter().map(|key| repair(key, "open", 1)).collect();
    told(&app, &key, "a", &all);
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = at("save", "dev", &format!("repairs?limit=2{cursor}"));
        let page = app.get(&path).expect(200).json();
        for repair in page["items"].as_array().unwrap() {
            found.push(repair["key"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found.sort();
    let mut expected = awkward.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    let body = json!({ "action": "resolve", "keys": ["a\u{0}b"] });
    assert_eq!(
        settle(&app, Who::OPERATOR, "dev", body).expect(200).json()["repairs"],
        1
    );
    for body in [
        json!({ "action": "resolve" }),
        json!({ "action": "resolve", "all": false }),
        json!({ "action": "resolve", "all": true, "keys": ["a"] }),
        json!({ "action": "resolve", "keys": [] }),
        json!({ "action": "resolve", "keys": [""] }),
        json!({ "action": "forget", "all": true }),
    ] {
        let reply = settle(&app, Who::OPERATOR, "dev", body.clone());
        assert!([400, 422].contains(&reply.status), "{body}: {}", reply.body);
    }
    app.get(&at("save", "dev", "repairs?cursor=nonsense"))
        .expect(400);
    app.get(&at("save", "dev", "repairs?state=some"))
        .expect(400);
    app.route("find");
    app.get(&at("find", "dev", "repairs")).expect(409);
}
