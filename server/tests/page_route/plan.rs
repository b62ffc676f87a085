//! The plan: read, ticked, noted.

use crate::page_route::{page, says, shown};
use crate::support::{App, Engine, Reply, Who, on_both_engines};

on_both_engines!(
    steps_are_ticked_and_opened_again,
    a_step_waits_for_those_before_it,
    a_note_that_is_too_long_is_kept_in_the_form,
    viewers_see_no_controls,
    markdown_stays_text,
);

const PLAN: &str = "# Counting\n\n## Before opt-in\n<!-- gate: opt_in -->\n\n- [ ] [DevOps] Back up\n  - Look at it\n- [ ] Tell them\n\n```sh\nls -l\n```\n";

fn with_plan(engine: Engine, source: &str) -> App {
    let app = App::start(engine);
    app.route("a");
    let request = app.request("PUT", "routes/a/plan?reason=test");
    let request = request
        .by(Who::OPERATOR)
        .header("content-type", "text/markdown");
    request.body(source).send().expect(201);
    app
}

/// What stands between two texts.
fn between<'h>(html: &'h str, from: &str, to: &str) -> &'h str {
    let (_, rest) = html.split_once(from).expect(from);
    rest.split_once(to).expect(to).0
}

/// The address of the step with this text.
fn step<'h>(html: &'h str, text: &str) -> &'h str {
    let (before, _) = html.split_once(&format!("<bdi>{text}</bdi>")).expect(text);
    let (_, id) = before.rsplit_once("id=\"step-").unwrap();
    id.split_once('"').unwrap().0
}

fn send(app: &App, who: Who, html: &str, step: &str, fields: &str) -> Reply {
    let csrf = between(html, "name=\"csrf\" value=\"", "\"");
    app.request("POST", &format!("/routes/a/plan/steps/{step}"))
        .header("cookie", &format!("switchover_session={}", who.token()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf={csrf}&{fields}"))
        .send()
}

fn steps_are_ticked_and_opened_again(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let html = shown(&app, "/routes/a/plan");
    says(&html, "0 of 3 steps done");
    says(&html, "gate: Opt-in waits for it");
    says(&html, "DevOps");
    says(&html, "ls -l");
    let step = step(&html, "Tell them").to_owned();
    let reply = send(&app, Who::OPERATOR, &html, &step, "done=1").expect(303);
    let to = format!("/routes/a/plan#step-{step}");
    assert_eq!(reply.header("location"), Some(to.as_str()));
    let html = shown(&app, "/routes/a/plan");
    says(&html, "1 of 3 steps done");
    says(&html, "Done by otto@example.com");
    send(
        &app,
        Who::OPERATOR,
        &html,
        &step,
        "note=by+night%0D%0Aand+fog",
    )
    .expect(303);
    says(&shown(&app, "/routes/a/plan"), "by night and fog");
    send(&app, Who::OPERATOR, &html, &step, "done=0").expect(303);
    let html = shown(&app, "/routes/a/plan");
    says(&html, "0 of 3 steps done");
    says(&html, "Opened again by otto@example.com");
    says(&html, "by night and fog");
    says(&shown(&app, "/routes/a"), "0 of 3 steps done");
    send(&app, Who::OPERATOR, &html, "nonesuch", "done=1").expect(404);
}

fn a_step_waits_for_those_before_it(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let body = serde_json::json!({ "ordered": true, "reason": "test" });
    let request = app.request("PATCH", "routes/a/plan");
    request.by(Who::OPERATOR).json(&body).send().expect(200);
    let html = shown(&app, "/routes/a/plan");
    says(&html, "steps are done one after the other");
    says(&html, "Waits for:");
    let last = step(&html, "Tell them");
    assert!(!html.contains(&format!("id=\"tick-{last}\"")));
    let refused = send(&app, Who::OPERATOR, &html, last, "done=1").expect(409);
    says(&refused.body, "Nothing was changed.");
}

fn a_note_that_is_too_long_is_kept_in_the_form(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let html = shown(&app, "/routes/a/plan");
    let step = step(&html, "Tell them");
    let fields = format!("note={}", "x".repeat(3_000));
    let refused = send(&app, Who::OPERATOR, &html, step, &fields).expect(422);
    assert!(refused.body.contains(&"x".repeat(3_000)), "what was typed");
    says(&refused.body, "Nothing was changed.");
    assert!(refused.body.contains(&format!("id=\"note-{step}\" open")));
}

fn viewers_see_no_controls(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let operators = shown(&app, "/routes/a/plan");
    let html = page(&app, Who::VIEWER, "/routes/a/plan").expect(200).body;
    assert!(!html.contains("/plan/steps/"));
    let step = step(&operators, "Tell them");
    let own = page(&app, Who::VIEWER, "/routes/a/plan").body;
    send(&app, Who::VIEWER, &own, step, "done=1").expect(403);
    // A form that was made for another session.
    send(&app, Who::OPERATOR, &own, step, "done=1").expect(403);
    says(&shown(&app, "/routes/a/plan"), "0 of 3 steps done");
}

fn markdown_stays_text(engine: Engine) {
    let source = "# <script>alert(1)</script>\n\n- [ ] [Ops] <img src=x onerror=alert(1)> & **bold**\n\n```html\n</code></pre><script>\n```\n\n## \u{5e9}\u{5dc}\u{5d5}\u{5dd} 🚀\n\n- one\n";
    let app = with_plan(engine, source);
    let html = shown(&app, "/routes/a/plan");
    for raw in ["<script>alert", "<img", "</code></pre><script>"] {
        assert!(!html.contains(raw), "{raw}");
    }
    says(&html, "🚀");
    let none = App::start(engine);
    none.route("a");
    says(&shown(&none, "/routes/a/plan"), "There is no plan yet.");
}
