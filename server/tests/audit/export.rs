//! The record in a file, verified without a server.

use serde_json::{Value, json};

use super::with_entries;
use crate::support::{App, Engine, Place, Who, on_both_engines};

on_both_engines!(
    an_export_has_what_was_asked_for,
    a_long_record_comes_in_pages,
    a_broken_record_can_be_exported,
);

fn lines(app: &App, query: &str) -> Vec<Value> {
    let reply = app.get(&format!("audit/export{query}")).expect(200);
    let parsed = reply
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    parsed.collect()
}

fn places(app: &App, query: &str) -> Vec<u64> {
    let lines = lines(app, query);
    lines
        .iter()
        .map(|line| line["seq"].as_u64().unwrap())
        .collect()
}

fn an_export_has_what_was_asked_for(engine: Engine) {
    let app = with_entries(engine);
    app.advance(chrono::Duration::hours(1));
    app.sdk_key("dev");
    let all = lines(&app, "");
    assert_eq!(all.len(), 10);
    assert_eq!(all[0]["previous"], "");
    assert_eq!(all[4]["previous"], all[3]["hash"]);
    assert_eq!(all[4]["entry"]["action"], "create");
    let kept = app
        .database()
        .texts("SELECT entry AS value FROM audit WHERE seq = 3");
    let raw = app.get("audit/export?from=3&to=3").expect(200);
    assert!(raw.body.contains(&kept[0]), "byte for byte: {}", raw.body);
    for (query, expected) in [
        ("?from=4&to=6", &[4, 5, 6][..]),
        ("?from=9", &[9, 10]),
        ("?from=0&to=1", &[1]),
        ("?from=11", &[]),
        ("?from=6&to=4", &[]),
        ("?route=find_commit", &[5, 6, 7, 8]),
        ("?action=halt", &[3, 7]),
        ("?route=find_commit&action=halt", &[7]),
        ("?environment=dev&from=9", &[9, 10]),
        ("?by=otto@example.com&to=2", &[1, 2]),
        ("?from=2026-01-05T10:30:00Z", &[10]),
        ("?to=2026-01-05T10:30:00Z&from=8", &[8, 9]),
        (
            "?from=2026-01-05T12:00:00%2B01:00&to=2027-01-01T00:00:00Z",
            &[10],
        ),
    ] {
        assert_eq!(places(&app, query), expected, "{query}");
    }
    for wrong in ["?from=yesterday", "?to=-1", "?since=1"] {
        assert_eq!(
            app.get(&format!("audit/export{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

fn a_long_record_comes_in_pages(engine: Engine) {
    let app = App::start(engine);
    let routes: Vec<Value> = (0..1_201)
        .map(|n| json!({ "endpoint": format!("a.B/C{n}"), "key": format!("r{n}"), "operation": "read", "owner": "o" }))
        .collect();
    app.post(Who::OPERATOR, "routes:import", &json!(routes))
        .expect(201);
    let expected: Vec<u64> = (1..=1_201).collect();
    assert_eq!(places(&app, ""), expected);
    assert_eq!(places(&app, "?from=500&to=1001"), &expected[499..1_001]);
    assert_eq!(places(&app, "?route=r1200"), [1_201]);
}

fn a_broken_record_can_be_exported(engine: Engine) {
    let app = with_entries(engine);
    app.database()
        .run("UPDATE audit SET entry = 'no\nentry' WHERE seq = 4; DELETE FROM audit WHERE seq = 6");
    let exported = lines(&app, "");
    assert_eq!(exported.len(), 8);
    assert_eq!(exported[3]["entry"], "no\nentry");
}

#[test]
fn an_export_is_verified_without_a_server() {
    let mut place = Place::serving();
    for name in ["a", "b", "c", "d"] {
        place.well(&["sdk-key", "create", "--environment=dev", "--name", name]);
    }
    let (all, part) = (place.file("all.jsonl"), place.file("part.jsonl"));
    place.well(&["audit", "export", "--output", &all]);
    assert_eq!(
        place.run(&["audit", "export", "-o", &all]).status,
        1,
        "it exists"
    );
    place.well(&["audit", "export", "-o", &part, "--from=2", "--to=3"]);
    assert_eq!(
        place.well(&["audit", "export"]),
        std::fs::read_to_string(&all).unwrap()
    );
    let signed = place.well(&["audit", "checkpoint"]);
    place.stop();

    let verify = |file: &str, more: &[&str]| {
        place.run(&[&["audit", "verify", "--file", file], more].concat())
    };
    let whole = verify(&all, &[]);
    assert_eq!(
        (whole.status, whole.out.as_str()),
        (0, "intact: all 4 entries fit, from the first on\n")
    );
    assert_eq!(verify(&part, &[]).out, "intact: entries 2 to 3 fit\n");
    let key = place.file("signing-key.pem");
    let checked = verify(&all, &["--checkpoint", signed.trim(), "--public-key", &key]);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    assert!(
        checked.out.ends_with("the checkpoint of entry 4 fits\n"),
        "{}",
        checked.out
    );
    let unchecked = verify(&all, &["--checkpoint", signed.trim()]);
    assert!(
        unchecked.out.contains("its signature was not checked"),
        "{}",
        unchecked.out
    );

    let text = std::fs::read_to_string(&all).unwrap();
    let cut: String = text
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let short = place.file("short.jsonl");
    std::fs::write(&short, cut).unwrap();
    let found = verify(
        &short,
        &["--checkpoint", signed.trim(), "--public-key", &key],
    );
    assert_eq!(found.status, 1);
    assert!(
        found
            .out
            .contains("ends at entry 3, but a checkpoint says 4"),
        "{}",
        found.out
    );
    let changed = place.file("changed.jsonl");
    std::fs::write(&changed, text.replacen("\"c\"", "\"x\"", 1)).unwrap();
    let found = verify(&changed, &[]);
    assert_eq!(found.status, 1);
    assert!(found.out.starts_with("BROKEN at entry 3"), "{}", found.out);
    let found = verify(&changed, &["--json"]);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(
        (&found["intact"], &found["broken_at"]),
        (&json!(false), &json!(3))
    );
}
