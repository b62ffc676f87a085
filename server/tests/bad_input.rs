//! T40: whatever is sent, the answer is a 4xx that helps, and nothing changes.

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

mod addresses;
mod bodies;
mod values;

on_both_engines!(text_is_kept_as_it_is, text_is_kept_without_blanks_around_it);

/// Sends what should be refused, and sees that it was.
struct Refusals {
    app: App,
    before: String,
}

impl Refusals {
    fn new(engine: Engine) -> Refusals {
        let app = App::start(engine);
        app.route("count_commits");
        app.route("find_commit");
        app.sdk_key("dev");
        let before = app.database().fingerprint();
        Refusals { app, before }
    }

    #[track_caller]
    fn see(&self, what: &str, reply: &Reply, status: u16) -> Value {
        assert_eq!(reply.status, status, "{what}: {}", reply.body);
        let problem = reply.problem(status);
        let now = self.app.database().fingerprint();
        assert_eq!(now, self.before, "{what}: {}", reply.body);
        problem
    }

    #[track_caller]
    fn body(&self, method: &str, path: &str, body: impl Into<Vec<u8>>, status: u16) -> Value {
        let body = body.into();
        let shown: String = String::from_utf8_lossy(&body).chars().take(120).collect();
        let reply = self
            .app
            .request(method, path)
            .by(Who::ADMIN)
            .header("content-type", "application/json")
            .body(body)
            .send();
        self.see(&format!("{method} {path} {shown}"), &reply, status)
    }

    #[track_caller]
    fn json(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        self.body(method, path, body.to_string(), status)
    }
}

fn text_is_kept_without_blanks_around_it(engine: Engine) {
    let app = App::start(engine);
    let fields = json!({
        "owner": " git ",
        "labels": { "team": "\tgit\n" },
        "contacts": { "on_call": " a@example.com" },
        "description": "  two\nlines \n",
    });
    app.route_with("a", fields.clone());
    let seen = || app.get("routes/a").expect(200);
    let route = seen().json();
    assert_eq!(route["owner"], "git");
    assert_eq!(route["labels"], json!({ "team": "git" }));
    assert_eq!(route["contacts"], json!({ "on_call": "a@example.com" }));
    assert_eq!(route["description"], "two\nlines");
    // The same once more is no change.
    let before = seen().etag();
    let mut again = fields;
    again["reason"] = json!("r");
    app.request("PATCH", "routes/a")
        .by(Who::MAINTAINER)
        .json(&again)
        .send()
        .expect(200);
    assert_eq!(seen().etag(), before);
    app.route_with("b", json!({ "description": " \n" }));
    assert_eq!(app.get("routes/b").json()["description"], "");
}

/// Text that is odd and allowed comes back as it was, on both engines.
fn text_is_kept_as_it_is(engine: Engine) {
    let app = App::start(engine);
    let text = "Größe \u{1F600} '\"; DROP TABLE routes; -- \\ % _ \u{200D}x\nsecond\tline";
    app.route_with(
        "a",
        json!({
            "owner": "Ünïcode 'owner'",
            "description": text,
            "labels": { "team.x": text },
            "contacts": { "on_call": "a@example.com" },
            "links": { "issue": "https://example.com/é?q='%00" },
        }),
    );
    let route = app.get("routes/a").expect(200).json();
    assert_eq!(route["description"], text);
    assert_eq!(route["labels"]["team.x"], text);
    assert_eq!(route["owner"], "Ünïcode 'owner'");
    assert_eq!(route["links"]["issue"], "https://example.com/é?q='%00");
    let cohort = json!(["\u{202E}", " ", "é", "'; --", "\u{1F600}"]);
    let body = json!({ "include": cohort, "exclude": [], "reason": text });
    app.put(Who::OPERATOR, &at("a", "dev", "cohorts"), &body)
        .expect(200);
    let mut included = app.rollout("a", "dev")["include"]
        .as_array()
        .unwrap()
        .clone();
    included.sort_by_key(|key| {
        cohort
            .as_array()
            .unwrap()
            .iter()
            .position(|other| other == key)
    });
    assert_eq!(json!(included), cohort);
    let entry = &app.get("routes/a/history").expect(200).json()["items"][0];
    assert_eq!(entry["reason"], text);
    let nobody =
        json!({ "environment": "dev", "owner": "\u{0}", "label": "\u{0}=\u{0}", "reason": "r" });
    app.post(Who::OPERATOR, "halts", &nobody).problem(404);
    app.assert_audit_intact();
}
