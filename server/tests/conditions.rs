//! `ETag`, `If-Match` and `Idempotency-Key`.

use std::sync::Barrier;

use serde_json::json;

use crate::openapi::operations;
use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(
    a_change_of_something_else_is_refused,
    a_list_of_tags_needs_one_that_fits,
    a_request_sent_twice_is_carried_out_once,
    the_same_request_at_once_is_carried_out_once,
);

fn a_change_of_something_else_is_refused(engine: Engine) {
    let app = App::start(engine);
    app.route("count_commits");
    let rollout = at("count_commits", "dev", "");
    let seen = app.get(&rollout).expect(200).etag();
    let ask = |etag: &str| {
        let request = app.request("GET", &rollout).by(Who::VIEWER);
        request.header("if-none-match", etag).send().status
    };
    assert_eq!(ask(&seen), 304);
    assert_eq!(ask(&format!("W/{seen}")), 304);
    assert_eq!(ask("\"other\""), 200);

    app.set("count_commits", "dev", json!({ "mode": "on" }))
        .expect(200);
    let attempts = [
        ("PUT", "setting", json!({ "mode": "off", "reason": "r" })),
        (
            "PUT",
            "cohorts",
            json!({ "include": [], "exclude": ["k"], "reason": "r" }),
        ),
        (
            "POST",
            "promotions",
            json!({ "to": "opt_in", "reason": "r" }),
        ),
        (
            "POST",
            "demotions",
            json!({ "to": "ready_for_testing", "reason": "r" }),
        ),
        ("POST", "resume", json!({ "reason": "r" })),
        (
            "POST",
            "acceptance",
            json!({ "until": "2026-01-06T00:00:00Z", "percent": 5, "reason": "r" }),
        ),
        ("POST", "approvals", json!({ "to": "opt_in" })),
    ];
    for (method, what, body) in &attempts {
        let before = app.database().fingerprint();
        let reply = app
            .request(method, &at("count_commits", "dev", what))
            .by(Who::MAINTAINER)
            .header("if-match", &seen)
            .json(body)
            .send();
        let problem = reply.problem(412);
        assert_eq!(problem["code"], "precondition_failed", "{what}");
        assert_eq!(problem["etag"], app.get(&rollout).etag(), "{what}");
        assert_eq!(app.database().fingerprint(), before, "{what}");
    }
    let delete = |etag: &str| {
        app.request("DELETE", &at("count_commits", "dev", "acceptance"))
            .by(Who::MAINTAINER)
            .header("if-match", etag)
            .send()
    };
    delete(&seen).problem(412);
    let current = app.get(&rollout).etag();
    delete(&current).expect(200);

    // A halt is for now, whatever the page that ordered it has seen.
    let halted = app
        .request("POST", &at("count_commits", "dev", "halt"))
        .by(Who::OPERATOR)
        .header("if-match", &seen)
        .json(&json!({ "reason": "r" }))
        .send()
        .expect(200);
    assert_eq!(halted.json()["rollout"]["halted"], true);
    assert_eq!(halted.etag(), app.get(&rollout).etag());

    let patch = |path: &str, etag: &str, body| {
        let request = app.request("PATCH", path).by(Who::ADMIN);
        request.header("if-match", etag).json(&body).send()
    };
    let route = app.get("routes/count_commits").etag();
    let owner = || json!({ "owner": "git", "reason": "r" });
    patch("routes/count_commits", &seen, owner()).problem(412);
    let patched = patch("routes/count_commits", &route, owner()).expect(200);
    assert_eq!(patched.etag(), app.get("routes/count_commits").etag());
    patch("routes/count_commits", &route, owner()).problem(412);

    let listed = app.get("environments").json();
    assert_eq!(listed["items"][0]["key"], "dev");
    patch(
        "environments/dev",
        &seen.replace('.', ".9"),
        json!({ "position": 0, "reason": "r" }),
    )
    .problem(412);
}

fn a_list_of_tags_needs_one_that_fits(engine: Engine) {
    let app = App::start(engine);
    app.route("count_commits");
    let path = at("count_commits", "dev", "setting");
    let send = |lines: &[&str]| {
        let mut request = app.request("PUT", &path).by(Who::OPERATOR);
        for line in lines {
            request = request.header("if-match", line);
        }
        let body = json!({ "mode": "stage_default", "reason": "r" });
        request.json(&body).send().status
    };
    let seen = app.get(&at("count_commits", "dev", "")).etag();
    let weak = format!("W/{seen}");
    let bare = seen.trim_matches('"');
    for lines in [
        &["*"] as &[&str],
        &[&seen],
        &[&format!("\"x,y\", {seen}")],
        &[&format!("{seen},\"x\"")],
        &["\"x\"", &seen],
    ] {
        assert_eq!(send(lines), 200, "{lines:?}");
    }
    for lines in [
        &[""] as &[&str],
        &["\"x\", \"y\""],
        &[&weak],
        &[&format!("{weak}, \"x\"")],
        &[bare],
        &["\"x\"", "\"y\""],
    ] {
        assert_eq!(send(lines), 412, "{lines:?}");
    }
}

