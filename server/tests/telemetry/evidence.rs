//! Evidence is drawn from what callers reported.

use std::io::{BufRead as _, BufReader};

use chrono::Duration;
use serde_json::{Value, json};

use super::{counts, instance_of};
use crate::support::{App, Engine, Place, Reply, Who, at, on_both_engines};

on_both_engines!(
    both_paths_and_what_instances_used_are_drawn,
    nothing_is_not_drawn
);

const MIB: u64 = 1024 * 1024;

fn used(sequence: u64, cpu_ms: u64, memory: u64, new: u64) -> Value {
    let mut instance = instance_of("i");
    instance["cpu_ms"] = json!(cpu_ms);
    instance["memory_bytes"] = json!(memory * MIB);
    let mut counted = vec![counts("a", "old", 100, 1)];
    if new > 0 {
        counted.push(counts("a", "new", new, 0));
    }
    json!({ "sequence": sequence, "instance": instance, "counts": counted })
}

fn evidence(app: &App, telemetry: Value) -> Reply {
    let body = json!({ "kind": "resources", "verdict": "pass", "telemetry": telemetry });
    app.post(Who::OPERATOR, &at("a", "production", "evidence"), &body)
}

fn open_window(app: &App) {
    let body = json!({ "until": "2026-01-05T18:00:00Z", "percent": 5, "reason": "test" });
    app.post(Who::MAINTAINER, &at("a", "production", "acceptance"), &body)
        .expect(201);
}

fn both_paths_and_what_instances_used_are_drawn(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("production");
    for minute in 0..4 {
        assert_eq!(
            app.report(&key, &used(minute + 1, 100 * minute, 50, 0)),
            204
        );
        app.advance(Duration::minutes(1));
    }
    open_window(&app);
    for minute in 4..8 {
        assert_eq!(
            app.report(
                &key,
                &used(minute + 1, 400 + 200 * (minute - 3), 60 + minute, 10)
            ),
            204
        );
        app.advance(Duration::minutes(1));
    }
    let given = evidence(&app, json!({})).expect(201).json();
    let summary = given["summary"].as_str().unwrap();
    for part in [
        "reported from 2026-01-05T10:04:00Z to 2026-01-05T10:08:00Z",
        "old path: 400 calls, 1.00 % failed, p50 ",
        "new path: 40 calls, 0.00 % failed",
        "CPU of an instance in a minute 75 ms before, 225 ms during",
        "memory of an instance 50 MiB (at most 50 MiB) before, 65 MiB (at most 67 MiB) during",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    // What somebody says stands before it, and a time can be named.
    let body = json!({
        "kind": "performance", "verdict": "pass", "summary": "as fast",
        "telemetry": { "from": "2026-01-05T10:06:00Z", "until": "2026-01-05T10:07:30Z" },
    });
    let path = at("a", "production", "evidence");
    let given = app.post(Who::OPERATOR, &path, &body).expect(201).json();
    let summary = given["summary"].as_str().unwrap();
    assert!(summary.starts_with("as fast; reported from"), "{summary}");
    assert!(summary.contains("new path: 20 calls"), "{summary}");
    app.assert_audit_intact();
    commands_draw_it(&app);
}

fn commands_draw_it(app: &App) {
    let place = Place::new();
    let url = format!("--url=http://{}", app.address());
    let token = format!("--token={}", Who::OPERATOR.token());
    let add = [
        "evidence",
        "add",
        "a",
        "production",
        "--kind=error_rate",
        "--verdict=pass",
    ];
    let said = place.well(&[&add[..], &["--from-telemetry", &url, &token]].concat());
    assert!(said.contains("is on record as pass"), "{said}");
    assert!(said.contains("new path: 40 calls"), "{said}");
    let shown = place.well(&["telemetry", "a", "production", &url, &token]);
    for part in ["a in production", "old", "new", "800", "40", "p99"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Where there is no terminal, a live view is a line a second.
    let live = [
        "telemetry",
        "a",
        "production",
        "--live",
        "--since=30m",
        &url,
        &token,
    ];
    let mut live = place.begin(&live);
    let said: Vec<String> = BufReader::new(live.stdout.take().unwrap())
        .lines()
        .take(2)
        .collect::<Result<_, _>>()
        .unwrap();
    live.kill().unwrap();
    live.wait().unwrap();
    for line in said {
        assert!(line.contains("old: 800 calls, 8 failed"), "{line}");
        assert!(line.contains("new: 40 calls, 0 failed"), "{line}");
    }
    let refused = place.run(&[&add[..], &[&url, &token]].concat());
    assert!(refused.err.contains("--summary"), "{}", refused.err);
}

fn nothing_is_not_drawn(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("production");
    let refused = evidence(&app, json!({})).problem(422);
    assert_eq!(refused["errors"][0]["field"], "telemetry.from");
    open_window(&app);
    app.advance(Duration::minutes(1));
    assert_eq!(evidence(&app, json!({})).code(409), "conflict");
    // The old path alone proves nothing of the new one.
    assert_eq!(app.report(&key, &used(1, 1, 1, 0)), 204);
    assert_eq!(evidence(&app, json!({})).code(409), "conflict");
    let ahead = json!({ "from": "2026-01-06T00:00:00Z" });
    assert_eq!(evidence(&app, ahead).code(422), "invalid");
    let nothing_said = json!({ "kind": "other", "verdict": "pass" });
    let path = at("a", "production", "evidence");
    let refused = app.post(Who::OPERATOR, &path, &nothing_said);
    assert_eq!(refused.code(422), "invalid");
    assert_eq!(app.get(&path).json()["items"], json!([]));
    assert_eq!(app.report(&key, &used(2, 1, 1, 1)), 204);
    let given = evidence(&app, json!({})).expect(201).json();
    let summary = given["summary"].as_str().unwrap();
    assert!(
        summary.contains("memory of an instance unknown before"),
        "{summary}"
    );
}
