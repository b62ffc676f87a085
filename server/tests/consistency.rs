//! Consistency runs: ordered, scheduled, answered; evidence, gates and guards hear of them.

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_result_is_evidence_and_counts_once,
    the_gate_asks_for_all_of_it,
    stores_that_differ_are_halted_and_filled_again,
    a_schedule_asks_once_a_period,
    nobody_takes_a_run,
    a_run_that_confirms_voids_no_approval,
    bad_results_are_refused,
);

fn list(app: &App) -> Value {
    let runs = app
        .get(&at("save", "dev", "consistency"))
        .expect(200)
        .json();
    runs["items"].clone()
}

fn ask(app: &App, kind: &str) -> Reply {
    let body = json!({ "kind": kind, "reason": "test" });
    app.post(Who::OPERATOR, &at("save", "dev", "consistency"), &body)
}

fn gate(app: &App) -> Value {
    let gates = app
        .get(&at("save", "dev", "gates?to=opt_in"))
        .expect(200)
        .json();
    let gates = gates["gates"].as_array().unwrap().clone();
    let found = gates.into_iter().find(|gate| gate["gate"] == "repairs");
    found.unwrap()
}

fn guard(app: &App) -> Value {
    let guards = app.get(&at("save", "dev", "guards")).expect(200).json();
    let guards = guards["guards"].as_array().unwrap().clone();
    let of = |guard: &Value| guard["name"] == "inconsistency";
    guards.into_iter().find(of).unwrap()
}

fn migration(app: &App) {
    app.route_with(
        "save",
        json!({ "operation": "write", "policy": "data_migration" }),
    );
}

fn a_result_is_evidence_and_counts_once(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let key = app.sdk_key("dev");
    for _ in 0..3 {
        app.compared(&key, "save", "sample", (100, 0)).expect(204);
    }
    let runs = list(&app);
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!(runs[0]["origin"], "process");
    assert_eq!(
        (&runs[0]["result"]["clean"], &runs[0]["result"]["verdict"]),
        (&json!(true), &json!("pass"))
    );
    let evidence = app.get(&at("save", "dev", "evidence")).expect(200).json();
    let evidence = &evidence["items"];
    assert_eq!(evidence.as_array().unwrap().len(), 1);
    assert_eq!(evidence[0]["kind"], "consistency");
    assert_eq!(evidence[0]["created_by"], "system");
    assert_eq!(
        evidence[0]["summary"],
        "sample run: 0 of 100 rows compared differ"
    );
    // Under a policy that says nothing, no difference is within limits.
    app.compared(&key, "save", "sample", (100, 1)).expect(204);
    assert_eq!(list(&app)[0]["result"]["verdict"], "fail");
    // Its answer to an order that somebody else has answered too.
    let run = ask(&app, "sample").expect(201).json();
    let result = json!({ "instance": "b", "route": "save", "order": run["id"], "kind": "sample",
                         "generation": 1, "duration_ms": 5, "compared": 100, "differing": 0 });
    for instance in ["b", "c"] {
        let mut result = result.clone();
        result["instance"] = json!(instance);
        app.sdk_post(&key, "consistency", &result).expect(204);
    }
    let runs = list(&app);
    assert_eq!(runs.as_array().unwrap().len(), 3);
    assert_eq!(
        (&runs[0]["result"]["instance"], &runs[0]["by"]),
        (&json!("b"), &json!("otto@example.com"))
    );
    app.assert_audit_intact();
}