/// Every change is refused to who has seen something else, also where there is nothing to be seen.
#[test]
fn nothing_has_a_tag_that_was_made_up() {
    /// Halts and pauses are for now, questions change nothing, and SDKs report with a key of theirs.
    const DEAF: [&str; 6] = [
        "POST /halts",
        "POST /routes/{route}/environments/{environment}/halt",
        "POST /routes/{route}/environments/{environment}/ramp/pause",
        "POST /routes/{route}/environments/{environment}/explain",
        "POST /audit/verify",
        "POST /sdk/v1/telemetry",
    ];
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    app.request("PUT", "routes/count_commits/plan?reason=r")
        .by(Who::ADMIN)
        .header("content-type", "text/markdown")
        .body("- a")
        .send()
        .expect(201);
    let before = app.database().fingerprint();
    let route = json!({ "endpoint": "a.B/Cd", "operation": "read", "owner": "o" });
    for operation in operations() {
        let path = operation.path.trim_start_matches("/api/v1");
        let name = format!("{} {path}", operation.method);
        // What SDKs send has no tags.
        let is_of_callers = path.starts_with("/sdk/") || path.starts_with("/ofrep/");
        if is_of_callers || operation.method == "GET" || DEAF.contains(&name.as_str()) {
            continue;
        }
        let last = path.rsplit('/').next().unwrap();
        let body = match (operation.method.as_str(), last) {
            ("DELETE", _) => None,
            ("POST", "routes") => Some(route.clone()),
            ("POST", "routes:import") => Some(json!([route])),
            ("POST", "environments") => {
                Some(json!({ "key": "canary", "kind": "hosted", "position": 9 }))
            }
            ("POST", "sdk-keys") => Some(json!({ "environment": "dev", "name": "web" })),
            ("POST", "resumes") => Some(json!({ "environment": "dev", "reason": "r" })),
            ("POST", "releases") => {
                Some(json!({ "environment": "on-prem", "name": "1", "reason": "r" }))
            }
            ("POST", "censuses") => Some(json!({
                "environment": "dev", "site": "s", "taken_at": "2026-01-05T00:00:00Z",
                "overrides": {}, "reason": "r",
            })),
            ("POST", "webhooks") => Some(json!({
                "name": "w", "url": "https://example.com/", "reason": "r",
            })),
            ("POST", "references") => Some(json!({
                "repository": "a/b", "revision": "1", "files": 1, "routes": {},
            })),
            ("POST", "revocations") => Some(json!({ "jti": "j", "reason": "r" })),
            ("POST", "policies") => Some(json!({ "policy": { "name": "own" }, "reason": "r" })),
            ("POST", "evidence") => {
                Some(json!({ "kind": "other", "verdict": "pass", "summary": "s" }))
            }
            ("POST", "acceptance") => {
                Some(json!({ "until": "2026-01-06T00:00:00Z", "percent": 5, "reason": "r" }))
            }
            ("POST", "approvals") => Some(json!({ "to": "opt_in" })),
            ("POST", "promotions") => Some(json!({ "to": "opt_in", "reason": "r" })),
            ("POST", "demotions") => Some(json!({ "to": "ready_for_testing", "reason": "r" })),
            ("POST", "preparation") => Some(json!({ "action": "shelve", "reason": "r" })),
            ("POST", "confirmation") => Some(json!({})),
            ("PUT", "{name}") => Some(json!({ "owner": "o", "description": "d", "reason": "r" })),
            ("PATCH", "plan") => Some(json!({ "ordered": true, "reason": "r" })),
            ("PATCH", "{step}") => Some(json!({ "done": true, "reason": "r" })),
            ("PATCH", "{section}") => Some(json!({ "gate": "opt_in", "reason": "r" })),
            ("PUT", "setting") => Some(json!({ "mode": "on", "reason": "r" })),
            ("PUT", "cohorts") => Some(json!({ "include": [], "exclude": ["k"], "reason": "r" })),
            ("POST", "cohorts") => Some(json!({ "name": "c", "keys": [], "reason": "r" })),
            ("PUT", "{cohort}") => Some(json!({ "keys": [], "reason": "r" })),
            ("PUT", "{group}") => Some(json!({ "keys": "project", "reason": "r" })),
            ("PUT", "ramp") => {
                Some(json!({ "steps": [{ "percent": 5, "hold": "1h" }], "reason": "r" }))
            }
            ("POST", "consistency") => Some(json!({ "kind": "sample", "reason": "r" })),
            ("PUT", "consistency-schedule") => Some(json!({ "every": null, "reason": "r" })),
            ("POST", "settle") => Some(json!({ "action": "retry", "all": true, "reason": "r" })),
            ("PUT", "mirror") => {
                Some(json!({ "read_percent": 1, "write_percent": 0, "reason": "r" }))
            }
            _ => Some(json!({ "reason": "r" })),
        };
        let is_markdown = operation.method == "PUT" && ["runbook", "plan"].contains(&last);
        let asks_why = operation.method == "DELETE" || is_markdown;
        let query = match name.as_str() {
            "DELETE /references" => "?repository=a/b&reason=r",
            _ if asks_why => "?reason=r",
            _ => "",
        };
        let request = app
            .request(&operation.method, &(operation.address() + query))
            .by(Who::ADMIN)
            .header("if-match", "\"bogus\"");
        let reply = match &body {
            Some(_) if is_markdown => {
                let request = request.header("content-type", "text/markdown");
                request.body("# x").send()
            }
            Some(body) => request.json(body).send(),
            None => request.send(),
        };
        assert_eq!(reply.status, 412, "{name}: {}", reply.body);
        assert_eq!(reply.code(412), "precondition_failed");
    }
    assert_eq!(app.database().fingerprint(), before);
}

