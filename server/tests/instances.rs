//! Who reports, and what is not as it should be about them.

use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{App, Engine, Place, Who, at, on_both_engines};
use crate::telemetry::{batch, instance_of};

on_both_engines!(
    drift_is_shown,
    instances_come_page_by_page,
    who_has_gone_is_forgotten
);

fn described(id: &str, sequence: u64, snapshot: Option<String>, routes: Value) -> Value {
    let mut instance = instance_of(id);
    instance["cpu_ms"] = json!(1_500);
    instance["memory_bytes"] = json!(73_400_320);
    if let Some(snapshot) = snapshot {
        instance["snapshot"] = json!(snapshot);
        instance["source"] = json!("live");
    }
    json!({ "sequence": sequence, "instance": instance, "routes": routes })
}

fn drift_is_shown(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.route("b");
    let key = app.sdk_key("dev");
    let version = app.snapshot(&key).etag().trim_matches('"').to_owned();
    let (epoch, revision) = version.split_once('.').unwrap();
    let revision: u64 = revision.parse().unwrap();
    let at_revision = |revision: u64| Some(format!("{epoch}.{revision}"));
    let has = json!([{ "route": "a" }, { "route": "b" }]);
    let send = |batch: Value| assert_eq!(app.report(&key, &batch), 204);
    send(described("current", 1, at_revision(revision), has.clone()));
    send(described("old", 1, at_revision(revision - 1), has.clone()));
    send(described("foreign", 1, Some("other.9".to_owned()), has));
    let odd = json!([
        { "route": "a", "in_code": false, "override": false },
        { "route": "b", "breaker_open": true, "override": true },
    ]);
    send(described("odd", 1, None, odd));
    let by_name = |path: &str, name: &str| -> Value {
        let found = app.get(path).expect(200).json();
        let items = found["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["id"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let here = at("a", "dev", "instances");
    let current = by_name(&here, "current");
    assert_eq!(current["drift"], json!([]));
    assert_eq!(current["behind"], 0);
    assert_eq!(current["has_code"], true);
    assert_eq!(current["running"], true);
    assert_eq!(current["name"], "web-current");
    assert_eq!(current["cpu_ms"], 1_500);
    assert_eq!(current["memory_bytes"], 73_400_320);
    assert_eq!(current["last_seen"], "2026-01-05T10:00:00Z");
    let old = by_name(&here, "old");
    assert_eq!(
        (&old["behind"], &old["drift"]),
        (&json!(1), &json!(["behind"]))
    );
    // Revisions of two epochs cannot be compared.
    assert_eq!(by_name(&here, "foreign")["behind"], Value::Null);
    let odd = by_name(&here, "odd");
    assert_eq!(odd["drift"], json!(["not_live", "override", "lacks_code"]));
    assert_eq!(odd["overrides"], json!([{ "route": "a", "on": false }]));
    let everywhere = by_name("environments/dev/instances", "odd");
    assert_eq!(
        everywhere["drift"],
        json!(["not_live", "override", "breaker_open"])
    );
    assert_eq!(everywhere["has_code"], Value::Null);
    assert_eq!(everywhere["open_breakers"], json!(["b"]));
    // A later revision is published: everybody is behind it.
    app.set("b", "dev", json!({ "mode": "on" })).expect(200);
    assert_eq!(by_name(&here, "current")["behind"], 1);
    assert_eq!(
        app.get("environments/none/instances").code(404),
        "not_found"
    );
    assert_eq!(app.get(&at("c", "dev", "instances")).code(404), "not_found");
    commands_say_it_in_words(&app);
}

fn commands_say_it_in_words(app: &App) {
    let place = Place::new();
    let url = format!("--url=http://{}", app.address());
    let token = format!("--token={}", Who::VIEWER.token());
    let said = place.well(&["instances", "a", "dev", &url, &token]);
    for part in [
        "web-odd",
        "override a=0",
        "lacks the code",
        "2 revisions behind",
        "4 instances, 4 not as they should be",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = place.well(&["instances", "--environment=dev", &url, &token]);
    assert!(said.contains("breaker of b is open"), "{said}");
    let read = place.well(&["instances", "--environment=dev", "--json", &url, &token]);
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read["items"].as_array().unwrap().len(), 4);
    let done = place.run(&["instances", &url, &token]);
    assert_eq!(done.status, 2, "{}", done.err);
}

fn instances_come_page_by_page(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    for number in 0..7 {
        assert_eq!(
            app.report(&key, &batch(&format!("i{number}"), 1, 1, 0)),
            204
        );
    }
    let mut seen = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = app.get(&format!("environments/dev/instances{query}"));
        let page = page.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["i0", "i1", "i2", "i3", "i4", "i5", "i6"]);
    for query in ["limit=0", "limit=1001", "cursor=%21", "all=maybe"] {
        let reply = app.get(&format!("environments/dev/instances?{query}"));
        assert_eq!(reply.code(400), "malformed_request", "{query}");
    }
}

fn who_has_gone_is_forgotten(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let ids = |query: &str| -> Vec<String> {
        let found = app.get(&format!("environments/dev/instances{query}"));
        let found = found.expect(200).json();
        let items = found["items"].as_array().unwrap().iter();
        items
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut ends = batch("gone", 1, 1, 0);
    ends["ends"] = json!(true);
    assert_eq!(app.report(&key, &ends), 204);
    assert_eq!(app.report(&key, &batch("quiet", 1, 1, 0)), 204);
    assert_eq!(ids(""), ["quiet"]);
    assert_eq!(ids("?all=true"), ["gone", "quiet"]);
    app.advance(Duration::minutes(11));
    assert!(ids("").is_empty());
    let soon = std::time::Duration::from_secs(5);
    for (days, left) in [(2, vec!["quiet"]), (30, vec![])] {
        app.advance(Duration::days(days));
        crate::support::eventually("the server forgets", soon, || {
            (ids("?all=true") == left).then_some(())
        });
    }
}
