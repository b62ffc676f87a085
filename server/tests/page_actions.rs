//! The forms of the page: who may send them, what they show before anything happens, and that what was
//! shown is what is done.

mod data;
mod forged;
mod person;
mod story;
mod switches;

use serde_json::json;
use switchover_server::domain::actor::Role;
use switchover_server::page_forms;

use crate::support::{App, Engine, Reply, Who, at};
use person::{Filled, Person};

/// The address of a form, of a route that is in the place of the pattern's.
fn address(pattern: &str, route: &str) -> String {
    pattern
        .replace("{route}", route)
        .replace("{environment}", "dev")
}

/// Routes that every form can be shown for: one that writes, and one that is being prepared.
fn app() -> App {
    let app = App::start(Engine::Sqlite);
    app.route_with("w", json!({ "operation": "write" }));
    app.route("a");
    app
}

fn dev(what: &str) -> String {
    format!("/routes/a/environments/dev/{what}")
}

#[track_caller]
fn says(reply: &Reply, text: &str) {
    assert!(
        reply.body.contains(text),
        "not said: {text}\n{}",
        reply.body
    );
}

#[test]
fn every_form_is_shown_from_its_role_on() {
    let app = app();
    let people = Role::ALL.map(|role| (role, Person::signed_in(&app, Who::of(role))));
    let forms: Vec<_> = page_forms().collect();
    assert!(forms.len() > 20, "{}", forms.len());
    for (pattern, needs) in &forms {
        assert!(*needs > Role::Viewer, "{pattern}: a viewer changes nothing");
        let path = address(pattern, "w");
        for (role, person) in &people {
            let reply = person.get(&path);
            match role < needs {
                true => assert_eq!(reply.status, 403, "{role}: {path}"),
                false => {
                    assert_eq!(reply.status, 200, "{role}: {path}: {}", reply.body);
                    assert_eq!(Filled::of(&reply).action, path);
                }
            }
        }
    }
}

#[test]
fn nobody_sees_a_form_without_signing_in() {
    let app = app();
    for (pattern, _) in page_forms() {
        let reply = app.request("GET", &address(&pattern, "w")).send();
        assert_eq!(reply.status, 303, "{pattern}");
        assert!(reply.header("location").unwrap().starts_with("/sign-in?"));
    }
}

#[test]
fn a_preview_changes_nothing() {
    let app = app();
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let before = (app.audit_count(), app.rollout("a", "dev"));
    for (form, field, value) in [
        ("setting", "mode", "on"),
        ("promote", "to", "opt_in"),
        ("cohorts", "include", "7\n8"),
        ("mirror", "read_percent", "5"),
    ] {
        let form = otto.form(&dev(form)).with(field, value);
        let form = form.with("reason", "test").with("step", "preview");
        let shown = otto.send(&form).expect(200);
        says(&shown, "What it would do");
        let again = Filled::of(&shown);
        assert_eq!(again.get(field), value, "what was typed is still there");
        assert_eq!(again.get("reason"), "test");
        assert_eq!((app.audit_count(), app.rollout("a", "dev")), before);
    }
}

#[test]
fn what_was_shown_is_what_is_done() {
    let app = app();
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let form = otto
        .form(&dev("setting"))
        .with("mode", "ramp")
        .with("percent", "10");
    let form = form.with("reason", "first step").with("step", "preview");
    let shown = otto.send(&form).expect(200);
    says(&shown, "0 %");
    says(&shown, "10 %");
    let shown = Filled::of(&shown);

    // Filled in otherwise since: it is shown anew.
    let other = shown.with("percent", "90").with("step", "apply");
    let reply = otto.send(&other).expect(422);
    says(&reply, "filled in otherwise");
    says(&reply, "90 %");
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 0);

    // Changed by somebody else since: it is shown anew, and what was typed is still there.
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 3 }))
        .expect(200);
    let reply = otto.send(&shown.with("step", "apply")).expect(412);
    says(&reply, "changed in the meantime");
    says(&reply, "3 %");
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 3);
    let shown = Filled::of(&reply);
    assert_eq!(shown.get("percent"), "10");
    assert_eq!(shown.get("reason"), "first step");

    // Sent twice, it is done once.
    let order = shown.with("step", "apply");
    let before = app.audit_count();
    for _ in 0..2 {
        let reply = otto.send(&order).expect(303);
        assert_eq!(reply.header("location"), Some("/routes/a/environments/dev"));
    }
    assert_eq!(app.audit_count(), before + 1);
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 10);
}

#[test]
fn what_is_wrong_stands_beside_its_field() {
    let app = app();
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let form = otto.form(&dev("setting")).with("mode", "ramp");
    let wrong = form
        .with("percent", "ten")
        .with("reason", "")
        .with("step", "preview");
    let reply = otto.send(&wrong).expect(422);
    says(&reply, "id=\"f-percent-complaint\"");
    says(&reply, "id=\"f-reason-complaint\"");
    assert_eq!(Filled::of(&reply).get("percent"), "ten");
    let wrong = form
        .with("percent", "101")
        .with("reason", "x")
        .with("step", "preview");
    says(&otto.send(&wrong).expect(422), "id=\"f-percent-complaint\"");
    let steps = otto.form(&dev("ramp")).with("steps", "10%\n100% 1h");
    let steps = steps
        .with("reason", "<script>alert(1)</script>")
        .with("step", "preview");
    let reply = otto.send(&steps).expect(422);
    says(&reply, "id=\"f-steps-complaint\"");
    assert!(!reply.body.contains("<script>alert"), "{}", reply.body);
}

