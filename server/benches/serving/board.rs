//! What the board costs with 1,000 routes in 4 environments, all of which report calls.

use std::ops::Range;
use std::time::Instant;

use serde_json::{Value, json};
use switchover::Version;

use crate::server::Filled;
use crate::{headline, millis, quantile, row};

const ROUTES: usize = 1_000;
const LOOKS: usize = 200;

pub(crate) fn run() {
    headline("the board: 1,000 routes, 4 environments, all with calls");
    let filled = Filled::with_routes(ROUTES);
    let version = filled.version();
    for sequence in 1..=4 {
        let first = (sequence - 1) * ROUTES / 4;
        filled.report(&batch(&version, sequence, first..first + ROUTES / 4));
    }
    // What is reported is written behind the answer.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let page = filled.page("/");
    assert!(
        page.contains("calls took the new path"),
        "no calls are shown"
    );
    let mut looks: Vec<f64> = (0..LOOKS)
        .map(|_| {
            let started = Instant::now();
            filled.page("/");
            millis(started.elapsed())
        })
        .collect();
    looks.sort_by(f64::total_cmp);
    row(
        "the first page of 100 routes over HTTP, p50 / p99",
        &format!(
            "{:.1} / {:.1} ms",
            quantile(&looks, 0.5),
            quantile(&looks, 0.99)
        ),
        "50 ms",
    );
    row(
        "its size, uncompressed",
        &format!("{:.0} kB", page.len() as f64 / 1_000.0),
        "300 kB",
    );
}

/// Calls of both paths of these routes.
fn batch(version: &Version, sequence: usize, routes: Range<usize>) -> Value {
    let calls = |route: usize, path: &str, calls: u64| {
        json!({
            "route": format!("route_{route}"), "path": path, "role": "authoritative",
            "revision": version.revision, "calls": calls, "errors": 0, "latency": [[620, calls]],
        })
    };
    let counts: Vec<Value> = routes
        .flat_map(|route| [calls(route, "old", 70), calls(route, "new", 30)])
        .collect();
    json!({
        "sequence": sequence,
        "instance": {
            "id": "bench-instance", "name": "bench", "application": "bench", "version": "1.0",
            "sdk": "rust/0.1.0", "snapshot": version.to_string(),
        },
        "interval_ms": 5_000,
        "counts": counts,
    })
}
