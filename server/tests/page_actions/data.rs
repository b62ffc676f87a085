//! Forms of routes that write to two stores.

use serde_json::json;

use super::person::{Filled, Person};
use super::says;
use crate::support::{App, Engine, Who, at};

fn dev(what: &str) -> String {
    format!("/routes/save/environments/dev/{what}")
}

/// A process says that the key that it wrote to the new store is not copied back.
fn lags(app: &App, key: &str) {
    let repair = json!({ "key": "k1", "written": "new", "cause": "failed", "state": "open" });
    let body = json!({ "instance": "a", "name": "web-a", "routes": [
        { "route": "save", "generation": 9, "open_repairs": 1, "repairs": [repair] }] });
    app.sdk_post(key, "writers", &body).expect(200);
}

/// At opt_in in dev with half of its keys on the new store, both stores equal; the SDK key of dev.
fn exposed(app: &App) -> String {
    app.route_with("save", json!({ "operation": "write" }));
    let key = app.equal_stores("save", "dev");
    app.set("save", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    app.bring("save", &["dev"], "opt_in");
    let half = json!({ "mode": "ramp", "percent": 50, "reason": "test" });
    app.put(Who::MAINTAINER, &at("save", "dev", "setting"), &half)
        .expect(200);
    key
}

#[test]
fn what_would_be_lost_is_asked_about_before_a_halt() {
    let app = App::start(Engine::Sqlite);
    let key = exposed(&app);
    lags(&app, &key);
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let refused = otto.does_at_once(&dev("halt"), &[("reason", "errors")]);
    let refused = refused.expect(409);
    says(&refused, "1 write is at risk");
    assert_eq!(app.rollout("save", "dev")["halted"], false);
    let form = Filled::of(&refused);
    assert!(!form.has("accept_loss"), "it is not ticked by itself");
    otto.send(&form.with("accept_loss", "1").with("step", "apply"))
        .expect(303);
    assert_eq!(app.rollout("save", "dev")["halted"], true);

    // Less exposure goes back too, and its preview says so.
    let app = App::start(Engine::Sqlite);
    let key = exposed(&app);
    lags(&app, &key);
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let lower = otto.form(&dev("setting")).with("mode", "off");
    let lower = lower.with("reason", "errors").with("step", "preview");
    says(&otto.send(&lower).expect(409), "1 write is at risk");
    let shown = otto.send(&lower.with("accept_loss", "1")).expect(200);
    // A process writes the keys that move, so that it is told first.
    says(&shown, "announced first");
    says(&shown, "<td>0 %");
    let order = Filled::of(&shown).with("step", "apply");
    assert_eq!(order.get("accept_loss"), "1");
    otto.send(&order).expect(303);
    let history = app.get("routes/save/history").expect(200).body;
    assert!(history.contains("flip_hold"), "{history}");
}

#[test]
fn backfills_repairs_comparisons_and_writers_are_ordered_by_form() {
    let app = App::start(Engine::Sqlite);
    app.data_route("save", "dev");
    let (id, key) = app.begin_backfill("save", "dev");
    lags(&app, &key);
    let mia = Person::signed_in(&app, Who::MAINTAINER);
    let done = |form: &str, fields: &[(&str, &str)]| {
        let reply = mia.does_at_once(&dev(form), fields);
        assert_eq!(reply.status, 303, "{form}: {}", reply.body);
    };
    assert_eq!(mia.form(&dev("backfill")).get("backfill"), id);
    let latest = || app.get(&at("save", "dev", "backfills")).json()["items"][0]["state"].clone();
    for (act, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("reset", "reset"),
    ] {
        done("backfill", &[("act", act), ("reason", "test")]);
        assert_eq!(latest(), state);
    }
    says(&mia.get(&dev("repairs")), "k1");
    done(
        "repairs",
        &[("keys", "k1"), ("reason", "the store is back")],
    );
    done(
        "repairs",
        &[("action", "resolve"), ("all", "1"), ("reason", "looked at")],
    );
    let open = app.get(&at("save", "dev", "repairs")).json();
    assert_eq!(open["items"], json!([]));
    done(
        "consistency",
        &[("kind", "checksum"), ("sample", ""), ("reason", "test")],
    );
    let runs = app.get(&at("save", "dev", "consistency")).json();
    assert_eq!(runs["items"][0]["kind"], "checksum");
    done(
        "consistency-schedule",
        &[("every", "daily"), ("reason", "test")],
    );
    assert_eq!(
        app.rollout("save", "dev")["stores"]["consistency_schedule"]["every"],
        "daily"
    );
    app.advance(chrono::Duration::seconds(20));
    done("writers", &[("reason", "the machine is gone")]);
    let writers = app.get(&at("save", "dev", "writers")).json();
    assert_eq!(writers["items"][0]["state"], "gone");
    app.assert_audit_intact();
}

#[test]
fn the_mirror_is_set_as_it_was_shown() {
    let app = App::start(Engine::Sqlite);
    app.route_with("save", json!({ "operation": "write" }));
    let otto = Person::signed_in(&app, Who::OPERATOR);
    let form = otto.form(&dev("mirror"));
    assert_eq!(
        (form.get("read_percent"), form.get("write_percent")),
        ("0", "0")
    );
    let fields = [
        ("read_percent", "1.5"),
        ("write_percent", "100 %"),
        ("reason", "copy"),
    ];
    otto.does(&dev("mirror"), &fields).expect(303);
    let mirror = app.rollout("save", "dev")["mirror"].clone();
    assert_eq!(
        (&mirror["read_percent"], &mirror["write_percent"]),
        (&json!(1.5), &json!(100))
    );
    assert_eq!(otto.form(&dev("mirror")).get("read_percent"), "1.5");
}