#[test]
fn in_production_the_name_is_typed_for_what_exposes_more() {
    let app = app();
    app.bring("a", &["dev", "staging", "production"], "opt_in");
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let production = |what: &str| format!("/routes/a/environments/production/{what}");
    let set = |percent: &str| {
        let form = otto.form(&production("setting")).with("mode", "ramp");
        let form = form.with("percent", percent).with("reason", "test");
        Filled::of(&otto.send(&form.with("step", "preview")).expect(200)).with("step", "apply")
    };
    let lower = set("10");
    assert!(!lower.has("confirm"), "less is safer");
    otto.send(&lower).expect(303);
    let higher = set("50");
    assert!(higher.has("confirm"));
    for wrong in ["", "A", "b"] {
        let reply = otto.send(&higher.with("confirm", wrong)).expect(422);
        says(&reply, "id=\"f-confirm-complaint\"");
    }
    otto.send(&higher.without("confirm")).expect(422);
    assert_eq!(app.rollout("a", "production")["exposure_percent"], 10);
    otto.send(&higher.with("confirm", "a")).expect(303);
    assert_eq!(app.rollout("a", "production")["exposure_percent"], 50);

    // A halt is one step.
    let halt = otto.form(&production("halt"));
    assert!(!halt.has("confirm") && !halt.get("reason").is_empty());
    otto.send(&halt).expect(303);
    assert_eq!(app.rollout("a", "production")["halted"], true);
    // The way back is not.
    let resume = otto.form(&production("resume")).with("reason", "mended");
    let shown = otto.send(&resume.with("step", "preview")).expect(200);
    assert!(Filled::of(&shown).has("confirm"));
}

#[test]
fn every_form_of_people_and_routes_does_what_it_says() {
    let app = app();
    let mia = Person::signed_in(&app, Who::MAINTAINER);
    let done = |path: &str, fields: &[(&str, &str)]| {
        let reply = mia.does_at_once(path, fields);
        assert_eq!(reply.status, 303, "{path}: {}", reply.body);
    };
    done(&dev("approve"), &[("comment", "looked at it")]);
    let listed = app.get(&at("a", "dev", "approvals")).json();
    assert_eq!(listed["items"][0]["comment"], "looked at it");
    done(&dev("withdraw-approval"), &[("reason", "not yet")]);
    let listed = app.get(&at("a", "dev", "approvals")).json();
    assert_eq!(listed["items"], json!([]));
    done(
        &dev("evidence"),
        &[
            ("kind", "performance"),
            ("summary", "p99 is 18 ms"),
            ("url", "https://example.com/d"),
        ],
    );
    let listed = app.get(&at("a", "dev", "evidence")).json();
    assert_eq!(listed["items"][0]["url"], "https://example.com/d");
    done(
        "/routes/a/edit",
        &[
            ("owner", "source"),
            ("alert", "https://example.com/a"),
            ("contacts", "on_call #git"),
            ("reason", "new team"),
        ],
    );
    let route = app.get("routes/a").json();
    assert_eq!(route["owner"], "source");
    assert_eq!(route["contacts"]["on_call"], "#git");
    assert_eq!(route["links"]["alert"], "https://example.com/a");
    done("/routes/a/runbook", &[("reason", "first")]);
    assert_eq!(app.get("routes/a/runbook").status, 200);
    let outside = json!({ "owner": Who::MAINTAINER.1, "description": "dns", "reason": "test" });
    app.put(Who::OPERATOR, "routes/a/externals/dns", &outside)
        .expect(200);
    done("/routes/a/confirm", &[("comment", "seen")]);
    let outside = app.get("routes/a/externals/dns").json();
    assert_eq!(outside["confirmed"]["comment"], "seen");
    let stores = "/routes/w/environments/dev";
    done(
        &format!("{stores}/consistency-schedule"),
        &[("every", ""), ("reason", "quiet")],
    );
    let reply = mia.does_at_once(&format!("{stores}/repairs"), &[("reason", "again")]);
    assert_eq!(reply.status, 422, "no keys are named: {}", reply.body);
    let reply = mia.does_at_once(
        "/routes/a/retire",
        &[("reason", "too early"), ("confirm", "a")],
    );
    assert_eq!(reply.status, 409, "{}", reply.body);
    let reply = mia.does_at_once("/routes/a/retire", &[("reason", "too early")]);
    assert_eq!(reply.status, 422, "its name is typed first: {}", reply.body);
    app.assert_audit_intact();
}

#[test]
fn a_route_is_prepared_step_by_step() {
    let app = app();
    app.route_with("p", json!({ "preparation": { "estimate": 5 } }));
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let step = |fields: &[(&str, &str)]| {
        let reply = otto.does_at_once("/routes/p/prepare", fields);
        assert_eq!(reply.status, 303, "{}", reply.body);
    };
    step(&[
        ("step_of", "estimate"),
        ("estimate", "two sprints"),
        ("reason", "test"),
    ]);
    // What comes next is chosen already.
    for _ in 0..4 {
        step(&[("reason", "test")]);
    }
    assert_eq!(app.get("routes/p").json()["ready"], true);
}
