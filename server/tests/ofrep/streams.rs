//! Event streams: a client hears that something has changed, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::Ofrep;
use crate::support::{App, Engine, Event, Events, Who, eventually, on_both_engines};

on_both_engines!(a_listener_hears_of_every_change);

const SOON: Duration = Duration::from_secs(5);

fn listen(app: &App, address: &str, last_id: Option<&str>) -> Events {
    // What a browser's EventSource sends: no credentials but those in the address.
    Events::open_at(app.address(), address, "", last_id)
}

/// The version that an event tells of.
#[track_caller]
fn told(events: &Events) -> String {
    let (name, id, data) = events.event(SOON);
    assert_eq!(name, "message");
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["type"], "refetchEvaluation");
    assert_eq!(data["etag"], id);
    assert!(data["lastModified"].is_u64(), "{data}");
    id
}

fn a_listener_hears_of_every_change(engine: Engine) {
    let ofrep = Ofrep::start(engine);
    ofrep.app.route("a");
    let address = ofrep.stream();
    let version = || ofrep.snapshot().version().to_string();
    // Something may have changed between the answer and the stream, so it begins with an event.
    let events = listen(&ofrep.app, &address, None);
    assert_eq!(told(&events), version());
    for mode in ["on", "off", "stage_default"] {
        ofrep
            .app
            .set("a", "dev", json!({ "mode": mode }))
            .expect(200);
        assert_eq!(told(&events), version());
    }
    ofrep
        .app
        .set("a", "staging", json!({ "mode": "on" }))
        .expect(200);
    assert_eq!(events.try_next(), None, "another environment");
    // Whoever comes back and has missed nothing is told nothing, except that the stream lives.
    let seen = version();
    let back = listen(&ofrep.app, &address, Some(&seen));
    assert_eq!(back.next(SOON), Event::Comment);
    ofrep
        .app
        .set("a", "dev", json!({ "mode": "on" }))
        .expect(200);
    assert_eq!((told(&back), told(&events)), (version(), version()));
    for missed in [seen.as_str(), "nonsense", "other.7", ""] {
        assert_eq!(told(&listen(&ofrep.app, &address, Some(missed))), version());
    }
}

/// Streams are counted with the others, so they are ended and bounded with them.
#[test]
fn a_stream_is_an_event_stream_and_counted() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    let address = ofrep.stream();
    let streams = || {
        let health = ofrep.app.request("GET", "/healthz").send().json();
        health["streams"].as_u64().unwrap()
    };
    let request = format!("GET {address} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut socket = std::net::TcpStream::connect(ofrep.app.address()).unwrap();
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("refetchEvaluation") {
        let mut chunk = [0; 1024];
        let read = std::io::Read::read(&mut socket, &mut chunk).unwrap();
        assert!(read > 0);
        seen.extend_from_slice(&chunk[..read]);
    }
    let seen = String::from_utf8(seen).unwrap().to_lowercase();
    assert!(seen.starts_with("http/1.1 200"), "{seen}");
    assert!(seen.contains("content-type: text/event-stream"), "{seen}");
    assert!(seen.contains("cache-control: no-store"), "{seen}");
    assert!(!seen.contains("content-encoding: gzip"), "{seen}");
    assert_eq!(streams(), 1);
    drop(socket);
    ofrep
        .app
        .set("a", "dev", json!({ "mode": "on" }))
        .expect(200);
    eventually("the stream is gone", Duration::from_secs(15), || {
        (streams() == 0).then_some(())
    });
}

#[test]
fn only_a_good_ticket_opens_a_stream() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    let address = ofrep.stream();
    let (path, ticket) = address.split_once("?ticket=").unwrap();
    assert_eq!(path, "/ofrep/v1/streams");
    assert!(
        !address.contains("swk_"),
        "the key itself is in the address"
    );
    let refused = |address: &str, bearer: Option<&str>| {
        let request = ofrep.app.request("GET", address);
        let request = match bearer {
            Some(bearer) => request.bearer(bearer),
            None => request,
        };
        let reply = request.send();
        assert_eq!(reply.status, 401, "{address}: {}", reply.body);
        assert_eq!(reply.json()["errorCode"], "GENERAL");
    };
    refused(path, None);
    refused(path, Some(&ofrep.key));
    for wrong in [
        "",
        "x",
        &ticket[1..],
        &ticket[..ticket.len() - 1],
        &ticket.to_uppercase(),
        "%FF",
        "a.b.c",
    ] {
        refused(&format!("{path}?ticket={wrong}"), None);
    }
    // Good for six to twelve hours, by the server's clock.
    ofrep.app.advance(chrono::Duration::hours(5));
    told(&listen(&ofrep.app, &address, None));
    ofrep.app.advance(chrono::Duration::hours(7));
    refused(&address, None);
    let next = ofrep.stream();
    assert_ne!(next, address);
    told(&listen(&ofrep.app, &next, None));
}

