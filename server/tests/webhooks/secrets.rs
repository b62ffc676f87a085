//! Secrets: shown once, kept sealed, replaced without a gap.

use std::sync::Arc;

use serde_json::json;

use crate::support::{App, Engine, TestDatabase, Who, eventually};
use crate::webhooks::consumer::{Consumer, Manner};
use crate::webhooks::{SOON, delivering, halt, hook, in_state};

#[test]
fn a_secret_is_shown_once_and_kept_sealed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start(engine);
        let body =
            json!({ "name": "room", "url": "https://example.com/T0/hidden", "reason": "test" });
        let make = || {
            app.request("POST", "webhooks")
                .by(Who::MAINTAINER)
                .header("idempotency-key", "once")
                .json(&body)
                .send()
                .expect(201)
        };
        let made = make();
        assert_eq!(made.header("cache-control"), Some("no-store"));
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        assert!(
            secret.starts_with("whsec_") && secret.len() == 50,
            "{secret}"
        );
        let again = make();
        assert_eq!(again.json()["id"], made.json()["id"]);
        assert!(again.json()["secret"].is_null() && !again.body.contains("whsec_"));
        for path in ["webhooks", "audit"] {
            assert!(!app.get(path).body.contains("whsec_"));
        }
        let raw = secret.trim_start_matches("whsec_");
        let kept = app.database().texts(
            "SELECT document || secrets AS value FROM webhooks \
             UNION ALL SELECT body AS value FROM idempotency UNION ALL SELECT entry AS value FROM audit",
        );
        assert!(kept.len() >= 3);
        assert!(kept.iter().all(|text| !text.contains(raw)), "{kept:?}");
    }
}

#[test]
fn a_new_secret_comes_without_a_gap() {
    let (app, consumer) = (delivering(Engine::Sqlite), Consumer::new(Manner::Take));
    let (id, first) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    let rotate = |body: serde_json::Value| {
        app.post(Who::MAINTAINER, &format!("webhooks/{id}/rotate"), &body)
    };
    let rotated = rotate(json!({ "overlap_hours": 2, "reason": "yearly" })).expect(201);
    let second = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    halt(&app, "count_commits").expect(200);
    let message = &consumer.wait_for(1)[0];
    assert_eq!(
        message.signatures(),
        [message.expected(&second), message.expected(&first)]
    );
    app.advance(chrono::Duration::hours(2));
    app.set("count_commits", "dev", json!({ "mode": "off" }))
        .expect(200);
    consumer.wait_for(2)[1].assert_signed_with(&second);
    let refused = rotate(json!({ "overlap_hours": 169, "reason": "test" }));
    assert_eq!(refused.problem(422)["errors"][0]["field"], "overlap_hours");
    assert!(!app.get("audit").body.contains("whsec_"));
}

/// A stolen database signs nothing. So after the signing key was changed, a new secret is needed; what
/// happened meanwhile is sent then.
#[test]
fn another_signing_key_reads_no_secret() {
    let database = Arc::new(TestDatabase::new(Engine::Sqlite));
    let app = App::delivering(Arc::clone(&database));
    let consumer = Consumer::new(Manner::Take);
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    // As another key would leave it.
    let sealed = database.texts("SELECT secrets AS value FROM webhooks");
    let foreign = sealed[0].chars().rev().collect::<String>();
    database.run(&format!("UPDATE webhooks SET secrets = '{foreign}'"));
    halt(&app, "count_commits").expect(200);
    let shown = eventually("needs a secret", SOON, || {
        let shown = app.get(&format!("webhooks/{id}")).json();
        (shown["state"] == "needs_secret").then_some(shown)
    });
    assert!(shown["why"].as_str().unwrap().contains("rotate"), "{shown}");
    app.set("count_commits", "dev", json!({ "mode": "off" }))
        .expect(200);
    assert!(consumer.messages().is_empty());
    let body = json!({ "reason": "the key was changed" });
    let path = format!("webhooks/{id}/rotate");
    let rotated = app.post(Who::MAINTAINER, &path, &body).expect(201).json();
    assert_eq!(rotated["state"], "active");
    let secret = rotated["secret"].as_str().unwrap();
    for message in consumer.wait_for(2) {
        message.assert_signed_with(secret);
    }
    in_state(&app, &id, "delivered");
    assert_eq!(
        app.get("audit?action=webhook_needs_secret").json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
