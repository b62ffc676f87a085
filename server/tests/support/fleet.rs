//! Instances that report as an SDK would.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::Duration;
use serde_json::{Value, json};
use switchover::Version;

use super::app::App;
use super::client::Remote;

/// Some instances of one application, in one environment.
pub(crate) struct Fleet {
    key: String,
    instances: usize,
    sequences: RefCell<BTreeMap<usize, u64>>,
}

impl Fleet {
    pub(crate) fn new(key: String, instances: usize) -> Fleet {
        Fleet {
            key,
            instances,
            sequences: RefCell::default(),
        }
    }

    /// Every instance reports these rows of the version that it has; some may have none.
    pub(crate) fn report(&self, remote: &Remote, rows: impl Fn(usize) -> Vec<Value>) {
        let snapshot = remote
            .request("GET", "/sdk/v1/snapshot")
            .bearer(&self.key)
            .send()
            .expect(200)
            .json();
        let version: Version = snapshot["version"].as_str().unwrap().parse().unwrap();
        for instance in 0..self.instances {
            let mut counts = rows(instance);
            if counts.is_empty() {
                continue;
            }
            for row in &mut counts {
                row["revision"] = version.revision.into();
            }
            let mut sequences = self.sequences.borrow_mut();
            let sequence = sequences.entry(instance).or_insert(0);
            *sequence += 1;
            let batch = json!({
                "sequence": *sequence,
                "instance": {
                    "id": format!("instance-{instance}"),
                    "name": format!("web-{instance}"),
                    "application": "web",
                    "version": "1.0",
                    "sdk": "rust/0.1.0",
                    "snapshot": version.to_string(),
                },
                "interval_ms": 5_000,
                "counts": counts,
            });
            remote
                .request("POST", "/sdk/v1/telemetry")
                .bearer(&self.key)
                .json(&batch)
                .send()
                .expect(204);
        }
    }

    /// Five seconds later every instance reports so many calls of the new path, and so many errors.
    pub(crate) fn calls(&self, app: &App, route: &str, calls: u64, errors: u64) {
        app.advance(Duration::seconds(5));
        self.report(app, |_| vec![calls_of(route, calls, errors)]);
    }
}

/// A row of calls of the new path.
pub(crate) fn calls_of(route: &str, calls: u64, errors: u64) -> Value {
    json!({
        "route": route,
        "path": "new",
        "role": "authoritative",
        "calls": calls,
        "errors": errors,
        "latency": if calls > 0 { json!([[620, calls]]) } else { json!([]) },
    })
}
