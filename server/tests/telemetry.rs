//! What callers report is counted once, and durably.

mod evidence;
mod gates;
mod sdk;
mod windows;

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::store::StoreError;

use crate::support::{App, Engine, TestDatabase, Who, eventually, on_both_engines};

on_both_engines!(
    a_batch_is_counted_once,
    nodes_count_together,
    what_was_counted_survives_a_restart,
    nothing_of_a_hostile_batch_is_counted,
    keys_say_where_a_batch_is_from,
    reports_are_forgotten,
    another_epoch_forgets_reports,
);

/// A batch with one route's counts.
pub(crate) fn batch(instance: &str, sequence: u64, calls: u64, errors: u64) -> Value {
    json!({
        "sequence": sequence,
        "instance": instance_of(instance),
        "interval_ms": 5_000,
        "counts": [counts("a", "new", calls, errors)],
    })
}

pub(crate) fn instance_of(id: &str) -> Value {
    json!({
        "id": id,
        "name": format!("web-{id}"),
        "application": "web",
        "version": "1.0",
        "sdk": "rust/0.1.0",
    })
}

pub(crate) fn counts(route: &str, path: &str, calls: u64, errors: u64) -> Value {
    json!({
        "route": route,
        "path": path,
        "role": "authoritative",
        "calls": calls,
        "errors": errors,
        "latency": [[620, calls]],
    })
}

impl App {
    pub(crate) fn report(&self, key: &str, batch: &Value) -> u16 {
        self.request("POST", "/sdk/v1/telemetry")
            .bearer(key)
            .json(batch)
            .send()
            .status
    }

    /// Calls and errors of the reports that are kept, in their order.
    fn reported(&self) -> Vec<(String, u64, u64)> {
        let telemetry = self.services().telemetry();
        let reports = telemetry
            .read::<_, StoreError>(|tx| tx.reports_after(0, 10_000))
            .unwrap();
        assert!(
            reports
                .windows(2)
                .all(|two| two[0].position < two[1].position)
        );
        reports
            .into_iter()
            .map(|report| {
                let environment = report.environment.to_string();
                (environment, report.counts.calls, report.counts.errors)
            })
            .collect()
    }

    fn calls(&self) -> u64 {
        self.reported().iter().map(|(_, calls, _)| calls).sum()
    }
}

fn a_batch_is_counted_once(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    for sequence in [1, 3, 2, 1, 3, 2, 5, 5, 4] {
        assert_eq!(
            app.report(&key, &batch("i", sequence, 10 * sequence, 1)),
            204
        );
    }
    let reported = app.reported();
    let calls: Vec<u64> = reported.iter().map(|(_, calls, _)| *calls).collect();
    assert_eq!(calls, [10, 30, 20, 50, 40]);
    assert!(
        reported
            .iter()
            .all(|(environment, ..)| environment == "dev")
    );
    // Another instance counts for itself.
    assert_eq!(app.report(&key, &batch("j", 1, 7, 0)), 204);
    assert_eq!(app.calls(), 157);
}

fn nodes_count_together(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine));
    let nodes = [
        App::over(Arc::clone(&database)),
        App::over(Arc::clone(&database)),
    ];
    nodes[0].route("a");
    let key = nodes[0].sdk_key("dev");
    for node in &nodes {
        eventually(
            "both nodes know the route",
            std::time::Duration::from_secs(5),
            || {
                node.services().catch_up().unwrap();
                (node.snapshot(&key).status == 200 && node.snapshot(&key).body.contains("\"a\""))
                    .then_some(())
            },
        );
    }
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (nodes, key) = (&nodes, &key);
            scope.spawn(move || {
                for sequence in 1..=10 {
                    let batch = batch(&format!("i{}", worker / 2), sequence, 1, 0);
                    // Each batch goes to both nodes, and once more.
                    for node in [worker % 2, 1 - worker % 2, worker % 2] {
                        assert_eq!(nodes[node].report(key, &batch), 204);
                    }
                }
            });
        }
    });
    for node in &nodes {
        assert_eq!(node.calls(), 40);
        let path = crate::support::at("a", "dev", "telemetry");
        let found = node.get(&path).expect(200).json();
        assert_eq!(found["totals"]["new"]["calls"], 40);
    }
}

fn what_was_counted_survives_a_restart(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine));
    let app = App::over(Arc::clone(&database));
    app.route("a");
    let key = app.sdk_key("dev");
    assert_eq!(app.report(&key, &batch("i", 1, 10, 1)), 204);
    app.stop();
    let app = App::over(database);
    assert_eq!(app.report(&key, &batch("i", 1, 10, 1)), 204);
    assert_eq!(app.report(&key, &batch("i", 2, 5, 0)), 204);
    assert_eq!(app.calls(), 15);
}

