//! Following a server that does not work.

use std::time::Duration;

use switchover::{Client, MAX_SNAPSHOT_BYTES, Mode, Pace, Path, Route};
use tracing::Level;

use crate::server::{Answer, Server, eventually, pace};
use crate::{OFF, ON, PATIENCE, logs};

/// A client that has applied `ON` and whose stream is open.
fn settled(server: &Server) -> (Client, Route) {
    settled_at(server, pace())
}

fn settled_at(server: &Server, pace: Pace) -> (Client, Route) {
    server.set("blame", ON);
    let client = server.builder().pace(pace).start().unwrap();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    eventually("the stream is open", || server.open_streams() == 1);
    (client, route)
}

/// For tests that count log lines. On a busy machine answers come late, and a late one is a failure
/// like any other: it has a line of its own, and begins the count of refusals anew.
fn patient() -> Pace {
    Pace {
        connect: PATIENCE,
        answer: PATIENCE,
        read: PATIENCE,
        ..pace()
    }
}

/// Sends something bad. The old state is kept, the error is known, and what comes next is applied.
fn refused(bad: impl Fn(&Server) -> String, error: &str) {
    logs::listen();
    let server = Server::start();
    let (client, route) = settled_at(&server, patient());
    server.answer_streams(Answer::Hang);
    server.push(&bad(&server));
    let told = || logs::with(Level::WARN, &server.url());
    eventually(error, || told().iter().any(|line| line.contains(error)));
    assert_eq!(route.path("a"), Path::New, "{error}");
    assert_eq!(told().len(), 1, "{:?}", told());
    assert!(client.status().last_error.is_some());
    server.answer_streams(Answer::Well);
    server.release();
    server.set("blame", OFF);
    eventually("it goes on", || route.path("a") == Path::Old);
}

#[test]
fn bad_snapshots_and_deltas_are_refused() {
    let cut = |server: &Server| {
        let event = server.snapshot_event();
        event[..event.len() - 10].to_owned() + "\n\n"
    };
    refused(cut, "malformed");
    refused(
        |_| "event: snapshot\ndata: null\n\n".to_owned(),
        "malformed",
    );
    refused(
        |_| "event: delta\ndata: {\"from\":1}\n\n".to_owned(),
        "malformed",
    );
    let turned = |server: &Server| server.snapshot_event().replace("\"on\"", "\"off\"");
    refused(turned, "does not match its hash");
    let gap = |_: &Server| {
        "event: delta\ndata: {\"from\":\"e1.7\",\"to\":\"e1.8\",\"hash\":\"0\",\"changes\":{}}\n\n"
            .to_owned()
    };
    refused(gap, "a delta from version e1.7");
    let other_epoch = |_: &Server| {
        "event: delta\ndata: {\"from\":\"e2.2\",\"to\":\"e2.3\",\"hash\":\"0\",\"changes\":{}}\n\n"
            .to_owned()
    };
    refused(other_epoch, "a delta from version e2.2");
    let foreign = |server: &Server| server.snapshot_event().replace("production", "staging");
    refused(foreign, "environment `staging`");
    let older = |server: &Server| server.snapshot_event().replace("e1.2", "e1.1");
    refused(older, "older than e1.2");
}

#[test]
fn an_oversized_event_is_refused() {
    let huge = |_: &Server| {
        format!(
            "event: snapshot\ndata: {}\n\n",
            " ".repeat(MAX_SNAPSHOT_BYTES + 2_000)
        )
    };
    refused(huge, "more than a snapshot may have");
}

#[test]
fn an_oversized_poll_is_refused() {
    let server = Server::start();
    server.answer_polls(Answer::Body(" ".repeat(MAX_SNAPSHOT_BYTES + 1)));
    let client = server.builder().polling_only().start().unwrap();
    eventually("it is refused", || {
        client
            .status()
            .last_error
            .is_some_and(|error| error.contains("over the limit"))
    });
    server.set("blame", ON);
    server.answer_polls(Answer::Well);
    let route = client.route("blame");
    eventually("it goes on", || route.path("a") == Path::New);
}

#[test]
fn a_gap_asks_for_a_full_snapshot() {
    let server = Server::start();
    let (_client, route) = settled(&server);
    server.restore("production", "e1", 5);
    server.set("blame", OFF);
    eventually("the full snapshot is applied", || {
        route.path("a") == Path::Old
    });
    let streams = server.requests_for("/sdk/v1/stream");
    assert!(!streams[1].headers.contains_key("last-event-id"));
}