fn a_request_sent_twice_is_carried_out_once(engine: Engine) {
    let app = App::start(engine);
    app.route("count_commits");
    let path = at("count_commits", "dev", "promotions");
    let send = |who: Who, path: &str, key: &str, reason: &str| {
        app.request("POST", path)
            .by(who)
            .header("idempotency-key", key)
            .json(&json!({ "to": "opt_in", "reason": reason }))
            .send()
    };
    let first = send(Who::OPERATOR, &path, "k1", "r").expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let entries = app.audit_count();
    let again = send(Who::OPERATOR, &path, "k1", "r").expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.body, first.body);
    assert_eq!(again.etag(), first.etag());
    assert_eq!(app.audit_count(), entries);

    let other_body = send(Who::OPERATOR, &path, "k1", "another");
    assert_eq!(other_body.code(422), "idempotency_mismatch");
    // Another person's key, and the same key elsewhere, are other requests.
    assert_eq!(
        send(Who::MAINTAINER, &path, "k1", "r").code(409),
        "invalid_transition"
    );
    send(
        Who::OPERATOR,
        &at("count_commits", "staging", "promotions"),
        "k1",
        "r",
    )
    .expect(201);
    // What failed was not carried out, so it is tried again.
    let failed = at("count_commits", "production", "promotions");
    assert_eq!(send(Who::OPERATOR, &failed, "k2", "r").status, 403);
    assert_eq!(send(Who::OPERATOR, &failed, "k2", "r").status, 403);
    assert_eq!(
        send(Who::OPERATOR, &path, &"k".repeat(256), "r").status,
        400
    );
    assert_eq!(send(Who::OPERATOR, &path, "", "r").status, 400);

    app.advance(chrono::Duration::hours(25));
    app.services().forget_old_receipts().unwrap();
    assert_eq!(
        send(Who::OPERATOR, &path, "k1", "r").code(409),
        "invalid_transition"
    );
}

fn the_same_request_at_once_is_carried_out_once(engine: Engine) {
    const AT_ONCE: usize = 8;
    let app = App::start(engine);
    for round in 0..10 {
        let route = format!("route_{round}");
        app.route(&route);
        let entries = app.audit_count();
        let barrier = Barrier::new(AT_ONCE);
        let replies: Vec<_> = std::thread::scope(|scope| {
            let send = || {
                barrier.wait();
                app.request("POST", &at(&route, "dev", "promotions"))
                    .by(Who::OPERATOR)
                    .header("idempotency-key", "once")
                    .json(&json!({ "to": "opt_in", "reason": "r" }))
                    .send()
            };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(send)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for reply in &replies {
            assert_eq!(reply.status, 201, "{}", reply.body);
            assert_eq!(reply.body, replies[0].body);
        }
        let fresh = replies
            .iter()
            .filter(|reply| reply.header("idempotency-replayed").is_none());
        assert_eq!(fresh.count(), 1);
        assert_eq!(app.audit_count(), entries + 1);
    }
}

mod secrets {
    use super::*;

    #[test]
    fn are_never_replayed() {
        let app = App::start(Engine::Sqlite);
        let send = || {
            app.request("POST", "sdk-keys")
                .by(Who::MAINTAINER)
                .header("idempotency-key", "k")
                .json(&json!({ "environment": "dev", "name": "web" }))
                .send()
                .expect(201)
        };
        let first = send();
        let secret = first.json()["key"].as_str().unwrap().to_owned();
        assert!(secret.starts_with("swk_"));
        assert_eq!(first.header("cache-control"), Some("no-store"));
        let again = send();
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json()["id"], first.json()["id"]);
        assert_eq!(again.json()["key"], serde_json::Value::Null);
        let kept = app
            .database()
            .texts("SELECT body AS value FROM idempotency");
        assert!(kept.iter().all(|body| !body.contains(&secret)));
        let keys = app.database().texts("SELECT hash AS value FROM sdk_keys");
        assert!(keys.len() == 1 && !secret.contains(&keys[0]));
        app.snapshot(&secret).expect(200);
    }
}
