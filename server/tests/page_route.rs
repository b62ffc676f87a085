//! The pages of a route over real HTTP: what they say in each state that a route can be in.

mod data;
mod plan;
mod texts;

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::conductor::Conductor;

use crate::support::{App, Engine, Fleet, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_new_route_says_what_comes_first,
    a_route_in_preparation_is_nowhere_yet,
    a_halt_by_a_person_and_by_a_guard,
    a_ramp_that_runs_waits_and_is_paused,
    an_environment_that_was_left_behind_shows,
    gates_say_what_would_satisfy_them,
    a_route_that_is_over,
    installations_follow_no_ramp,
    instances_show_drift_and_overrides,
    approvals_and_windows_show,
    what_callers_report_is_drawn,
    the_timeline_goes_back_page_by_page,
    who_is_not_signed_in_is_asked_to,
);

/// A page, as somebody sees it.
fn page(app: &App, who: Who, path: &str) -> Reply {
    app.request("GET", path)
        .header("cookie", &format!("switchover_session={}", who.token()))
        .header("accept", "text/html")
        .send()
}

fn shown(app: &App, path: &str) -> String {
    let reply = page(app, Who::OPERATOR, path).expect(200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let html = reply.body;
    for refused in [" style=", "<style", " onclick=", "javascript:"] {
        assert!(!html.contains(refused), "{refused} in {path}");
    }
    assert_eq!(html.matches("<h1").count(), 1, "{path}");
    html
}

/// Text as it stands in a page.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => {
                is_tag = true;
                text.push(' ');
            }
            '>' => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(html: &str, what: &str) {
    let text = text(html);
    assert!(text.contains(what), "`{what}` is not in: {text}");
}

/// A part of a page, by its id.
#[track_caller]
fn part<'h>(html: &'h str, id: &str) -> &'h str {
    let from = html.find(&format!("id=\"{id}\"")).expect(id);
    let rest = &html[from..];
    rest.split_once("</section>").map_or(rest, |(part, _)| part)
}

fn order(app: &App, route: &str, environment: &str, what: &str) {
    let body = json!({ "reason": "errors <b>everywhere</b>" });
    let path = at(route, environment, what);
    let status = app.post(Who::MAINTAINER, &path, &body).status;
    assert!((200..300).contains(&status), "{what}: {status}");
}

fn policy(app: &App, policy: Value) {
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
}

fn a_new_route_says_what_comes_first(engine: Engine) {
    let app = App::start(engine);
    app.route("count_commits");
    let html = shown(&app, "/routes/count_commits");
    assert_eq!(html.matches("aria-current=\"step\"").count(), 4);
    says(part(&html, "card-dev"), "Promote to opt_in (an operator)");
    says(
        part(&html, "card-production"),
        "Satisfy 1 gate for opt_in: order",
    );
    says(&html, "There is no plan yet.");
    says(part(&html, "timeline"), "create");
    says(&html, "GITALY_COUNT_COMMITS=1");
    assert!(html.contains("data-copy=\"snippet-rust\""));

    let html = shown(&app, "/routes/count_commits/environments/dev");
    says(&html, "No key takes the new path");
    says(part(&html, "charts"), "Nothing was reported in this span.");
    says(part(&html, "instances"), "No instance was seen");
    says(part(&html, "ramp"), "No ramp is planned.");
    says(part(&html, "guards"), "Policy open has no guards.");
    says(part(&html, "proof"), "No evidence is on record here.");
    assert!(!html.contains("id=\"data\""), "it has no two stores");
    page(&app, Who::VIEWER, "/routes/none").expect(404);
    page(&app, Who::VIEWER, "/routes/count_commits/environments/none").expect(404);
}

