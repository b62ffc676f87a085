//! What is no plan, and what is no change of one.

use serde_json::json;

use super::{PLAN, patch, put, with_plan};
use crate::support::{Engine, Who, on_both_engines};

on_both_engines!(what_is_no_plan_is_refused);

fn what_is_no_plan_is_refused(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let before = app.database().fingerprint();
    let refused = |source: &str, field: &str, says: &str| {
        let problem = put(&app, source).problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{problem}"
        );
    };
    refused(
        "\n<!-- gate: soon -->",
        "line 2",
        "opt_in, opt_out or mandatory",
    );
    refused("- a\u{0}", "line 1", "U+0000");
    refused("- a\n- \u{202E}b", "line 2", "U+202E");
    refused("- a <!-- after: b -->", "plan", "no such step");
    refused(&"> - ".repeat(40), "line 1", "nest less");
    refused(&"- a\n".repeat(5_001), "line 5001", "5000 steps");
    let large = put(&app, &"a".repeat((1 << 20) + 1)).problem(413);
    assert_eq!(large["code"], "payload_too_large");
    assert!(
        large["detail"].as_str().unwrap().contains("1048576 bytes"),
        "{large}"
    );
    let send = |path: &str, kind: &str, body: &[u8]| {
        let path = format!("routes/count_commits/plan{path}");
        let request = app
            .request("PUT", &path)
            .by(Who::OPERATOR)
            .header("content-type", kind);
        request.body(body).send()
    };
    let markdown = "text/markdown; charset=utf-8";
    assert_eq!(
        send("?reason=r", markdown, b"\xff").code(400),
        "malformed_request"
    );
    assert_eq!(
        send("?reason=r", "application/json", b"{}").code(415),
        "unsupported_media_type"
    );
    assert_eq!(send("", markdown, b"- a").code(422), "invalid");
    assert_eq!(send("?reason=%20", markdown, b"- a").code(422), "invalid");
    assert_eq!(
        send("?reason=r&x=1", markdown, b"- a").code(400),
        "malformed_request"
    );
    assert_eq!(
        app.get("routes/count_commits/plan?format=yaml").code(400),
        "malformed_request"
    );
    for (what, body, status) in [
        ("/steps/nope", json!({ "done": true }), 404),
        ("/steps/%00", json!({ "done": true }), 404),
        ("/steps/clean", json!({}), 422),
        ("/steps/clean", json!({ "done": "yes" }), 400),
        ("/steps/clean", json!({ "done": true, "by": "me" }), 400),
        ("/steps/clean", json!({ "note": "n".repeat(2_001) }), 422),
        ("/steps/clean", json!({ "note": "\u{1b}[31m" }), 422),
        ("", json!({}), 400),
    ] {
        patch(&app, Who::OPERATOR, what, body).problem(status);
    }
    for (who, status) in [(Who::VIEWER, 403), (Who::OPERATOR, 200)] {
        let now = app.database().fingerprint();
        assert_eq!(now, before);
        let reply = patch(&app, who, "/steps/clean", json!({ "done": true }));
        assert_eq!(reply.status, status, "{}", reply.body);
    }
    // As large as one may be.
    let line = "- one step of very many, with enough words to fill a line of its own, and then some more words until the line is long enough to make a document of one mebibyte with no more steps than there may be, which needs lines of some two hundred letters\n";
    let largest = line.repeat((1 << 20) / line.len());
    let plan = put(&app, &largest).expect(200).json();
    assert_eq!(plan["total"], (1 << 20) / line.len());
    assert_eq!(
        app.get("routes/count_commits/plan").expect(200).body,
        largest
    );
}
