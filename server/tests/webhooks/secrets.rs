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
            "SELECT document || secrets || url AS value FROM webhooks \
             UNION ALL SELECT body AS value FROM idempotency UNION ALL SELECT entry AS value FROM audit",
        );
        assert!(kept.len() >= 3);
        assert!(kept.iter().all(|text| !text.contains(raw)), "{kept:?}");
        // Nor what lets anybody post there.
        assert!(kept.iter().all(|text| !text.contains("hidden")), "{kept:?}");
        let host = |text: &String| text.contains("https://example.com/…");
        assert!(kept.iter().any(host), "{kept:?}");
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

/// The address is sealed as the secret is, so it has to be given anew too, and before.
#[test]
fn another_signing_key_reads_no_address() {
    let database = Arc::new(TestDatabase::new(Engine::Sqlite));
    let app = App::delivering(Arc::clone(&database));
    let consumer = Consumer::new(Manner::Take);
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    // As another key would leave them.
    for column in ["secrets", "url"] {
        let sealed = database.texts(&format!("SELECT {column} AS value FROM webhooks"));
        let foreign = sealed[0].chars().rev().collect::<String>();
        database.run(&format!("UPDATE webhooks SET {column} = '{foreign}'"));
    }
    halt(&app, "count_commits").expect(200);
    let path = format!("webhooks/{id}");
    let needs_secret = || app.get(&path).json()["state"] == "needs_secret";
    eventually("needs a secret", SOON, || needs_secret().then_some(()));
    let rotate = || {
        let body = json!({ "reason": "the key was changed" });
        app.post(Who::MAINTAINER, &format!("{path}/rotate"), &body)
    };
    let refused = rotate();
    assert!(refused.body.contains("--receiver"), "{}", refused.body);
    assert_eq!(refused.code(409), "conflict");
    app.request("PATCH", &path)
        .by(Who::MAINTAINER)
        .json(&json!({ "url": consumer.url(), "reason": "the key was changed" }))
        .send()
        .expect(200);
    assert!(needs_secret() && consumer.messages().is_empty());
    let rotated = rotate().expect(201).json();
    assert_eq!(rotated["state"], "active");
    let secret = rotated["secret"].as_str().unwrap();
    let messages = consumer.wait_for(1);
    messages[0].assert_signed_with(secret);
    assert_eq!(messages[0].path, "/hook?room=1");
}

/// Path and query are not in the clear, and a change of them alone is one all the same.
#[test]
fn another_path_is_another_address() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (app, consumer) = (delivering(engine), Consumer::new(Manner::Take));
        let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
        app.route("count_commits");
        let change = |url: String| {
            app.request("PATCH", &format!("webhooks/{id}"))
                .by(Who::MAINTAINER)
                .json(&json!({ "url": url, "reason": "it moved" }))
                .send()
                .expect(200)
        };
        let entries = app.audit_count();
        change(consumer.url());
        assert_eq!(app.audit_count(), entries, "it is where it was");
        change(consumer.url().replace("/hook", "/moved"));
        assert_eq!(app.audit_count(), entries + 1);
        halt(&app, "count_commits").expect(200);
        assert_eq!(consumer.wait_for(1)[0].path, "/moved?room=1");
    }
}
