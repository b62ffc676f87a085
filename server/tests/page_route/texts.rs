//! What people write of a route is shown as they wrote it, and is nothing but text.

use serde_json::json;

use crate::page_route::{part, says, shown, text};
use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(hostile_texts_are_shown_as_text, the_longest_texts_are_shown);

const SCRIPT: &str = "<script>alert('x')</script>";
const MARKUP: &str = "\"><img src=x onerror=alert(1)>";

fn hostile_texts_are_shown_as_text(engine: Engine) {
    let app = App::start(engine);
    app.route_with(
        "a",
        json!({
            "owner": SCRIPT,
            "description": format!("{MARKUP}\n\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} 🚀"),
            "labels": { "team": SCRIPT },
            "contacts": { "on-call": MARKUP },
            "links": { "issue": "https://example.com/?a=1&b=%22%3E" },
        }),
    );
    let body = json!({ "mode": "ramp", "percent": 5, "reason": SCRIPT });
    app.put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
        .expect(200);
    let body = json!({ "include": [SCRIPT], "exclude": [MARKUP], "reason": MARKUP });
    app.put(Who::OPERATOR, &at("a", "dev", "cohorts"), &body)
        .expect(200);
    let evidence = json!({ "kind": "other", "verdict": "pass", "summary": SCRIPT,
                           "url": "https://example.com/\"onmouseover=alert(1)" });
    let added = app.post(Who::OPERATOR, &at("a", "dev", "evidence"), &evidence);
    assert!([201, 422].contains(&added.status), "{}", added.body);
    for path in ["/routes/a", "/routes/a/environments/dev"] {
        let html = shown(&app, path);
        for raw in [
            "<script>alert",
            "<img src=x",
            "onerror=alert(1)>",
            "\"onmouseover",
        ] {
            assert!(!html.contains(raw), "{raw} in {path}");
        }
        assert!(
            html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"),
            "{path}"
        );
    }
    let html = shown(&app, "/routes/a");
    says(&html, "🚀");
    assert!(html.contains("dir=\"auto\""));
    let html = shown(&app, "/routes/a/environments/dev");
    says(part(&html, "keys"), "alert(");
    assert!(text(&html).contains("5 % of the keys may take the new path"));
}

fn the_longest_texts_are_shown(engine: Engine) {
    let app = App::start(engine);
    let key = format!("a{}", "x".repeat(62));
    let owner = "o".repeat(100);
    app.route_with(
        &key,
        json!({ "endpoint": "gitaly.Service/Long", "flag": "GITALY_LONG", "owner": owner,
                "labels": { "long": "l".repeat(100) } }),
    );
    let body = json!({ "mode": "ramp", "percent": 0.001, "reason": "r".repeat(1_000) });
    app.put(Who::OPERATOR, &at(&key, "dev", "setting"), &body)
        .expect(200);
    let body = json!({ "include": ["k".repeat(256)], "exclude": [], "reason": "test" });
    app.put(Who::OPERATOR, &at(&key, "dev", "cohorts"), &body)
        .expect(200);
    says(&shown(&app, &format!("/routes/{key}")), &owner);
    let html = shown(&app, &format!("/routes/{key}/environments/dev"));
    says(part(&html, "keys"), &"k".repeat(256));
    says(&html, "0.001 % of the keys");
}
