//! What a message came to, against what happened to it and its webhook meanwhile. No node sends here:
//! the tests do it step by step.

use std::thread;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};
use switchover_server::domain::webhook::{Attempt, Outcome};
use switchover_server::service::{Outgoing, Sending, Waiting};

use crate::support::{App, Engine, Who, eventually, on_both_engines};
use crate::webhooks::{SOON, deliveries, halt, hook};

on_both_engines!(
    an_outcome_counts_only_in_its_turn,
    what_fails_while_a_secret_is_needed_is_sent_later,
    what_fails_after_its_webhook_was_disabled_is_given_up,
    a_receiver_with_no_room_is_nothing_to_write_for
);

/// A server that sends nothing by itself, with a webhook that hears of rollouts.
fn still(engine: Engine) -> (App, String) {
    let app = App::start(engine);
    let url = "https://chat.example.com/hooks/T0";
    let (id, _) = hook(&app, url, json!({ "events": ["rollout"] }));
    app.route("count_commits");
    (app, id)
}

/// The message that is due, as a node takes it to send it.
fn taken(app: &App) -> Sending {
    let services = app.services();
    while services.derive_deliveries().unwrap() {}
    let due = services.deliveries_due().unwrap();
    match services.to_be_sent(&due[0]).unwrap() {
        Outgoing::Ready(sending) => *sending,
        other => panic!("{other:?}"),
    }
}

/// It came to this.
fn came_to(app: &App, sending: &Sending, status: Option<u16>) {
    let delivery = &sending.delivery;
    let outcome = Outcome {
        attempt: Attempt {
            at: app.services().now(),
            took_ms: 10_000,
            status,
            error: status.is_none().then(|| "no answer in time".to_owned()),
            answer: String::new(),
        },
        retry_after: None,
    };
    let place = (
        delivery.webhook.as_str(),
        delivery.id.as_str(),
        delivery.turn,
    );
    app.services().take_outcome(place, &outcome, 0).unwrap();
}

fn only(app: &App, id: &str) -> Value {
    let mut all = deliveries(app, id);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn patch(app: &App, id: &str, body: &Value) {
    app.request("PATCH", &format!("webhooks/{id}"))
        .by(Who::MAINTAINER)
        .json(body)
        .send()
        .expect(200);
}

/// What was ordered anew while it was under way is sent anew; and what has arrived stays so, whatever
/// a node says later that had it under way too.
fn an_outcome_counts_only_in_its_turn(engine: Engine) {
    let (app, id) = still(engine);
    halt(&app, "count_commits").expect(200);
    let first = taken(&app);
    let path = format!("webhooks/{id}/deliveries/{}/redeliver", first.delivery.id);
    let again = app.request("POST", &path).by(Who::MAINTAINER);
    again.send().expect(202);
    came_to(&app, &first, Some(204));
    let ordered = only(&app, &id);
    assert_eq!(ordered["state"], "pending", "{ordered}");
    assert!(ordered["due_at"].is_string(), "{ordered}");
    let second = taken(&app);
    assert_eq!(second.delivery.id, first.delivery.id);
    let elsewhere = taken(&app);
    came_to(&app, &second, Some(204));
    came_to(&app, &elsewhere, None);
    came_to(&app, &first, None);
    let arrived = only(&app, &id);
    assert_eq!(arrived["state"], "delivered", "{arrived}");
    assert!(arrived["due_at"].is_null(), "{arrived}");
    assert_eq!(arrived["attempts"].as_array().unwrap().len(), 1);
    let shown = app.get(&format!("webhooks/{id}")).json();
    assert!(shown["failing_since"].is_null(), "{shown}");
}

fn what_fails_while_a_secret_is_needed_is_sent_later(engine: Engine) {
    let (app, id) = still(engine);
    halt(&app, "count_commits").expect(200);
    let sending = taken(&app);
    app.services().webhook_needs_secret(&id).unwrap();
    came_to(&app, &sending, Some(500));
    let failed = only(&app, &id);
    assert_eq!(failed["state"], "failed", "{failed}");
    app.advance(chrono::Duration::seconds(10));
    let due = app.services().deliveries_due().unwrap();
    let waits = app.services().to_be_sent(&due[0]).unwrap();
    assert!(matches!(waits, Outgoing::Nothing), "{waits:?}");
    let body = json!({ "reason": "the key was changed" });
    app.post(Who::MAINTAINER, &format!("webhooks/{id}/rotate"), &body)
        .expect(201);
    assert_eq!(taken(&app).delivery.id, sending.delivery.id);
}

/// Also when it was enabled again before the attempt ended.
fn what_fails_after_its_webhook_was_disabled_is_given_up(engine: Engine) {
    let (app, id) = still(engine);
    halt(&app, "count_commits").expect(200);
    let sending = taken(&app);
    for enabled in [false, true] {
        patch(&app, &id, &json!({ "enabled": enabled, "reason": "test" }));
    }
    came_to(&app, &sending, Some(500));
    let given_up = only(&app, &id);
    assert_eq!(given_up["state"], "given_up", "{given_up}");
    assert!(given_up["due_at"].is_null(), "{given_up}");
}

/// Where more waits than a receiver may have, no transaction is begun for it again and again.
fn a_receiver_with_no_room_is_nothing_to_write_for(engine: Engine) {
    const MOST_OPEN: usize = 1_000;
    let (app, id) = still(engine);
    let services = app.services();
    while services.derive_deliveries().unwrap() {}
    app.database().run(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MOST_OPEN}) \
         INSERT INTO webhook_deliveries (id, webhook, message, state, due_at, document) \
         SELECT 'd' || i, '{id}', 'm' || i, 'failed', 9000000000000000, '{{}}' FROM n"
    ));
    halt(&app, "count_commits").expect(200);
    assert_eq!(services.webhooks_waiting().unwrap(), Waiting::Nothing);
    assert!(!services.derive_deliveries().unwrap());
    app.database()
        .run("UPDATE webhook_deliveries SET due_at = NULL WHERE id = 'd1'");
    assert_eq!(services.webhooks_waiting().unwrap(), Waiting::Entries);
}

/// A webhook is disabled while another node makes messages for it: none of them waits until it is
/// enabled again.
#[test]
fn nothing_is_made_for_a_webhook_that_is_being_disabled() {
    let (app, id) = still(Engine::Postgres);
    halt(&app, "count_commits").expect(200);
    let disabled = json!({ "state": "disabled", "since": "2026-01-05T10:00:00Z", "why": "test" });
    // As the change does it: what waits is given up, and then it is committed.
    let mut change = PgConnection::establish(app.database().url()).unwrap();
    change
        .batch_execute(&format!(
            "BEGIN; UPDATE webhooks SET document = jsonb_set(document::jsonb, '{{state}}', \
             '{disabled}')::text WHERE id = '{id}'"
        ))
        .unwrap();
    let services = app.services();
    thread::scope(|scope| {
        let making = scope.spawn(|| services.derive_deliveries());
        eventually("the other waits", SOON, || {
            let waiting = app.database().number(
                "SELECT COUNT(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            );
            (waiting > 0).then_some(())
        });
        change.batch_execute("COMMIT").unwrap();
        let made = making.join().unwrap();
        assert!(made.is_ok(), "{made:?}");
    });
    assert_eq!(deliveries(&app, &id), Vec::<Value>::new());
    let shown = app.get(&format!("webhooks/{id}")).json();
    assert_eq!(shown["state"], "disabled");
}
