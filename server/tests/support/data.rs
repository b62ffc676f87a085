//! A process that moves data, as plain requests.

use serde_json::{Value, json};

use super::app::{App, Who, at};
use super::client::Reply;

impl App {
    /// A route that writes, with so much of it copied.
    pub(crate) fn data_route(&self, key: &str, environment: &str) {
        self.route_with(key, json!({ "operation": "write" }));
        self.copy_writes(key, environment, 100);
    }

    pub(crate) fn copy_writes(&self, route: &str, environment: &str, percent: u32) -> Value {
        let body = json!({ "read_percent": 0, "write_percent": percent, "reason": "test" });
        self.put(Who::OPERATOR, &at(route, environment, "mirror"), &body)
            .expect(200)
            .json()
    }

    /// A request with an SDK's key.
    pub(crate) fn sdk_post(&self, key: &str, path: &str, body: &Value) -> Reply {
        let request = self.request("POST", &format!("/sdk/v1/{path}"));
        request.bearer(key).json(body).send()
    }

    /// Copies all writes of a route and begins a backfill; its name, and the SDK's key.
    pub(crate) fn begin_backfill(&self, route: &str, environment: &str) -> (String, String) {
        self.copy_writes(route, environment, 100);
        let key = self.sdk_key(environment);
        let body = json!({ "instance": "a", "route": route, "batch": 1000 });
        let begun = self.sdk_post(&key, "backfills", &body).expect(200).json();
        assert_eq!(begun["state"], "running");
        (begun["id"].as_str().unwrap().to_owned(), key)
    }

    /// Runs a backfill to its end, and compares all rows: the stores are equal.
    pub(crate) fn equal_stores(&self, route: &str, environment: &str) -> String {
        let (id, key) = self.begin_backfill(route, environment);
        let body = json!({ "instance": "a", "cursor": "z", "keys": 10, "complete": true });
        let done = self.sdk_post(&key, &format!("backfills/{id}"), &body);
        assert_eq!(done.expect(200).json()["state"], "complete");
        self.advance(chrono::Duration::seconds(10));
        self.compared(&key, route, "checksum", (10, 0)).expect(204);
        key
    }

    /// A process has compared so many rows, of which so many differ, in a second.
    pub(crate) fn compared(
        &self,
        key: &str,
        route: &str,
        kind: &str,
        (compared, differing): (u64, u64),
    ) -> Reply {
        let body = json!({ "instance": "a", "route": route, "kind": kind, "generation": 1,
                           "duration_ms": 1000, "compared": compared, "differing": differing });
        self.sdk_post(key, "consistency", &body)
    }
}
