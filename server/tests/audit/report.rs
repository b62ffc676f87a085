//! A route's report, from what a server recorded.

use chrono::Duration;
use serde_json::json;

use super::verify;
use crate::support::{App, Engine, Place, Who, at, on_both_engines};

on_both_engines!(a_migration_is_reported);

fn a_migration_is_reported(engine: Engine) {
    let app = App::start(engine);
    app.route("count_commits");
    let later = |hours| app.advance(Duration::hours(hours));
    let send = |who, environment, what, body| {
        app.post(who, &at("count_commits", environment, what), &body)
    };
    later(24);
    let window = json!({ "until": "2026-01-08T10:00:00Z", "percent": 5, "reason": "a | test" });
    send(Who::MAINTAINER, "production", "acceptance", window).expect(201);
    later(1);
    send(
        Who::OPERATOR,
        "production",
        "halt",
        json!({ "reason": "<b>drill</b>" }),
    )
    .expect(200);
    later(2);
    send(
        Who::OPERATOR,
        "production",
        "resume",
        json!({ "reason": "over" }),
    )
    .expect(200);
    later(48);
    app.services().close_windows_due().unwrap();
    app.bring("count_commits", &["dev"], "mandatory");
    let demotion = json!({ "to": "opt_out", "break_glass": true, "reason": "it is worse" });
    send(Who::ADMIN, "dev", "demotions", demotion).expect(201);

    let reply = app.get("routes/count_commits/report").expect(200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    for part in [
        "# Migration of `count_commits`",
        "## ⚠ Break-glass",
        "| dev | ready_for_testing | 2026-01-05 10:00:00Z | 2026-01-08 13:00:00Z | 3 d 3 h |",
        "| dev | opt_out ⚠ | 2026-01-08 13:00:00Z |",
        "| production | 5 % | 2026-01-06 10:00:00Z | 2026-01-08 13:00:00Z by system",
        "&lt;b&gt;drill&lt;/b&gt;",
        "1 in all, halted for 2 h: production 1 (2 h).",
        "a &#124; test",
        "## Approvals",
    ] {
        assert!(reply.body.contains(part), "{part}:\n{}", reply.body);
    }
    assert_eq!(app.get("routes/nope/report").status, 404);
    assert_eq!(verify(&app, &json!({}))["intact"], true);
}

#[test]
fn a_report_goes_where_it_is_wanted() {
    let place = Place::serving();
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=gitaly",
    ]);
    let shown = place.well(&["report", "count_commits"]);
    assert!(
        shown.starts_with("# Migration of `count_commits`\n"),
        "{shown}"
    );
    let file = place.file("report.md");
    assert_eq!(place.well(&["report", "count_commits", "-o", &file]), "");
    assert!(std::fs::read_to_string(&file).unwrap().contains("## Halts"));
    assert_eq!(place.run(&["report", "nope"]).status, 1);
}
