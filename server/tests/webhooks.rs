//! Webhooks: real receivers on this machine, good ones and hostile ones.

mod commands;
mod consumer;
mod hostile;
mod lifecycle;
mod nodes;
mod outcomes;
mod pages;
mod secrets;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, TestDatabase, Who, at, eventually, on_both_engines};

use consumer::{Consumer, Manner};

const SOON: Duration = Duration::from_secs(10);

on_both_engines!(
    what_is_put_on_record_arrives_signed_and_in_order,
    each_room_hears_what_it_asked_for,
    what_failed_is_sent_again_until_it_arrives,
    a_message_is_sent_again_when_somebody_asks
);

/// A server that brings messages.
pub(super) fn delivering(engine: Engine) -> App {
    App::delivering(Arc::new(TestDatabase::new(engine)))
}

/// A webhook to a receiver: its identity and its secret.
pub(super) fn hook(app: &App, url: &str, more: Value) -> (String, String) {
    let mut body = json!({ "name": "room", "url": url, "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let made = app.post(Who::MAINTAINER, "webhooks", &body).expect(201);
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// What a webhook was sent, oldest first.
pub(super) fn deliveries(app: &App, id: &str) -> Vec<Value> {
    let path = format!("webhooks/{id}/deliveries?limit=1000");
    let listed = app.request("GET", &path).by(Who::MAINTAINER).send();
    let mut items = listed.expect(200).json()["items"]
        .as_array()
        .unwrap()
        .clone();
    items.reverse();
    items
}

/// The latest delivery in this state.
pub(super) fn in_state(app: &App, id: &str, state: &str) -> Value {
    eventually(state, SOON, || {
        let found = deliveries(app, id);
        found.into_iter().rev().find(|one| one["state"] == state)
    })
}

pub(super) fn halt(app: &App, route: &str) -> Reply {
    let body = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at(route, "dev", "halt"), &body)
}

fn what_is_put_on_record_arrives_signed_and_in_order(engine: Engine) {
    let (app, consumer) = (delivering(engine), Consumer::new(Manner::Take));
    app.route("before");
    let (id, secret) = hook(&app, &consumer.url(), json!({}));
    app.route("count_commits");
    app.promote(Who::OPERATOR, "count_commits", "dev", "opt_in")
        .expect(201);
    halt(&app, "count_commits").expect(200);
    let messages = consumer.wait_for(4);
    let types: Vec<&str> = messages.iter().map(|message| message.kind()).collect();
    assert_eq!(
        types,
        [
            "webhook.created",
            "route.created",
            "rollout.promoted",
            "rollout.halted"
        ]
    );
    for message in &messages {
        message.assert_signed_with(&secret);
        assert_eq!(message.path, "/hook?room=1");
        let head = |name: &str| message.headers.get(name).map(String::as_str);
        assert_eq!(
            head("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert!(head("user-agent").unwrap().starts_with("switchover/"));
        assert_eq!(head("authorization"), None);
    }
    let promoted = &messages[2].body["data"];
    assert_eq!(promoted["by"], Who::OPERATOR.1);
    assert_eq!(
        (&promoted["route"], &promoted["owner"]),
        (&json!("count_commits"), &json!("gitaly"))
    );
    assert_eq!(
        promoted["changed"]["stage"],
        json!({ "from": "ready_for_testing", "to": "opt_in" })
    );
    let log = eventually("the log", SOON, || {
        let log = deliveries(&app, &id);
        (log.len() == 4 && log.iter().all(|one| one["state"] == "delivered")).then_some(log)
    });
    for (one, message) in log.iter().zip(&messages) {
        assert_eq!(one["message"], message.id());
        assert_eq!(one["attempts"][0]["status"], 204);
        assert_eq!(one["body"], message.body);
    }
    let shown = app.get(&format!("webhooks/{id}")).expect(200).json();
    assert!(shown["delivered_at"].is_string() && shown["failing_since"].is_null());
    app.assert_audit_intact();
}

/// Build messages and release messages go to different rooms.
fn each_room_hears_what_it_asked_for(engine: Engine) {
    let app = delivering(engine);
    let (builds, releases, theirs) = (
        Consumer::new(Manner::Take),
        Consumer::new(Manner::Take),
        Consumer::new(Manner::Take),
    );
    hook(
        &app,
        &builds.url(),
        json!({ "events": ["rollout"], "environments": ["dev", "staging"] }),
    );
    hook(
        &app,
        &releases.url(),
        json!({ "events": ["release", "freeze"] }),
    );
    hook(&app, &theirs.url(), json!({ "owners": ["storage"] }));
    app.route("count_commits");
    app.route_with("find_commits", json!({ "owner": "storage" }));
    for environment in ["dev", "staging"] {
        app.promote(Who::OPERATOR, "count_commits", environment, "opt_in")
            .expect(201);
    }
    let freeze = json!({ "environments": ["production"], "reason": "test" });
    app.post(Who::OPERATOR, "freezes", &freeze).expect(201);
    let release =
        json!({ "name": "17.0", "environment": "on-prem", "after": null, "reason": "test" });
    let released = app.post(Who::MAINTAINER, "releases", &release);
    assert_eq!(released.status, 201, "{}", released.body);
    let kinds = |consumer: &Consumer, count: usize| -> Vec<String> {
        let messages = consumer.wait_for(count);
        messages.iter().map(|one| one.kind().to_owned()).collect()
    };
    assert_eq!(kinds(&releases, 2), ["freeze.opened", "release.frozen"]);
    assert_eq!(kinds(&builds, 2), ["rollout.promoted", "rollout.promoted"]);
    assert_eq!(kinds(&theirs, 1), ["route.created"]);
}

fn what_failed_is_sent_again_until_it_arrives(engine: Engine) {
    let (app, consumer) = (
        delivering(engine),
        Consumer::new(Manner::Answer(500, "oh\u{1b}[31m no")),
    );
    let (id, secret) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    let failed = in_state(&app, &id, "failed");
    let attempt = &failed["attempts"][0];
    assert_eq!(
        (&attempt["status"], &attempt["answer"]),
        (&json!(500), &json!("oh [31m no"))
    );
    assert!(failed["due_at"].is_string());
    let shown = || app.get(&format!("webhooks/{id}")).expect(200).json();
    assert!(shown()["failing_since"].is_string());
    // A younger message does not wait for it.
    consumer.be(Manner::Take);
    app.post(
        Who::OPERATOR,
        &at("count_commits", "dev", "resume"),
        &json!({ "reason": "test" }),
    )
    .expect(200);
    let messages = consumer.wait_for(2);
    assert_eq!(messages[1].kind(), "rollout.resumed");
    app.advance(chrono::Duration::seconds(7));
    let again = &consumer.wait_for(3)[2];
    again.assert_signed_with(&secret);
    assert_eq!(again.id(), messages[0].id());
    assert_eq!(again.body, messages[0].body);
    assert_ne!(
        again.headers["webhook-timestamp"],
        messages[0].headers["webhook-timestamp"]
    );
    eventually("no failure", SOON, || {
        shown()["failing_since"].is_null().then_some(())
    });
    eventually("all on record", SOON, || {
        let all = deliveries(&app, &id);
        let arrived = all.iter().all(|one| one["state"] == "delivered");
        arrived.then_some(())
    });
}

fn a_message_is_sent_again_when_somebody_asks(engine: Engine) {
    let (app, consumer) = (delivering(engine), Consumer::new(Manner::Take));
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    let ping = app
        .request("POST", &format!("webhooks/{id}/test"))
        .by(Who::MAINTAINER)
        .send()
        .expect(202)
        .json();
    assert_eq!(
        (&ping["type"], &ping["state"]),
        (&json!("webhook.ping"), &json!("pending"))
    );
    let first = consumer.wait_for(1);
    assert_eq!(first[0].kind(), "webhook.ping");
    in_state(&app, &id, "delivered");
    let path = format!(
        "webhooks/{id}/deliveries/{}/redeliver",
        ping["id"].as_str().unwrap()
    );
    let again = app
        .request("POST", &path)
        .by(Who::APPROVER)
        .send()
        .expect(202);
    assert_eq!(again.json()["ordered_by"], Who::APPROVER.1);
    let messages = consumer.wait_for(2);
    assert_eq!(messages[1].id(), first[0].id());
    for path in [
        format!("webhooks/{id}/deliveries/{id}/redeliver"),
        format!("webhooks/{id}/deliveries/none/redeliver"),
    ] {
        let reply = app.request("POST", &path).by(Who::MAINTAINER).send();
        assert_eq!(reply.code(404), "not_found");
    }
}

/// What follows up to the end of the statement.
fn statement(text: &str) -> &str {
    up_to(text, Some(';'))
}

/// What follows up to this, or to the end of what is around it.
fn up_to(text: &str, last: Option<char>) -> &str {
    let mut depth = 0;
    let end = text.find(|c| {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            _ => {}
        }
        depth < 0 || (depth == 0 && Some(c) == last)
    });
    text.split_at(end.unwrap_or(text.len())).0
}

/// The texts in this that can be names of actions.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_name =
        |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split('"').skip(1).step_by(2).filter(is_name)
}

/// The actions that a source puts on record.
fn actions_in(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // Where the action is the first of what is handed on.
    for call in [
        "work.record(",
        "self.record(",
        "record_end(work,",
        "action:",
    ] {
        let calls = text.split(call).skip(1);
        found.extend(calls.flat_map(|rest| names(rest.split(',').next().unwrap())));
    }
    for call in ["stop_webhook(", "write(work,"] {
        let calls = text.split(call).skip(1);
        found.extend(calls.filter_map(|rest| names(statement(rest)).next()));
    }
    for beginning in ["let action =", "const HELD:", "const ABANDONED:"] {
        let all = text.split(beginning).skip(1);
        found.extend(all.flat_map(|rest| names(statement(rest))));
    }
    for body in text.split("fn action(").skip(1) {
        let (_, body) = body.split_once('{').unwrap();
        found.extend(names(up_to(body, None)));
    }
    found
}

/// What is put on record has a name; this reads the sources, because no type lists the actions. That
/// every name is found says that no way to name an action is overlooked.
#[test]
fn every_action_of_the_record_has_a_name() {
    use std::collections::BTreeSet;
    use switchover_server::domain::webhook::{event_type, event_types};
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let rooms = ["service", "domain"].map(|room| format!("{source}/{room}"));
    let mut open = rooms.map(std::path::PathBuf::from).to_vec();
    let mut actions = BTreeSet::new();
    while let Some(place) = open.pop() {
        if place.is_dir() {
            open.extend(std::fs::read_dir(place).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let name = place.display().to_string();
        if !name.ends_with(".rs") || name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let text = std::fs::read_to_string(&place).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.replace("( ", "(");
        actions.extend(actions_in(&text).into_iter().map(str::to_owned));
    }
    let docs = include_str!("../../docs/webhooks.md");
    for action in &actions {
        let name = event_type(action);
        assert!(
            !name.starts_with("other."),
            "`{action}` needs a name in domain/webhook/event.rs, and a place in docs/webhooks.md"
        );
        let (_, name) = name.split_once('.').unwrap();
        assert!(docs.contains(&format!("`.{name}`")), "docs: {name}");
    }
    let named: BTreeSet<String> = actions.iter().map(|action| event_type(action)).collect();
    let all: BTreeSet<String> = event_types().map(str::to_owned).collect();
    assert_eq!(named, all);
}
