//! Servers that die, and servers that share a database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::crash::Server;
use crate::support::{App, Engine, Remote, TestDatabase, Who, at, eventually, on_both_engines};
use crate::webhooks::consumer::{Consumer, Manner};
use crate::webhooks::hook;

on_both_engines!(what_was_acknowledged_arrives_after_a_kill);

const ALLOWED: [&str; 2] = ["--webhook-allow", "127.0.0.0/8"];

fn made(remote: &Remote, url: &str) -> Value {
    let body = json!({ "name": "room", "url": url, "events": ["rollout"], "reason": "test" });
    remote
        .post(Who::MAINTAINER, "webhooks", &body)
        .expect(201)
        .json()
}

fn routed(remote: &Remote) {
    let route = json!({
        "endpoint": "gitaly.Service/A", "key": "a", "operation": "read", "owner": "test",
        "policy": "open",
    });
    remote.post(Who::OPERATOR, "routes", &route).expect(201);
}

fn set(remote: &Remote, number: usize) {
    let mode = if number.is_multiple_of(2) {
        "on"
    } else {
        "off"
    };
    let body = json!({ "mode": mode, "reason": format!("number {number}") });
    remote
        .put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
        .expect(200);
}

/// Killed right after each acknowledgement: every change arrives, in order, verified with the clock
/// of the receiver; what arrives twice has the same name.
fn what_was_acknowledged_arrives_after_a_kill(engine: Engine) {
    const CHANGES: usize = 6;
    let data: TempDir = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(engine);
    let consumer = Consumer::new(Manner::Take);
    let mut server = Server::start_with(data.path(), &database, &ALLOWED);
    routed(&server.remote);
    let secret = made(&server.remote, &consumer.url())["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    for number in 0..CHANGES {
        set(&server.remote, number);
        server.kill();
        server = Server::start_with(data.path(), &database, &ALLOWED);
    }
    let (names, reasons) = eventually("all", Duration::from_secs(20), || {
        let messages = consumer.messages();
        let mut names = BTreeSet::new();
        let mut reasons = Vec::new();
        for message in &messages {
            assert!(message.is_verified_by(&secret), "{message:?}");
            if names.insert(message.id().to_owned()) {
                reasons.push(message.body["data"]["reason"].as_str()?.to_owned());
            }
        }
        (names.len() >= CHANGES).then_some((names, reasons))
    });
    assert_eq!(names.len(), CHANGES);
    let expected: Vec<String> = (0..CHANGES)
        .map(|number| format!("number {number}"))
        .collect();
    assert_eq!(reasons, expected);
    server.kill();
}

/// Two nodes, one database: each message once, whichever node took the change. When the one that
/// brings them is killed, the other goes on.
#[test]
fn one_of_two_nodes_brings_each_message_once() {
    let database = TestDatabase::new(Engine::Postgres);
    let data: TempDir = tempfile::tempdir().unwrap();
    let consumer = Consumer::new(Manner::Take);
    let mut nodes = [
        Server::start_with(data.path(), &database, &ALLOWED),
        Server::start_with(data.path(), &database, &ALLOWED),
    ];
    routed(&nodes[0].remote);
    made(&nodes[1].remote, &consumer.url());
    for number in 0..20 {
        set(&nodes[number % 2].remote, number);
    }
    consumer.wait_for(20);
    // Whoever would send something twice has had the time for it.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(consumer.messages().len(), 20);
    nodes[0].kill();
    set(&nodes[1].remote, 20);
    consumer.wait_for(21);
    nodes[0] = Server::start_with(data.path(), &database, &ALLOWED);
    nodes[1].kill();
    set(&nodes[0].remote, 21);
    let names: BTreeSet<String> = consumer
        .wait_for(22)
        .iter()
        .map(|message| message.id().to_owned())
        .collect();
    assert_eq!(names.len(), 22);
}

/// Two couriers on one database in one process: what each makes of the record is made once.
#[test]
fn two_nodes_make_each_message_once() {
    let database = Arc::new(TestDatabase::new(Engine::Postgres));
    let (one, other) = (
        App::delivering(Arc::clone(&database)),
        App::delivering(database),
    );
    let consumer = Consumer::new(Manner::Take);
    let (_, secret) = hook(&one, &consumer.url(), json!({ "events": ["rollout"] }));
    one.route("count_commits");
    for number in 0..10 {
        let mode = if number % 2 == 0 { "on" } else { "off" };
        let app = if number % 3 == 0 { &one } else { &other };
        app.set("count_commits", "dev", json!({ "mode": mode }))
            .expect(200);
    }
    let messages = consumer.wait_for(10);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(consumer.messages().len(), 10);
    messages[9].assert_signed_with(&secret);
    let made = one
        .database()
        .number("SELECT COUNT(*) FROM webhook_deliveries");
    assert_eq!(made, 10);
}

/// Receivers that answer without end leave no trace in memory.
#[cfg(target_os = "linux")]
#[test]
fn memory_stays_bounded() {
    let data: TempDir = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(Engine::Sqlite);
    let mut server = Server::start_with(data.path(), &database, &ALLOWED);
    routed(&server.remote);
    let peak = |server: &Server| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id()));
        let status = status.unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    set(&server.remote, 0);
    let before = peak(&server);
    let consumers: Vec<Consumer> = (0..20)
        .map(|number| {
            Consumer::new(match number % 3 {
                0 => Manner::Large,
                1 => Manner::Endless("HTTP/1.1 200 Endless\r\n\r\n"),
                _ => Manner::Endless("HTTP/1.1 200 Endless\r\nx-head: "),
            })
        })
        .collect();
    for consumer in &consumers {
        made(&server.remote, &consumer.url());
    }
    for number in 1..6 {
        set(&server.remote, number);
    }
    for consumer in &consumers {
        consumer.wait_for(5);
    }
    let after = peak(&server);
    println!("peak of resident memory: {before} KiB before, {after} KiB after 100 endless answers");
    assert!(
        after < before + 24 * 1024,
        "{before} KiB before, {after} KiB after"
    );
    server.kill();
}
