//! Webhooks themselves: made, changed, disabled, deleted, and who may.

use serde_json::json;

use crate::support::{App, Engine, Who, eventually, on_both_engines};
use crate::webhooks::consumer::{Consumer, Manner};
use crate::webhooks::{SOON, deliveries, delivering, halt, hook, in_state};

on_both_engines!(
    a_webhook_is_made_changed_and_deleted,
    a_receiver_that_is_gone_is_sent_nothing_more
);

fn a_webhook_is_made_changed_and_deleted(engine: Engine) {
    let app = App::start(engine);
    let url = "https://chat.example.com/hooks/T0/s3cret?thread=9";
    let (id, _) = hook(
        &app,
        url,
        json!({ "events": ["release", "rollout.promoted"], "environments": ["production"],
            "owners": ["gitaly"] }),
    );
    let path = format!("webhooks/{id}");
    let shown = app.get(&path).expect(200);
    let seen = shown.json();
    assert_eq!(seen["url"], "https://chat.example.com/…");
    assert_eq!(seen["events"], json!(["release", "rollout.promoted"]));
    assert_eq!(
        (&seen["state"], &seen["why"]),
        (&json!("active"), &json!(null))
    );
    let tag = shown.etag();
    let change = |tag: &str, body: &serde_json::Value| {
        let request = app.request("PATCH", &path).by(Who::MAINTAINER);
        request.header("if-match", tag).json(body).send()
    };
    let body = json!({ "events": [], "name": "all", "reason": "test" });
    let changed = change(&tag, &body).expect(200);
    assert_eq!(
        (&changed.json()["events"], &changed.json()["name"]),
        (&json!([]), &json!("all"))
    );
    assert_eq!(change(&tag, &body).code(412), "precondition_failed");
    let entries = app.audit_count();
    change(&changed.etag(), &body).expect(200);
    assert_eq!(app.audit_count(), entries, "nothing is different");
    for (field, value) in [
        ("url", json!("ftp://chat.example.com/")),
        ("url", json!("https://169.254.169.254/latest")),
        ("url", json!("https://[::1]/")),
        ("url", json!("https://10.0.0.1/")),
        ("url", json!("https://a:b@example.com/")),
        ("events", json!(["rollout.exploded"])),
        ("environments", json!(["moon"])),
        ("environments", json!(["Production"])),
        ("owners", json!([""])),
        ("name", json!(" ")),
    ] {
        let refused = change("*", &json!({ field: value, "reason": "test" }));
        let problem = refused.problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    app.request("PATCH", &path)
        .by(Who::MAINTAINER)
        .json(&json!({ "enabled": false, "reason": "moved" }))
        .send()
        .expect(200);
    let why = app.get(&path).json()["why"].as_str().unwrap().to_owned();
    assert_eq!(why, format!("{}: moved", Who::MAINTAINER.1));
    let test = app
        .request("POST", &format!("{path}/test"))
        .by(Who::MAINTAINER);
    assert_eq!(test.send().code(409), "conflict");
    let history = app.get("audit?limit=100").expect(200).body;
    assert!(
        !history.contains("s3cret") && !history.contains("whsec_"),
        "{history}"
    );
    app.request("DELETE", &format!("{path}?reason=over"))
        .by(Who::MAINTAINER)
        .send()
        .expect(204);
    assert_eq!(app.get(&path).code(404), "not_found");
    assert_eq!(app.get("webhooks").json()["items"], json!([]));
    app.assert_audit_intact();
}

/// 410 says so for good; a maintainer may have it tried again, from then on.
fn a_receiver_that_is_gone_is_sent_nothing_more(engine: Engine) {
    let (app, consumer) = (delivering(engine), Consumer::new(Manner::Answer(410, "")));
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    let disabled = eventually("disabled", SOON, || {
        let shown = app.get(&format!("webhooks/{id}")).expect(200).json();
        (shown["state"] == "disabled").then_some(shown)
    });
    assert!(
        disabled["why"].as_str().unwrap().contains("410"),
        "{disabled}"
    );
    let entry = app.get("audit?action=webhook_disable").json();
    assert_eq!(entry["items"][0]["by"], "system");
    app.promote(Who::OPERATOR, "count_commits", "staging", "opt_in");
    app.set("count_commits", "dev", json!({ "mode": "off" }))
        .expect(200);
    consumer.be(Manner::Take);
    let enable = json!({ "enabled": true, "reason": "it is back" });
    let path = format!("webhooks/{id}");
    app.request("PATCH", &path)
        .by(Who::MAINTAINER)
        .json(&enable)
        .send()
        .expect(200);
    app.set("count_commits", "dev", json!({ "mode": "stage_default" }))
        .expect(200);
    let messages = consumer.wait_for(2);
    assert_eq!(
        messages[1].body["data"]["changed"]["setting"]["from"]["mode"],
        "off"
    );
    in_state(&app, &id, "delivered");
    assert_eq!(
        deliveries(&app, &id).len(),
        2,
        "what happened meanwhile is not sent"
    );
}

/// Three days of failing, as the clock of the server has it.
#[test]
fn a_receiver_that_fails_for_days_is_sent_nothing_more() {
    let (app, consumer) = (
        delivering(Engine::Sqlite),
        Consumer::new(Manner::Answer(500, "")),
    );
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    for attempt in 1..=11 {
        consumer.wait_for(attempt);
        if attempt < 11 {
            in_state(&app, &id, "failed");
            eventually("on record", SOON, || {
                let attempts = deliveries(&app, &id)[0]["attempts"]
                    .as_array()
                    .unwrap()
                    .len();
                (attempts == attempt).then_some(())
            });
            app.advance(chrono::Duration::hours(29));
        }
    }
    let given_up = in_state(&app, &id, "given_up");
    assert_eq!(given_up["attempts"].as_array().unwrap().len(), 11);
    let disabled = eventually("disabled", SOON, || {
        let shown = app.get(&format!("webhooks/{id}")).json();
        (shown["state"] == "disabled").then_some(shown)
    });
    assert!(
        disabled["why"].as_str().unwrap().contains("hours"),
        "{disabled}"
    );
}

#[test]
fn a_receiver_may_put_off_the_next_attempt() {
    let (app, consumer) = (
        delivering(Engine::Sqlite),
        Consumer::new(Manner::Later(600)),
    );
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    let failed = in_state(&app, &id, "failed");
    let moment = |value: &serde_json::Value| -> chrono::DateTime<chrono::Utc> {
        value.as_str().unwrap().parse().unwrap()
    };
    let wait = moment(&failed["due_at"]) - moment(&failed["attempts"][0]["at"]);
    assert_eq!(wait.num_seconds(), 600);
}

/// The log does not grow for ever.
#[test]
fn what_was_finished_long_ago_is_forgotten() {
    let (app, consumer) = (delivering(Engine::Sqlite), Consumer::new(Manner::Take));
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    in_state(&app, &id, "delivered");
    assert_eq!(app.services().forget_old_deliveries().unwrap(), 0);
    // Names of deliveries go by the machine's clock.
    app.advance(chrono::Utc::now() - app.services().now() + chrono::Duration::days(31));
    assert_eq!(app.services().forget_old_deliveries().unwrap(), 1);
    assert!(deliveries(&app, &id).is_empty());
}