fn the_gate_asks_for_all_of_it(engine: Engine) {
    let app = App::start(engine);
    migration(&app);
    let says = |app: &App, state: &str, detail: &str, remedy: &str| {
        let gate = gate(app);
        assert_eq!(gate["state"], state, "{gate}");
        assert!(gate["detail"].as_str().unwrap().contains(detail), "{gate}");
        assert!(gate["remedy"].as_str().unwrap().contains(remedy), "{gate}");
    };
    says(
        &app,
        "fail",
        "not every write is copied",
        "switchover mirror save dev",
    );
    let (id, key) = app.begin_backfill("save", "dev");
    says(
        &app,
        "fail",
        "the backfill is not complete",
        "switchover backfill status save dev",
    );
    let failed =
        json!({ "instance": "a", "cursor": "k", "keys": 2, "failed": ["k"], "complete": true });
    app.sdk_post(&key, &format!("backfills/{id}"), &failed)
        .expect(200);
    says(
        &app,
        "fail",
        "no consistency run was clean",
        "switchover consistency run save dev",
    );
    app.advance(Duration::seconds(30));
    app.compared(&key, "save", "sample", (100, 0)).expect(204);
    says(&app, "pass", "both stores hold the same", "");
    app.advance(Duration::seconds(31));
    says(
        &app,
        "fail",
        "open for more than 60 seconds",
        "switchover repairs list save dev",
    );
    let settle = json!({ "action": "resolve", "keys": ["k"], "reason": "copied by hand" });
    app.post(Who::OPERATOR, &at("save", "dev", "repairs/settle"), &settle)
        .expect(200);
    says(&app, "pass", "both stores", "");
    // A difference that is within the guard's limit is one all the same.
    app.compared(&key, "save", "sample", (1000, 1)).expect(204);
    says(&app, "fail", "no consistency run was clean", "");
    app.advance(Duration::seconds(5));
    app.compared(&key, "save", "checksum", (1000, 0))
        .expect(204);
    says(&app, "pass", "both stores", "");
    // Another share is copied: what was compared before says nothing any more.
    app.copy_writes("save", "dev", 50);
    says(&app, "fail", "not every write is copied", "");
    app.advance(Duration::seconds(5));
    app.copy_writes("save", "dev", 100);
    says(
        &app,
        "fail",
        "the backfill is not complete, no consistency run",
        "",
    );
}

fn stores_that_differ_are_halted_and_filled_again(engine: Engine) {
    let app = App::start(engine);
    migration(&app);
    let key = app.equal_stores("save", "dev");
    assert_eq!(guard(&app)["state"], "pass");
    app.compared(&key, "save", "sample", (100, 1)).expect(204);
    assert_eq!(guard(&app)["state"], "pass");
    assert_eq!(app.rollout("save", "dev")["halted"], false);
    app.compared(&key, "save", "sample", (100, 2)).expect(204);
    let rollout = app.rollout("save", "dev");
    assert_eq!(rollout["halted"], true);
    assert_eq!(rollout["halt"]["by"], "guard:inconsistency");
    assert!(
        rollout["halt"]["reason"]
            .as_str()
            .unwrap()
            .contains("2 of 100 rows compared differ")
    );
    assert_eq!(rollout["stores"]["backfill"]["state"], "reset");
    assert_eq!(
        rollout["stores"]["backfill"]["said"]["by"],
        "guard:inconsistency"
    );
    assert_eq!(guard(&app)["state"], "breach");
    // It is done once, whoever looks again.
    let entries = app.audit_count();
    app.services().tend_comparisons().unwrap();
    assert_eq!(app.audit_count(), entries);
    let (id, _) = app.begin_backfill("save", "dev");
    let end = json!({ "instance": "a", "cursor": "z", "keys": 1, "complete": true });
    app.sdk_post(&key, &format!("backfills/{id}"), &end)
        .expect(200);
    app.advance(Duration::seconds(5));
    app.compared(&key, "save", "sample", (100, 0)).expect(204);
    assert_eq!(guard(&app)["state"], "pass");
    app.advance(Duration::hours(49));
    assert_eq!(guard(&app)["state"], "insufficient");
    app.assert_audit_intact();
}

