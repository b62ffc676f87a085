//! Scans of repositories on record, and what a route may be retired by.

use serde_json::{Value, json};

use crate::support::{App, Engine, Who, on_both_engines};

on_both_engines!(
    a_route_is_retired_when_every_repository_was_scanned_since,
    the_last_scan_of_a_repository_counts
);

fn scan(repository: &str, count: u64) -> Value {
    let place =
        json!({ "route": "a", "file": "lib/a.rb", "line": 3, "column": 5, "name": "GITALY_A" });
    json!({
        "repository": repository, "revision": "4f1c2d9", "files": 7,
        "routes": { "a": count, "b": 0 },
        "places": if count == 0 { json!([]) } else { json!([place]) },
    })
}

fn a_route_is_retired_when_every_repository_was_scanned_since(engine: Engine) {
    let app = App::start(engine);
    let everywhere = ["dev", "staging", "production", "on-prem"];
    for route in ["a", "unscanned"] {
        app.route(route);
        app.bring(route, &everywhere, "mandatory");
    }
    let post = |body: &Value| app.post(Who::OPERATOR, "references", body).expect(201);
    let retire = |who: Who, route: &str, glass: bool| {
        let body = json!({ "reason": "gone", "break_glass": glass });
        app.post(who, &format!("routes/{route}/retire"), &body)
    };
    let lacking = |route: &str| {
        let shown = app.get(&format!("routes/{route}/references"));
        shown.expect(200).json()["lacking"].clone()
    };
    let refused = |route: &str, with: &str| {
        let reply = retire(Who::MAINTAINER, route, false);
        assert_eq!(reply.code(409), "still_referenced");
        assert!(reply.body.contains(with), "{}", reply.body);
        assert_eq!(reply.json()["lacking"], lacking(route));
    };
    refused("a", "no repository has been scanned");
    post(&scan("group/one", 0));
    post(&scan("group/two", 2));
    refused("a", "group/two uses it 2 times (lib/a.rb:3, …)");
    refused(
        "unscanned",
        "the last scan of group/one did not look for it",
    );
    let found = app.get("routes/a/references").expect(200).json();
    assert_eq!(found["repositories"][0]["uses"], 0);
    assert_eq!(found["repositories"][1]["uses"], 2);
    assert_eq!(found["repositories"][1]["places"][0]["file"], "lib/a.rb");
    let page = app.page(Who::VIEWER, "/routes/a").expect(200);
    for told in [
        "In the code",
        "group/two",
        "2 uses",
        "lib/a.rb:3",
        "and 1 more",
        "no use",
    ] {
        assert!(page.body.contains(told), "{told}: {}", page.body);
    }

    // What was clean before the route became what it is, says nothing.
    post(&scan("group/two", 0));
    app.advance(chrono::Duration::hours(1));
    let glass = json!({ "to": "opt_out", "break_glass": true, "reason": "r" });
    app.post(
        Who::ADMIN,
        "routes/a/environments/on-prem/demotions",
        &glass,
    )
    .expect(201);
    app.promote(Who::MAINTAINER, "a", "on-prem", "mandatory")
        .expect(201);
    refused("a", "group/one was scanned last at 2026-01-05 10:00:00Z");
    app.advance(chrono::Duration::seconds(1));
    post(&scan("group/one", 0));
    refused("a", "group/two was scanned last");
    // The other repository is gone.
    let forget = "references?repository=group/two&reason=archived";
    let forgotten = app.request("DELETE", forget).by(Who::OPERATOR).send();
    assert_eq!(forgotten.status, 204, "{}", forgotten.body);
    assert_eq!(lacking("a"), json!([]));
    retire(Who::MAINTAINER, "a", false).expect(200);

    // An admin can do without, and that is seen.
    assert_eq!(
        retire(Who::MAINTAINER, "unscanned", true).code(403),
        "forbidden"
    );
    retire(Who::ADMIN, "unscanned", true).expect(200);
    let audit = app.get("audit?limit=1000").expect(200).body;
    for action in [
        "scan_post",
        "scan_forget",
        "\"retire\"",
        "break_glass_retire",
    ] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    app.assert_audit_intact();
}

fn the_last_scan_of_a_repository_counts(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let post = |body: &Value| app.post(Who::OPERATOR, "references", body);
    let at = |time: &str| {
        let mut body = scan("group/one", 1);
        body["scanned_at"] = json!(time);
        body
    };
    post(&at("2026-01-05T09:00:00Z")).expect(201);
    assert_eq!(post(&at("2026-01-05T08:59:59Z")).code(409), "conflict");
    assert_eq!(post(&at("2026-01-05T10:01:01Z")).code(422), "invalid");
    post(&at("2026-01-05T09:00:00Z")).expect(201);
    let mut other = scan("group/one", 0);
    other["routes"] = json!({ "b": 0 });
    // Clocks differ a little: what is just ahead is now.
    other["scanned_at"] = json!("2026-01-05T10:00:30Z");
    let posted = post(&other).expect(201).json();
    assert_eq!(posted["scanned_at"], "2026-01-05T10:00:00Z");
    // Or they differ a lot: then it is said how long ago that was.
    other["took_ms"] = json!(1_500);
    assert_eq!(post(&other).code(422), "invalid");
    let mut third = scan("group/three", 1);
    third["took_ms"] = json!(86_400_001);
    assert_eq!(post(&third).code(422), "invalid");
    third["took_ms"] = json!(1_500);
    let third = post(&third).expect(201).json();
    assert_eq!(third["scanned_at"], "2026-01-05T09:59:58.500Z");
    let forget = "references?repository=group/three&reason=archived";
    app.request("DELETE", forget).by(Who::OPERATOR).send();
    assert_eq!(posted["uses"], 0);
    let found = app.get("routes/a/references").expect(200).json();
    assert_eq!(
        found["repositories"][0]["uses"],
        Value::Null,
        "it was not looked for"
    );
    let listed = app.get("references").expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    for (field, value) in [
        ("repository", json!("a b")),
        ("revision", json!("")),
        ("files", json!(0)),
        ("files", json!(1_000_000_001)),
        ("files", json!(u64::MAX)),
        ("routes", json!({ "a": 1_000_000_001, "b": 0 })),
        ("routes", json!({ "a": u64::MAX, "b": u64::MAX })),
        // One place more than there are uses.
        ("routes", json!({ "a": 0, "b": 0 })),
        (
            "places",
            json!([{ "route": "c", "file": "x", "line": 1, "column": 1, "name": "C" }]),
        ),
        (
            "places",
            json!([{ "route": "a", "file": "x", "line": 0, "column": 1, "name": "A" }]),
        ),
        (
            "places",
            json!([{ "route": "a", "file": "x", "line": 1, "column": u64::MAX, "name": "A" }]),
        ),
    ] {
        let mut body = scan("group/one", 1);
        body[field] = value;
        assert_eq!(post(&body).code(422), "invalid", "{body}");
    }
    let place = scan("a", 1)["places"][0].clone();
    let mut many = scan("group/one", 21);
    many["places"] = json!(vec![place; 21]);
    assert_eq!(post(&many).code(422), "invalid");
    let many: serde_json::Map<String, Value> =
        (0..20_001).map(|n| (format!("r{n}"), json!(0))).collect();
    let mut body = scan("group/one", 0);
    body["routes"] = Value::Object(many);
    assert_eq!(post(&body).code(422), "invalid");
    let missing = "references?repository=none&reason=r";
    let reply = app.request("DELETE", missing).by(Who::OPERATOR).send();
    assert_eq!(reply.code(404), "not_found");
}
