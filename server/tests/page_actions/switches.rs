//! Ramps, acceptance windows, cascades and the broken glass, by forms.

use chrono::Duration;
use serde_json::json;

use super::person::{Filled, Person};
use super::{dev, says};
use crate::support::{App, Engine, Who, at};

#[test]
fn a_ramp_is_planned_started_paused_and_resumed() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "off" })).expect(200);
    app.bring("a", &["dev"], "opt_in");
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let steps = [("steps", "10 1h\n100% 24h"), ("reason", "a day")];
    otto.does(&dev("ramp"), &steps).expect(303);
    assert_eq!(app.rollout("a", "dev")["ramp"]["state"], "ready");
    assert_eq!(otto.form(&dev("ramp")).get("steps"), "10 % 1h\n100 % 1d");

    let start = otto.form(&dev("ramp-start")).with("reason", "go");
    let shown = otto.send(&start.with("step", "preview")).expect(200);
    says(&shown, "10 %");
    otto.does(&dev("ramp-start"), &[("reason", "go")])
        .expect(303);
    assert_eq!(app.rollout("a", "dev")["exposure_percent"], 10);
    otto.does_at_once(&dev("ramp-pause"), &[("reason", "wait")])
        .expect(303);
    assert_eq!(app.rollout("a", "dev")["ramp"]["state"], "paused");
    otto.does(&dev("ramp-resume"), &[("reason", "on")])
        .expect(303);
    assert_eq!(app.rollout("a", "dev")["ramp"]["state"], "running");
}

#[test]
fn an_acceptance_window_is_opened_and_closed() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let production = |what: &str| format!("/routes/a/environments/production/{what}");
    let mia = Person::signed_in(&app, Who::MAINTAINER);
    // An operator raises nothing there without one, and is told.
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let set = otto.form(&production("setting")).with("mode", "on");
    let set = set.with("reason", "test").with("step", "preview");
    says(&otto.send(&set).expect(409), "acceptance window");

    let fields = [("percent", "5"), ("cohort", "7\n8"), ("reason", "test")];
    mia.does(&production("acceptance"), &fields).expect(303);
    let rollout = app.rollout("a", "production");
    assert_eq!(rollout["exposure_percent"], 5);
    assert_eq!(rollout["acceptance"]["cohort"], json!(["7", "8"]));
    // It is four hours ahead when nothing else is said.
    assert_eq!(rollout["acceptance"]["until"], "2026-01-05T14:00:00Z");
    otto.does(&production("acceptance-close"), &[]).expect(303);
    assert_eq!(app.rollout("a", "production")["exposure_percent"], 0);
    app.advance(Duration::hours(5));
    let late = mia.form(&production("acceptance"));
    let late = late
        .with("until", "2026-01-05T11:00")
        .with("reason", "test");
    let refused = mia.send(&late.with("step", "preview")).expect(422);
    says(&refused, "id=\"f-until-complaint\"");
}

#[test]
fn what_moves_with_it_is_shown_before_it_does() {
    let app = App::start(Engine::Sqlite);
    app.route("below");
    app.route_with("a", json!({ "requires": ["below"] }));
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let form = otto.form(&dev("promote")).with("reason", "test");
    let refused = otto.send(&form.with("step", "preview")).expect(409);
    says(&refused, "requires");
    let all = form.with("cascade", "1").with("step", "preview");
    let shown = otto.send(&all).expect(200);
    says(&shown, "below, with it");
    otto.send(&Filled::of(&shown).with("step", "apply"))
        .expect(303);
    for route in ["a", "below"] {
        assert_eq!(app.rollout(route, "dev")["stage"], "opt_in");
    }
}

#[test]
fn only_an_admin_is_shown_the_glass() {
    let app = App::start(Engine::Sqlite);
    let gates = json!({ "opt_in": [{ "gate": "acceptance" }] });
    let policy = json!({ "policy": { "name": "own", "gates": gates }, "reason": "test" });
    app.post(Who::ADMIN, "policies", &policy).expect(201);
    app.route_with("a", json!({ "policy": "own" }));
    let glass = "name=\"break_glass\"";
    let mia = Person::signed_in(&app, Who::MAINTAINER);
    assert!(!mia.get(&dev("promote")).body.contains(glass));
    // Who writes the field by hand is refused by the rules.
    let forged = mia.form(&dev("promote")).with("break_glass", "1");
    let forged = forged.with("reason", "test").with("step", "preview");
    mia.send(&forged).expect(403);
    let ada = Person::signed_in(&app, Who::ADMIN);
    says(&ada.get(&dev("promote")), glass);
    let fields = [("break_glass", "1"), ("reason", "the old path is down")];
    ada.does(&dev("promote"), &fields).expect(303);
    let history = app.get("routes/a/history").expect(200).body;
    assert!(history.contains("break_glass_promote"), "{history}");
}

#[test]
fn a_page_that_was_open_all_the_time_halts_again() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    app.bring("a", &["dev"], "opt_in");
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let halt = otto.form(&dev("halt")).with("reason", "it fails");
    otto.send(&halt).expect(303);
    app.post(
        Who::OPERATOR,
        &at("a", "dev", "resume"),
        &json!({ "reason": "mended" }),
    )
    .expect(200);
    // The same form, name and all: a halt is never answered from memory.
    otto.send(&halt).expect(303);
    assert_eq!(app.rollout("a", "dev")["halted"], true);
    otto.send(&halt.with("reason", "it fails still"))
        .expect(303);
    // Whoever sends an address to somebody else does not speak for them.
    let sent = otto.form(&dev("halt?reason=of+another&accept_loss=1"));
    assert_eq!(sent.get("reason"), "halted by hand");
}

#[test]
fn nothing_is_changed_of_a_route_that_is_retired() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let everywhere = ["dev", "staging", "production", "on-prem"];
    app.bring("a", &everywhere, "mandatory");
    let over = json!({ "reason": "over", "break_glass": true });
    app.post(Who::ADMIN, "routes/a/retire", &over).expect(200);
    let ada = Person::signed_in(&app, Who::ADMIN);
    for form in ["promote", "demote", "halt", "setting"] {
        says(&ada.get(&dev(form)).expect(409), "retired");
    }
    let page = ada.get("/routes/a").expect(200).body;
    assert!(!page.contains("/revert/"), "{page}");
}

#[test]
fn on_premises_the_name_is_typed_too() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    app.bring("a", &["dev", "staging", "production"], "opt_in");
    let mia = Person::signed_in(&app, Who::MAINTAINER);
    let form = mia
        .form("/routes/a/environments/on-prem/promote")
        .with("reason", "x");
    let shown = mia.send(&form.with("step", "preview")).expect(200);
    assert!(Filled::of(&shown).has("confirm"), "{}", shown.body);
}