#[test]
fn another_epoch_comes_as_a_whole() {
    let server = Server::start();
    let (client, route) = settled(&server);
    server.restore("production", "e2", 1);
    server.push_snapshot();
    eventually("it is applied", || {
        client.status().version.unwrap().to_string() == "e2.1"
    });
    server.set("blame", OFF);
    eventually("and followed", || route.path("a") == Path::Old);
}

#[test]
fn unknown_events_are_ignored() {
    let server = Server::start();
    let (client, route) = settled(&server);
    server.push("event: gossip\ndata: x\n\nid: 7\n\ndata: y\n\n");
    server.set("blame", OFF);
    eventually("it goes on", || route.path("a") == Path::Old);
    assert_eq!(client.status().last_error, None);
    assert_eq!(server.requests_for("/sdk/v1/stream").len(), 1);
}

#[test]
fn refusals_slow_down_with_one_line_and_recover_with_another() {
    logs::listen();
    let server = Server::start();
    server.answer_polls(Answer::Status("401 Unauthorized"));
    let mut pace = patient();
    pace.slow_retry = Duration::from_millis(300);
    let client = server.builder().pace(pace).start().unwrap();
    eventually("it never stops", || server.requests().len() >= 7);
    let asked: Vec<_> = server.requests().iter().map(|request| request.at).collect();
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slow = Duration::from_millis(240);
    assert!(pauses[4..].iter().all(|pause| *pause >= slow), "{pauses:?}");
    assert!(client.status().last_error.unwrap().contains("401"));
    eventually("it waits", || client.status().mode == Mode::Waiting);
    let lines = logs::with(Level::INFO, &server.url());
    assert_eq!(lines.len(), 1, "{lines:?}");
    server.set("blame", ON);
    server.answer_polls(Answer::Well);
    let route = client.route("blame");
    eventually("it recovers", || route.path("a") == Path::New);
}

#[test]
fn recovery_is_told_once() {
    logs::listen();
    let server = Server::start();
    server.answer_polls(Answer::Status("404 Not Found"));
    let mut pace = patient();
    pace.slow_retry = Duration::from_millis(5);
    let client = server.builder().polling_only().pace(pace).start().unwrap();
    eventually("it slows down", || server.requests().len() > 6);
    server.answer_polls(Answer::Well);
    eventually("it polls", || client.status().mode == Mode::Polling);
    let polls = server.requests().len();
    eventually("for a while", || server.requests().len() > polls + 3);
    let lines = logs::with(Level::INFO, &server.url());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("lets this client in again"));
}

#[test]
fn retry_after_is_honoured() {
    let server = Server::start();
    server.answer_polls(Answer::Status("503 Service Unavailable\r\nretry-after: 1"));
    let client = server.client();
    eventually("it asks again", || server.requests().len() == 2);
    let requests = server.requests();
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
    drop(client);
}

#[test]
fn a_server_that_dies_leaves_the_last_state() {
    let server = Server::start();
    let (client, route) = settled(&server);
    drop(server);
    eventually("it is noticed", || client.status().mode == Mode::Waiting);
    assert_eq!(route.path("a"), Path::New);
    let age = client.status().age.unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert!(client.status().age.unwrap() > age);
}

#[test]
fn a_redirect_does_not_take_the_key_elsewhere() {
    let (server, other) = (Server::start(), Server::start());
    let status = format!(
        "307 Temporary Redirect\r\nlocation: {}/sdk/v1/snapshot",
        other.url()
    );
    server.answer_polls(Answer::Status(status.leak()));
    let client = server.client();
    eventually("it is refused", || {
        client
            .status()
            .last_error
            .is_some_and(|error| error.contains("307"))
    });
    assert!(other.requests().is_empty());
}

#[test]
fn a_server_that_hangs_is_asked_ever_more_seldom() {
    let server = Server::start();
    server.answer_polls(Answer::Hang);
    let mut pace = pace();
    pace.answer = Duration::from_millis(10);
    pace.first_retry = Duration::from_secs(3_600);
    pace.longest_retry = Duration::from_secs(3_600);
    let client = server.builder().pace(pace).start().unwrap();
    eventually("it waits", || client.status().mode == Mode::Waiting);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.requests().len(), 1);
}