fn a_route_in_preparation_is_nowhere_yet(engine: Engine) {
    let app = App::start(engine);
    app.route_with("later", json!({ "preparation": { "estimate": 3 } }));
    let html = shown(&app, "/routes/later");
    says(part(&html, "whole"), "Prepare: analysis");
    says(part(&html, "whole"), "switchover prepare later");
    says(&html, "It is in no environment yet.");
    let refused = page(&app, Who::VIEWER, "/routes/later/environments/dev").expect(409);
    says(&refused.body, "is not ready");
    let body = json!({ "action": "shelve", "reason": "no time" });
    app.post(Who::OPERATOR, "routes/later/preparation", &body)
        .expect(200);
    says(&shown(&app, "/routes/later"), "it is shelved");
}

fn a_halt_by_a_person_and_by_a_guard(engine: Engine) {
    let app = App::start(engine);
    policy(
        &app,
        json!({ "name": "watched", "guards": [
            { "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" }] }),
    );
    app.route_with("a", json!({ "policy": "watched" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let address = "/routes/a/environments/dev";
    says(part(&shown(&app, address), "guards"), "too little is known");
    order(&app, "a", "dev", "halt");
    let html = shown(&app, address);
    says(part(&html, "now"), "Halted");
    says(
        &html,
        "Resume, when what mia@example.com halted it for is mended (an operator)",
    );
    says(&html, "errors &#60;b&#62;everywhere&#60;/b&#62;");
    order(&app, "a", "dev", "resume");

    let fleet = Fleet::new(app.sdk_key("dev"), 3);
    let mut conductor = Conductor::new(Arc::clone(app.services()));
    for _ in 0..4 {
        fleet.calls(&app, "a", 1_000, 500);
        assert!(conductor.tick());
    }
    let html = shown(&app, address);
    says(
        part(&html, "now"),
        "Resume, after you have looked at why guard errors halted it (an operator)",
    );
    says(part(&html, "now"), "by guard:errors");
    // With the halt its counts began anew.
    says(part(&html, "timeline"), "halt");
    says(&shown(&app, "/routes/a"), "guard errors halted it");
}

fn a_ramp_that_runs_waits_and_is_paused(engine: Engine) {
    let app = App::start(engine);
    policy(
        &app,
        json!({ "name": "stepwise",
                "ramp": [{ "percent": 10, "hold_hours": 1 }, { "percent": 100, "hold_hours": 2 }] }),
    );
    app.route_with("a", json!({ "policy": "stepwise" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let address = "/routes/a/environments/dev";
    says(
        &shown(&app, address),
        "Start the ramp, at 10 % (an operator)",
    );
    order(&app, "a", "dev", "ramp/start");
    let html = shown(&app, address);
    says(
        part(&html, "now"),
        "Wait: ramp goes to 100 % at 2026-01-05 11:00 UTC",
    );
    says(part(&html, "ramp"), "10 % for 1h");
    says(
        part(&html, "ramp"),
        "unless a freeze holds it back. Its policy has no guards",
    );
    says(part(&html, "now"), "10 % of the keys may take the new path");

    let body = json!({ "reason": "an incident" });
    let freeze = app.post(Who::MAINTAINER, "freezes", &body).expect(201);
    let html = shown(&app, address);
    says(part(&html, "ramp"), "held back");
    says(part(&html, "now"), "change freeze");
    let id = freeze.json()["id"].as_str().unwrap().to_owned();
    let path = format!("freezes/{id}?reason=over");
    let request = app.request("DELETE", &path).by(Who::MAINTAINER);
    request.send().expect(200);

    order(&app, "a", "dev", "ramp/pause");
    let html = shown(&app, address);
    says(
        part(&html, "now"),
        "Resume the ramp, which mia@example.com paused",
    );
    says(part(&html, "ramp"), "It does not go on by itself");
}

fn an_environment_that_was_left_behind_shows(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.bring("a", &["dev", "staging"], "opt_in");
    let body = json!({ "to": "ready_for_testing", "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "demotions"), &body)
        .expect(201);
    let html = shown(&app, "/routes/a");
    says(part(&html, "card-staging"), "drift: ahead of dev");
    // What can be undone has a link to the form that does it.
    let timeline = part(&html, "timeline");
    assert!(timeline.contains("href=\"/routes/a/revert/"), "{timeline}");
    let viewers = page(&app, Who::VIEWER, "/routes/a").expect(200).body;
    assert!(!viewers.contains("/revert/") && !viewers.contains("<form class=\"halt"));
    assert!(html.contains("<form class=\"halt"));
}

fn gates_say_what_would_satisfy_them(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let html = shown(&app, "/routes/a/environments/dev");
    let gates = part(&html, "gates");
    says(gates, "Gates for Opt-in");
    says(gates, "does not pass");
    says(gates, "too little is known");
    says(gates, "To satisfy it: ");
    for address in [
        "/routes/a/environments/dev/evidence",
        "#instances",
        "#charts",
    ] {
        assert!(gates.contains(&format!("href=\"{address}")), "{address}");
    }
    let viewers = page(&app, Who::VIEWER, "/routes/a/environments/dev").expect(200);
    assert!(!part(&viewers.body, "gates").contains("/environments/dev/evidence"));
    let (failing, passing) = (
        gates.find("is-bad").unwrap(),
        gates.find("is-good").unwrap(),
    );
    assert!(failing < passing, "what is to be done comes first");
}

fn a_route_that_is_over(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let all = ["dev", "staging", "production", "on-prem"];
    app.bring("a", &all, "mandatory");
    let html = shown(&app, "/routes/a/environments/dev");
    says(
        part(&html, "now"),
        "Nothing: mandatory since 2026-01-05 10:00 UTC",
    );
    assert!(!html.contains("id=\"gates\""), "there is no stage after it");
    says(
        &shown(&app, "/routes/a"),
        "Take the flag out of the code, then retire it",
    );
    app.scanned(&["a"]);
    let body = json!({ "reason": "gone from the code" });
    app.post(Who::MAINTAINER, "routes/a/retire", &body)
        .expect(200);
    let html = shown(&app, "/routes/a");
    says(&html, "Nothing: retired since");
    says(&html, "final, and mandatory for ever");
}

fn installations_follow_no_ramp(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let html = shown(&app, "/routes/a/environments/on-prem");
    for absent in ["id=\"ramp\"", "id=\"charts\"", "id=\"instances\""] {
        assert!(!html.contains(absent), "{absent}");
    }
    says(part(&html, "sites"), "No installation has said");
    let census = json!({ "environment": "on-prem", "site": "acme", "taken_at": "2026-01-05T09:00:00Z",
                         "overrides": { "GITALY_A": false }, "reason": "test" });
    app.post(Who::OPERATOR, "censuses", &census).expect(201);
    let html = shown(&app, "/routes/a/environments/on-prem");
    says(part(&html, "sites"), "acme GITALY_A=0, old path");
}

fn what_callers_report_is_drawn(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let fleet = Fleet::new(app.sdk_key("dev"), 2);
    for _ in 0..3 {
        app.advance(Duration::seconds(60));
        fleet.calls(&app, "a", 100, 1);
    }
    for span in ["", "?span=6h", "?span=24h", "?span=7d"] {
        let html = shown(&app, &format!("/routes/a/environments/dev{span}"));
        let charts = part(&html, "charts");
        for chart in ["calls", "errors", "p50", "p99", "mismatches"] {
            assert!(charts.contains(&format!("id=\"chart-{chart}\"")), "{chart}");
        }
        assert!(charts.contains("<desc"), "{charts}");
        says(charts, "new path");
        says(charts, "The same as a table");
        assert!(charts.contains("scope=\"row\""));
    }
    let html = shown(&app, "/routes/a/environments/dev");
    says(
        part(&html, "now"),
        "600 of 600 calls of the last 10 minutes took the new path",
    );
    says(part(&html, "instances"), "web-0");
    says(part(&html, "instances"), "has not said which routes it has");
}

fn the_timeline_goes_back_page_by_page(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    for percent in 1..=30 {
        let setting = json!({ "mode": "ramp", "percent": percent });
        app.set("a", "dev", setting).expect(200);
    }
    let html = shown(&app, "/routes/a/environments/dev?span=6h");
    let timeline = part(&html, "timeline");
    says(timeline, "ramp 29 % → ramp 30 %");
    assert!(!text(timeline).contains("ramp 1 % → ramp 2 %"));
    let (_, rest) = timeline.rsplit_once("href=\"").unwrap();
    let older = rest.split_once('"').unwrap().0.replace("&#38;", "&");
    assert!(
        older.contains("span=6h") && older.ends_with("#timeline"),
        "{older}"
    );
    let older = older.trim_end_matches("#timeline");
    let html = shown(&app, older);
    says(part(&html, "timeline"), "ramp 1 % → ramp 2 %");
    says(part(&html, "timeline"), "Latest");
    assert!(!text(part(&html, "timeline")).contains("Older"));
}

fn who_is_not_signed_in_is_asked_to(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    for path in ["/routes/a", "/routes/a/environments/dev", "/routes/a/plan"] {
        let reply = app.request("GET", path).send().expect(303);
        assert!(
            reply
                .header("location")
                .unwrap()
                .starts_with("/sign-in?next=")
        );
    }
}

fn instances_show_drift_and_overrides(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let old = app.snapshot(&key).expect(200).json()["version"].clone();
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 1 }))
        .expect(200);
    let now = app.snapshot(&key).expect(200).json()["version"].clone();
    let report = |id: &str, version: &Value, route: Value| {
        let body = json!({
            "sequence": 1,
            "instance": { "id": id, "name": format!("web-{id}"), "application": "web",
                          "version": "1.0", "sdk": "rust/0.1.0", "snapshot": version },
            "interval_ms": 5_000, "routes": [route], "counts": [],
        });
        app.sdk_post(&key, "telemetry", &body).expect(204);
    };
    report("1", &now, json!({ "route": "a" }));
    report(
        "2",
        &old,
        json!({ "route": "a", "override": false,
                                 "breaker_open": true }),
    );
    report("3", &now, json!({ "route": "other" }));
    let html = shown(&app, "/routes/a/environments/dev");
    let instances = part(&html, "instances");
    says(instances, "web-1 has the route up to date");
    says(
        instances,
        "web-2 has the route GITALY_A=0: old path breaker open: old path 1 revision behind",
    );
    says(instances, "web-3 lacks the route up to date");
    let place = |name: &str| instances.find(name).unwrap();
    assert!(place("web-1") > place("web-2") && place("web-1") > place("web-3"));
}

fn approvals_and_windows_show(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let body = json!({ "to": "opt_in", "comment": "go" });
    app.post(Who::APPROVER, &at("a", "dev", "approvals"), &body)
        .expect(201);
    let address = "/routes/a/environments/dev";
    says(
        part(&shown(&app, address), "proof"),
        "max@example.com valid",
    );
    let evidence = json!({ "kind": "performance", "verdict": "pass", "summary": "fast" });
    app.post(Who::OPERATOR, &at("a", "dev", "evidence"), &evidence)
        .expect(201);
    let html = shown(&app, address);
    says(part(&html, "proof"), "void: what it covers has changed");
    says(part(&html, "proof"), "performance pass");
    let window = json!({ "until": "2026-01-06T10:00:00Z", "percent": 5, "reason": "test" });
    let path = at("a", "production", "acceptance");
    app.post(Who::MAINTAINER, &path, &window).expect(201);
    let html = shown(&app, "/routes/a");
    says(
        part(&html, "card-production"),
        "acceptance window, 1 d left",
    );
    says(
        part(&html, "card-production"),
        "5 % of the keys may take the new path",
    );
}
