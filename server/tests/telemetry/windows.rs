//! What was counted, by windows of time.

use chrono::Duration;
use serde_json::{Value, json};

use super::{batch, counts, instance_of};
use crate::support::{App, Engine, Who, at, eventually, on_both_engines};

on_both_engines!(
    both_paths_stand_side_by_side,
    the_server_s_clock_is_the_only_one,
    windows_are_kept_as_long_as_they_say,
    spans_that_cannot_be_are_refused,
);

impl App {
    fn telemetry(&self, query: &str) -> Value {
        let path = at("a", "dev", "telemetry");
        self.get(&format!("{path}{query}")).expect(200).json()
    }

    fn new_calls(&self, query: &str) -> u64 {
        let totals = &self.telemetry(query)["totals"]["new"];
        totals["calls"].as_u64().unwrap_or(0)
    }
}

fn both_paths_stand_side_by_side(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let empty = app.telemetry("");
    assert_eq!(empty["points"], json!([]));
    assert_eq!(empty["totals"]["new"], Value::Null);
    for instance in ["i", "j"] {
        let mut mirror = counts("a", "new", 5, 5);
        mirror["role"] = json!("mirror");
        let mut new = counts("a", "new", 10, 1);
        new["panics"] = json!(1);
        new["comparisons"] = json!(4);
        new["mismatches"] = json!(1);
        new["slow"] = json!([{ "limit_ms": 500, "trials": 10, "violations": 2 }]);
        let batch = json!({
            "sequence": 1,
            "instance": instance_of(instance),
            "counts": [counts("a", "old", 100, 0), new, mirror],
        });
        assert_eq!(app.report(&key, &batch), 204);
    }
    app.advance(Duration::seconds(30));
    assert_eq!(app.report(&key, &batch("i", 2, 10, 0)), 204);
    let found = app.telemetry("");
    assert_eq!(found["step_seconds"], 10);
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!(points[0]["at"], "2026-01-05T10:00:00Z");
    assert_eq!(points[1]["at"], "2026-01-05T10:00:30Z");
    assert_eq!(points[0]["new"]["calls"], 20);
    assert_eq!(points[1]["new"]["calls"], 10);
    assert_eq!(points[1]["old"], Value::Null);
    let new = &found["totals"]["new"];
    assert_eq!((&new["calls"], &new["errors"]), (&json!(30), &json!(2)));
    assert_eq!(
        (&new["panics"], &new["comparisons"]),
        (&json!(2), &json!(8))
    );
    let rate = new["error_rate"].as_f64().unwrap();
    assert!((rate - 4.0 / 30.0).abs() < 1e-9, "{rate}");
    let slow = json!([{ "limit_ms": 500, "calls": 20, "slow": 4 }]);
    assert_eq!(new["slow"], slow);
    let p99 = new["p99_ms"].as_f64().unwrap();
    assert!(p99 > 5.0 && p99 < 20.0, "{p99}");
    assert_eq!(found["totals"]["old"]["calls"], 200);
    assert_eq!(found["totals"]["new_mirror"]["errors"], 10);
    assert_eq!(found["totals"]["old_mirror"], Value::Null);
    // Another environment's callers are not among them.
    let staging = app.get(&at("a", "staging", "telemetry")).expect(200).json();
    assert_eq!(staging["points"], json!([]));
    let coarse = app.telemetry("?last=600&step=60");
    assert_eq!(coarse["points"].as_array().unwrap().len(), 1);
    assert_eq!(coarse["totals"], found["totals"]);
}

/// An instance whose clock is a year off says nothing of it, and what it says of ages is bounded.
fn the_server_s_clock_is_the_only_one(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    for (sequence, age) in [(1, 0), (2, 120_000), (3, u64::MAX)] {
        let mut batch = batch("i", sequence, 10, 0);
        batch["age_ms"] = json!(age);
        batch["at"] = json!("2031-01-01T00:00:00Z");
        assert_eq!(app.report(&key, &batch), 204);
    }
    assert_eq!(app.new_calls("?last=60"), 10);
    assert_eq!(app.new_calls("?last=300"), 20);
    assert_eq!(app.new_calls("?last=4200&step=60"), 30);
    let all = app.telemetry("?from=2026-01-05T08:00:00Z&step=60");
    let points = all["points"].as_array().unwrap();
    let begins: Vec<&str> = points.iter().map(|at| at["at"].as_str().unwrap()).collect();
    assert_eq!(
        begins,
        [
            "2026-01-05T09:00:00Z",
            "2026-01-05T09:58:00Z",
            "2026-01-05T10:00:00Z"
        ]
    );
}

fn windows_are_kept_as_long_as_they_say(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let windows = || {
        let sql = "SELECT CAST(seconds AS TEXT) AS value FROM windows \
                   WHERE seconds > 0 ORDER BY seconds, starts_at";
        app.database().telemetry_texts(sql)
    };
    assert_eq!(app.report(&key, &batch("i", 1, 10, 0)), 204);
    assert_eq!(windows(), ["10", "60"]);
    app.advance(Duration::minutes(61));
    let soon = std::time::Duration::from_secs(5);
    eventually("windows of ten seconds are forgotten", soon, || {
        (windows() == ["60"]).then_some(())
    });
    assert_eq!(app.new_calls("?from=2026-01-05T09:00:00Z"), 10);
    app.advance(Duration::days(30));
    eventually("windows of a minute are forgotten", soon, || {
        windows().is_empty().then_some(())
    });
    assert_eq!(app.new_calls("?from=2026-01-05T09:00:00Z"), 0);
}

fn spans_that_cannot_be_are_refused(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let path = at("a", "dev", "telemetry");
    for (query, status) in [
        ("step=1", 422),
        ("step=15", 422),
        ("last=36000&step=10", 422),
        ("last=360000&step=60", 422),
        ("from=2026-01-05T10:00:00Z&to=2026-01-05T10:00:00Z", 422),
        ("from=2026-01-05T11:00:00Z&to=2026-01-05T10:00:00Z", 422),
        ("last=0", 422),
        ("last=60&from=2026-01-05T10:00:00Z", 400),
        ("step=-10", 400),
        ("from=yesterday", 400),
        ("since=60", 400),
    ] {
        let reply = app.get(&format!("{path}?{query}"));
        assert_eq!(reply.status, status, "{query}: {}", reply.body);
        reply.problem(status);
    }
    for path in [
        at("unknown", "dev", "telemetry"),
        at("a", "unknown", "telemetry"),
    ] {
        assert_eq!(app.get(&path).code(404), "not_found");
    }
    // The longest span in the longest answer.
    app.get(&format!("{path}?last=2592000&step=3600"))
        .expect(200);
    app.request("GET", &path).by(Who::VIEWER).send().expect(200);
}