fn a_schedule_asks_once_a_period(engine: Engine) {
    let app = App::start(engine);
    migration(&app);
    let tend = || {
        for _ in 0..3 {
            app.services().tend_comparisons().unwrap();
        }
        list(&app).as_array().unwrap().len()
    };
    assert_eq!(tend(), 0, "nothing is copied");
    let key = app.equal_stores("save", "dev");
    // By its policy it is daily, from the end of the backfill on. The one of the process stands there too.
    assert_eq!(tend(), 2);
    let run = list(&app)[0].clone();
    assert_eq!(
        (&run["origin"], &run["kind"], &run["sample"]),
        (&json!("schedule"), &json!("sample"), &json!(100))
    );
    let answer = |run: &Value| {
        let result = json!({ "instance": "a", "route": "save", "order": run["id"], "kind": "sample",
                             "generation": 1, "duration_ms": 5, "compared": 100, "differing": 0 });
        app.sdk_post(&key, "consistency", &result).expect(204);
    };
    answer(&run);
    app.advance(Duration::hours(23));
    assert_eq!(tend(), 2);
    app.advance(Duration::hours(1));
    assert_eq!(tend(), 3);
    answer(&list(&app)[0]);
    let hourly = json!({ "every": "hourly", "kind": "checksum", "reason": "test" });
    let path = at("save", "dev", "consistency-schedule");
    app.put(Who::OPERATOR, &path, &hourly).expect(200);
    assert_eq!(tend(), 4);
    assert_eq!(list(&app)[0]["kind"], "checksum");
    // One that still waits is not asked for again.
    app.advance(Duration::minutes(59));
    assert_eq!(tend(), 4);
    app.put(
        Who::OPERATOR,
        &path,
        &json!({ "every": null, "reason": "test" }),
    )
    .expect(200);
    app.advance(Duration::hours(72));
    assert_eq!(tend(), 4);
    assert_eq!(list(&app)[0]["state"], "failed");
    let schedule = app.rollout("save", "dev")["stores"]["consistency_schedule"].clone();
    assert_eq!(
        schedule,
        json!({ "by_policy": false, "every": null, "kind": null, "sample": null })
    );
}

fn nobody_takes_a_run(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let run = ask(&app, "sample").expect(201).json();
    assert_eq!(ask(&app, "sample").expect(201).json()["id"], run["id"]);
    app.advance(Duration::minutes(59));
    app.services().tend_comparisons().unwrap();
    assert_eq!(list(&app)[0]["state"], "waiting");
    app.advance(Duration::minutes(1));
    app.services().tend_comparisons().unwrap();
    let run = &list(&app)[0];
    assert_eq!(run["state"], "failed");
    assert!(run["detail"].as_str().unwrap().contains("no process"));
}

fn a_run_that_confirms_voids_no_approval(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let key = app.sdk_key("dev");
    let body = json!({ "to": "opt_in", "comment": "go" });
    let path = at("save", "dev", "approvals");
    app.post(Who::APPROVER, &path, &body).expect(201);
    let valid = || app.get(&path).expect(200).json()["items"][0]["valid"].clone();
    app.compared(&key, "save", "sample", (100, 0)).expect(204);
    assert_eq!(valid(), true);
    app.compared(&key, "save", "sample", (100, 50)).expect(204);
    assert_eq!(valid(), false);
}

fn bad_results_are_refused(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    app.route("find");
    let key = app.sdk_key("dev");
    app.compared(&key, "save", "sample", (1, 2)).expect(422);
    app.compared(&key, "save", "some", (1, 0)).expect(400);
    app.compared(&key, "find", "sample", (1, 0)).expect(409);
    app.compared(&key, "nothing", "sample", (1, 0)).expect(404);
    app.compared("none", "save", "sample", (1, 0)).expect(401);
    assert_eq!(list(&app), json!([]));
    let path = at("save", "dev", "consistency");
    for sample in [0, 100_001] {
        let body = json!({ "kind": "sample", "sample": sample, "reason": "test" });
        app.post(Who::OPERATOR, &path, &body).expect(422);
    }
    let schedule = at("save", "dev", "consistency-schedule");
    for body in [
        json!({ "every": "weekly", "reason": "test" }),
        json!({ "every": null, "kind": "sample", "reason": "test" }),
        json!({ "every": "daily", "sample": 0, "reason": "test" }),
        json!({ "every": "daily" }),
    ] {
        let reply = app.put(Who::OPERATOR, &schedule, &body);
        assert!(
            (400..=422).contains(&reply.status),
            "{body}: {}",
            reply.body
        );
    }
}