/// Within a beat of its end; and a stopping server's streams end at once.
#[test]
fn a_stream_ends_with_its_ticket_and_with_its_key() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    let other = Ofrep::start(Engine::Sqlite);
    for ofrep in [&ofrep, &other] {
        ofrep.app.route("a");
    }
    let ticket_ends = listen(&ofrep.app, &ofrep.stream(), None);
    ofrep.app.advance(chrono::Duration::hours(13));
    let key_ends = listen(&other.app, &other.stream(), None);
    let keys = other
        .app
        .request("GET", "sdk-keys")
        .by(Who::MAINTAINER)
        .send()
        .json();
    let id = keys["items"][0]["id"].as_str().unwrap();
    let revoke = other.app.request("DELETE", &format!("sdk-keys/{id}"));
    revoke.by(Who::MAINTAINER).send().expect(204);
    key_ends.end(Duration::from_secs(12));
    ticket_ends.end(Duration::from_secs(12));
}

/// Every node takes the tickets of the others, and tells what was changed there.
#[test]
fn a_ticket_is_good_on_every_node() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    let ofrep = Ofrep::over(app);
    ofrep.app.route("a");
    let address = ofrep.stream();
    eventually("the key is known there", Duration::from_secs(2), || {
        let request = other.request("POST", super::ALL).bearer(&ofrep.key);
        (request.send().status == 200).then_some(())
    });
    let events = listen(&other, &address, None);
    told(&events);
    ofrep
        .app
        .set("a", "dev", json!({ "mode": "on" }))
        .expect(200);
    let version = ofrep.snapshot().version().to_string();
    while told(&events) != version {}
}

#[test]
fn a_stopping_server_ends_its_streams() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    let events = listen(&ofrep.app, &ofrep.stream(), None);
    told(&events);
    ofrep.app.stop();
    events.end(SOON);
}

/// A node that has lost its database knows what it knew. It says how old that is, and sends its listeners
/// to others.
#[test]
fn a_node_without_its_database_evaluates_on() {
    let ofrep = Ofrep::start(Engine::Postgres);
    ofrep.app.route("a");
    ofrep
        .app
        .set("a", "dev", json!({ "mode": "on" }))
        .expect(200);
    let address = ofrep.stream();
    let events = listen(&ofrep.app, &address, None);
    ofrep.app.database().cut_off();
    assert_eq!(ofrep.one("a", None)["value"], true);
    eventually("it says so", Duration::from_secs(15), || {
        let all = ofrep.all(None);
        let stale: u64 = all.header("switchover-stale")?.parse().ok()?;
        (stale >= 5).then_some(())
    });
    assert_eq!(ofrep.one("a", None)["value"], true);
    events.end(Duration::from_secs(12));
    let refused = ofrep.app.request("GET", &address).send().expect(503);
    let retry: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..60).contains(&retry));
    assert_eq!(refused.json()["errorCode"], "GENERAL");
    ofrep.app.database().reconnect();
}

#[test]
fn all_flags_are_sent_compressed_to_whoever_takes_that() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    for number in 0..20 {
        ofrep.app.route(&format!("route_{number}"));
    }
    let size = |encoding: &str| {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nAccept-Encoding: {encoding}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            super::ALL,
            ofrep.key
        );
        let mut socket = std::net::TcpStream::connect(ofrep.app.address()).unwrap();
        std::io::Write::write_all(&mut socket, head.as_bytes()).unwrap();
        let mut seen = Vec::new();
        std::io::Read::read_to_end(&mut socket, &mut seen).unwrap();
        assert!(seen.starts_with(b"HTTP/1.1 200"));
        seen.len()
    };
    assert!(size("identity") > 5 * size("gzip"));
}