fn nothing_of_a_hostile_batch_is_counted(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut batch = batch("i", 1, 10, 1);
        change(&mut batch);
        batch
    };
    let hostile = [
        with(&|batch| batch["counts"][0]["calls"] = json!(-1)),
        with(&|batch| batch["counts"][0]["errors"] = json!(11)),
        with(&|batch| batch["counts"][0]["calls"] = json!(u64::MAX)),
        with(&|batch| batch["counts"][0]["latency"] = json!([[620, 9]])),
        with(&|batch| batch["counts"][0]["latency"] = json!([[5_000, 10]])),
        with(&|batch| batch["counts"][0]["latency"] = json!([[9, 5], [8, 5]])),
        with(&|batch| batch["counts"][0]["latency"] = json!([[620, 1e300]])),
        with(&|batch| batch["counts"][0]["mismatches"] = json!(1)),
        with(&|batch| batch["counts"][0]["route"] = json!("A B")),
        with(&|batch| batch["counts"] = json!([batch["counts"][0], batch["counts"][0]])),
        with(&|batch| batch["sequence"] = json!(0)),
        with(&|batch| batch["sequence"] = json!(u64::MAX)),
        with(&|batch| batch["age_ms"] = json!(-1)),
        with(&|batch| batch["instance"]["id"] = json!("a\u{0}b")),
        with(&|batch| batch["instance"]["name"] = json!("x".repeat(101))),
        with(&|batch| batch["instance"]["snapshot"] = json!("no version")),
        json!([]),
        json!({}),
    ];
    for batch in &hostile {
        let reply = app
            .request("POST", "/sdk/v1/telemetry")
            .bearer(&key)
            .json(batch)
            .send();
        assert_eq!(reply.code(400), "malformed_request", "{batch}");
    }
    let send = |body: Vec<u8>| {
        app.request("POST", "/sdk/v1/telemetry")
            .bearer(&key)
            .header("content-type", "application/json")
            .body(body)
            .try_send()
    };
    assert_eq!(
        send(b"nonsense".to_vec()).unwrap().code(400),
        "malformed_request"
    );
    // A sender that goes on after the answer may lose it.
    if let Ok(reply) = send(vec![b' '; 10 * 1024 * 1024]) {
        assert_eq!(reply.code(413), "payload_too_large");
    }
    assert_eq!(app.reported(), []);
    // What a newer SDK says besides is not understood, and no harm; routes of others are not counted.
    let newer = with(&|batch| {
        batch["more"] = json!(1);
        batch["counts"][0]["more"] = json!({ "deep": [] });
        let unknown = counts("unknown", "new", 3, 3);
        batch["counts"].as_array_mut().unwrap().push(unknown);
    });
    assert_eq!(app.report(&key, &newer), 204);
    assert_eq!(app.reported(), [("dev".to_owned(), 10, 1)]);
}

fn keys_say_where_a_batch_is_from(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let (dev, staging) = (app.sdk_key("dev"), app.sdk_key("staging"));
    assert_eq!(app.report(&staging, &batch("i", 1, 10, 1)), 204);
    assert_eq!(app.report(&dev, &batch("i", 1, 20, 1)), 204);
    assert_eq!(
        app.reported(),
        [("staging".to_owned(), 10, 1), ("dev".to_owned(), 20, 1)]
    );
    let keys = app.request("GET", "sdk-keys").by(Who::ADMIN).send().json();
    for key in keys["items"].as_array().unwrap() {
        let path = format!("sdk-keys/{}?reason=test", key["id"].as_str().unwrap());
        let revoked = app.request("DELETE", &path).by(Who::ADMIN).send();
        assert!(revoked.status < 300, "{}", revoked.body);
    }
    for key in [&*dev, &staging, "unknown", &Who::ADMIN.token()] {
        assert_eq!(app.report(key, &batch("i", 2, 10, 1)), 401);
    }
    assert_eq!(app.calls(), 30);
}

fn reports_are_forgotten(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    assert_eq!(app.report(&key, &batch("i", 1, 10, 1)), 204);
    app.advance(Duration::minutes(14));
    assert_eq!(app.report(&key, &batch("i", 2, 20, 1)), 204);
    app.advance(Duration::minutes(2));
    assert_eq!(app.report(&key, &batch("i", 3, 30, 1)), 204);
    eventually(
        "the first is forgotten",
        std::time::Duration::from_secs(5),
        || (app.calls() == 50).then_some(()),
    );
    // What is forgotten is not counted again.
    assert_eq!(app.report(&key, &batch("i", 1, 10, 1)), 204);
    assert_eq!(app.calls(), 50);
}

/// Revisions of a restored database begin below those that were reported.
fn another_epoch_forgets_reports(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let epoch = app.services().epoch().unwrap();
    let of = |sequence: u64, snapshot: String| {
        let mut batch = batch("i", sequence, 10, 0);
        batch["instance"]["snapshot"] = json!(snapshot);
        batch["counts"][0]["revision"] = json!(7);
        batch
    };
    let revisions = || -> Vec<u64> {
        let telemetry = app.services().telemetry();
        let reports = telemetry.read::<_, StoreError>(|tx| tx.reports_after(0, 10));
        let reports = reports.unwrap().into_iter();
        reports.map(|report| report.counts.revision).collect()
    };
    assert_eq!(app.report(&key, &of(1, format!("{epoch}.9"))), 204);
    assert_eq!(app.report(&key, &of(2, "other.9".to_owned())), 204);
    assert_eq!(app.report(&key, &of(3, format!("{epoch}.6"))), 204);
    assert_eq!(revisions(), [7, 0, 0]);
    let telemetry = app.services().telemetry();
    telemetry
        .write::<_, StoreError>(|tx| tx.follow_epoch("another"))
        .unwrap();
    assert_eq!(revisions(), [0_u64; 0]);
    assert_eq!(app.report(&key, &of(3, format!("{epoch}.9"))), 204);
    assert_eq!(app.report(&key, &of(4, format!("{epoch}.9"))), 204);
    assert_eq!(revisions(), [7]);
}

/// Two thousand instances at once: more than wait for one commit, and none is lost or doubled.
#[test]
fn many_instances_report_at_once() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let key = app.sdk_key("dev");
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (app, key) = (&app, &key);
            scope.spawn(move || {
                for number in 0..125 {
                    let batch = batch(&format!("i{worker}-{number}"), 1, 1, 0);
                    while app.report(key, &batch) != 204 {
                        std::thread::sleep(std::time::Duration::from_millis(50));
                    }
                }
            });
        }
    });
    assert_eq!(app.calls(), 2_000);
}
