//! The event stream: what a reader has is what the server has.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    App, Engine, Event, Events, Remote, StreamReader, Who, at, eventually, on_both_engines,
};

const SOON: Duration = Duration::from_secs(5);

on_both_engines!(
    a_reader_follows_every_change,
    a_running_change_is_finished_before_the_end
);

fn a_reader_follows_every_change(engine: Engine) {
    let app = App::start(engine);
    for route in ["a", "b", "c", "d", "e", "f"] {
        app.route(route);
    }
    let key = app.sdk_key("dev");
    let mut reader = StreamReader::new(app.stream(&key, None));
    let changes: [(&str, &str, Value); 14] = [
        (
            "PUT",
            "a/environments/dev/setting",
            json!({ "mode": "ramp", "percent": 0.001 }),
        ),
        ("POST", "b/environments/dev/halt", json!({})),
        (
            "PUT",
            "c/environments/dev/cohorts",
            json!({ "include": ["k", "é\u{1F600}"], "exclude": ["\u{202E}\u{2028}"] }),
        ),
        (
            "POST",
            "a/environments/dev/promotions",
            json!({ "to": "opt_in" }),
        ),
        ("POST", "b/environments/dev/resume", json!({})),
        (
            "PATCH",
            "d",
            json!({ "requires": ["a"], "ramp_group": "group" }),
        ),
        (
            "POST",
            "d/environments/dev/promotions",
            json!({ "to": "opt_in" }),
        ),
        (
            "POST",
            "a/environments/dev/demotions",
            json!({ "to": "ready_for_testing", "cascade": true }),
        ),
        ("POST", "a/environments/staging/halt", json!({})),
        (
            "POST",
            "e/environments/dev/acceptance",
            json!({ "until": "2026-01-06T00:00:00Z", "percent": 5 }),
        ),
        ("DELETE", "e/environments/dev/acceptance", Value::Null),
        ("PATCH", "d", json!({ "requires": [], "ramp_group": null })),
        ("PATCH", "f", json!({ "owner": "git" })),
        (
            "PUT",
            "f/environments/dev/setting",
            json!({ "mode": "off" }),
        ),
    ];
    for (method, path, mut body) in changes {
        let request = app
            .request(method, &format!("routes/{path}"))
            .by(Who::MAINTAINER);
        let reply = if body.is_null() {
            request.send()
        } else {
            body["reason"] = json!("test");
            request.json(&body).send()
        };
        assert!(reply.status < 300, "{path}: {}", reply.body);
        let polled = app.snapshot(&key).expect(200);
        let published = polled.json();
        let (_, revision) = published["version"]
            .as_str()
            .unwrap()
            .split_once('.')
            .unwrap();
        reader.follow_to(revision.parse().unwrap(), SOON);
        assert_eq!(reader.snapshot().to_json(), polled.body, "after {path}");
        assert_eq!(
            polled.etag(),
            format!("\"{}\"", published["version"].as_str().unwrap())
        );
    }
    // A new route comes as a delta too.
    app.route("g");
    let polled = app.snapshot(&key).expect(200);
    let revision = reader.snapshot().version().revision + 1;
    reader.follow_to(revision, SOON);
    assert_eq!(reader.snapshot().to_json(), polled.body);
    let unchanged = app.request("GET", "/sdk/v1/snapshot").bearer(&key);
    let unchanged = unchanged.header("if-none-match", &polled.etag()).send();
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
}

/// T27.
#[test]
fn a_reader_resumes_where_it_was() {
    let app = App::start(Engine::Sqlite);
    for number in 0..12 {
        app.route(&format!("route_{number}"));
    }
    let key = app.sdk_key("dev");
    let first = app.stream(&key, None).event(SOON);
    assert_eq!(first.0, "snapshot");
    let seen = switchover::Snapshot::from_json(&first.2, switchover::Source::Live).unwrap();

    // Up to date: a comment at once, and nothing else until something changes.
    let current = app.stream(&key, Some(&first.1));
    assert_eq!(current.next(SOON), Event::Comment);
    for route in ["route_3", "route_7", "route_3"] {
        app.set(
            route,
            "dev",
            json!({ "mode": if route == "route_7" { "off" } else { "on" } }),
        )
        .expect(200);
        app.set(route, "staging", json!({ "mode": "on" }))
            .expect(200);
    }
    assert_eq!(current.event(SOON).0, "delta");

    // Over several revisions: one delta with what is younger.
    let (name, id, data) = app.stream(&key, Some(&first.1)).event(SOON);
    assert_eq!(name, "delta");
    let delta: Value = serde_json::from_str(&data).unwrap();
    let changed: Vec<&String> = delta["changes"].as_object().unwrap().keys().collect();
    assert_eq!(changed, ["route_3", "route_7"]);
    let now = seen.apply(&data).unwrap();
    assert_eq!(now.to_json(), app.snapshot(&key).expect(200).body);
    assert_eq!(now.version().to_string(), id);

    // What cannot be continued begins anew.
    let (epoch, revision) = id.split_once('.').unwrap();
    let later = format!("{epoch}.{}", revision.parse::<u64>().unwrap() + 5);
    let foreign = format!("0123456789abcdef.{revision}");
    for odd in [
        later.as_str(),
        &foreign,
        "nonsense",
        &format!("{epoch}.-1"),
        &format!("{epoch}.9999999999999999999999"),
    ] {
        let (name, _, data) = app.stream(&key, Some(odd)).event(SOON);
        assert_eq!(name, "snapshot", "after {odd}");
        assert_eq!(data, app.snapshot(&key).body);
    }
}

/// T24: who reads slowly is spared what is past, and holds nobody up.
#[test]
fn a_slow_reader_gets_the_latest_only() {
    const CHANGES: usize = 150;
    let app = App::start(Engine::Sqlite);
    for route in ["a", "b"] {
        app.route(route);
    }
    let key = app.sdk_key("dev");
    let mut slow = TcpStream::connect(app.address()).unwrap();
    write!(
        slow,
        "GET /sdk/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    .unwrap();
    let mut fast = StreamReader::new(app.stream(&key, None));
    for number in 0..CHANGES {
        let keys: Vec<String> = (0..250)
            .map(|key| format!("{number}-{key}-{}", "k".repeat(220)))
            .collect();
        let body = json!({ "include": keys, "exclude": [], "reason": "test" });
        let started = Instant::now();
        app.put(Who::OPERATOR, &at("a", "dev", "cohorts"), &body)
            .expect(200);
        fast.follow_to(
            fast.snapshot().version().revision + 1,
            Duration::from_secs(3),
        );
        assert!(started.elapsed() < Duration::from_secs(3));
    }
    app.set("b", "dev", json!({ "mode": "on" })).expect(200);
    let latest = app.snapshot(&key).expect(200).json()["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let read = read_until(&mut slow, &format!("\nid: {latest}\n"));
    let events = read.matches("\nid: ").count();
    assert!(
        events < CHANGES / 2,
        "{events} events, kept for whoever does not read them"
    );
}

fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    use std::io::Read as _;
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut read = String::new();
    let mut chunk = vec![0; 1 << 16];
    while !read.contains(wanted) {
        let count = socket.read(&mut chunk).expect("the latest state");
        assert!(count > 0, "the stream has ended");
        read.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    read
}

/// T34.
#[test]
fn a_change_on_one_node_arrives_on_another() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    app.route("a");
    let key = app.sdk_key("dev");
    eventually("the key is known elsewhere", SOON, || {
        (other.snapshot(&key).status == 200).then_some(())
    });
    let mut reader = StreamReader::new(other.stream(&key, None));
    let mut change = |mode: &str| {
        let started = Instant::now();
        let changed = app
            .set("a", "dev", json!({ "mode": mode }))
            .expect(200)
            .json();
        let (_, revision) = changed["version"]
            .as_str()
            .unwrap()
            .split_once('.')
            .unwrap();
        reader.follow_to(revision.parse().unwrap(), SOON);
        started.elapsed()
    };
    let mut hinted: Vec<Duration> = ["on", "off", "on", "off", "on", "off", "on"]
        .into_iter()
        .map(&mut change)
        .collect();
    hinted.sort();
    // Without hints it would be half a second in the middle.
    assert!(hinted[3] < Duration::from_millis(300), "{hinted:?}");
    let listening = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(app.database().number(listening), 2);
    app.database().run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
         AND query LIKE 'LISTEN%'",
    );
    assert!(change("off") < Duration::from_secs(2));
    eventually("both listen again", SOON, || {
        (app.database().number(listening) == 2).then_some(())
    });
    assert_eq!(other.snapshot(&key).body, app.snapshot(&key).body);
    // Both may write, and the record stays one.
    let body = json!({ "mode": "on", "reason": "test" });
    other
        .put(Who::OPERATOR, &at("a", "staging", "setting"), &body)
        .expect(200);
    app.assert_audit_intact();
    other.assert_audit_intact();
}

/// T28.
#[test]
fn a_stopping_server_ends_its_streams_spread_out() {
    const STREAMS: usize = 24;
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let key = app.sdk_key("dev");
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let stream = app.stream(&key, None);
            assert_eq!(stream.event(SOON).0, "snapshot");
            stream
        })
        .collect();
    let address = app.address().to_owned();
    let remote = Remote::at(&address);
    let started = Instant::now();
    let stopping = std::thread::spawn(move || app.stop());
    let refused = eventually("it says that it is leaving", SOON, || {
        let reply = remote.request("GET", "/readyz").send();
        (reply.status == 503).then_some(reply)
    });
    assert_eq!(refused.code(503), "unavailable");
    let wait = |stream: Events| {
        stream.end(Duration::from_secs(5));
        started.elapsed()
    };
    let mut ended: Vec<Duration> = std::thread::scope(|scope| {
        let waiting: Vec<_> = streams
            .into_iter()
            .map(|stream| scope.spawn(move || wait(stream)))
            .collect();
        waiting
            .into_iter()
            .map(|waiting| waiting.join().unwrap())
            .collect()
    });
    stopping.join().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    ended.sort();
    assert!(ended[STREAMS - 1] < Duration::from_secs(4), "{ended:?}");
    assert!(
        ended[STREAMS - 1] - ended[0] > Duration::from_millis(500),
        "all at once: {ended:?}"
    );
}

fn a_running_change_is_finished_before_the_end(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let (remote, database) = (Remote::at(app.address()), Arc::clone(app.database()));
    let before = database.number("SELECT COUNT(*) FROM audit");
    let stopped = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut acknowledged = 0;
            for mode in ["on", "off"].iter().cycle() {
                let body = json!({ "mode": mode, "reason": "test" });
                let request = remote.request("PUT", &at("a", "dev", "setting"));
                match request.by(Who::OPERATOR).json(&body).try_send() {
                    Ok(reply) if reply.status == 200 => acknowledged += 1,
                    Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.body),
                    // Connections that stood open are closed between two requests.
                    Err(_) if stopped.load(Ordering::SeqCst) => break,
                    Err(_) => {}
                }
            }
            acknowledged
        });
        eventually("changes are under way", SOON, || {
            (database.number("SELECT COUNT(*) FROM audit") > before + 10).then_some(())
        });
        app.stop();
        stopped.store(true, Ordering::SeqCst);
        changing.join().unwrap()
    });
    let recorded = database.number("SELECT COUNT(*) FROM audit") - before;
    // The last answer may have been on its way when the connection was closed.
    assert!(
        recorded == acknowledged || recorded == acknowledged + 1,
        "{recorded} of {acknowledged}"
    );
    let revision = database.number("SELECT revision FROM rollouts WHERE environment = 'dev'");
    assert_eq!(revision, recorded + 1);
}

/// A change that waits for a lock when the stop is ordered is carried out, and answered.
#[test]
fn a_change_that_waits_is_not_dropped() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, PgConnection};

    let app = App::start(Engine::Postgres);
    app.route("a");
    let mut holder = PgConnection::establish(app.database().url()).unwrap();
    let hold = "BEGIN; SELECT 1 FROM rollouts WHERE route = 'a' AND environment = 'dev' FOR UPDATE";
    holder.batch_execute(hold).unwrap();
    let (remote, database) = (Remote::at(app.address()), Arc::clone(app.database()));
    let changing = std::thread::spawn(move || {
        let body = json!({ "mode": "on", "reason": "test" });
        remote.put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
    });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                   wait_event_type = 'Lock'";
    eventually("the change waits", SOON, || {
        (database.number(waiting) == 1).then_some(())
    });
    let remote = Remote::at(app.address());
    let stopping = std::thread::spawn(move || app.stop());
    eventually("it is stopping", SOON, || {
        let refused = |reply: &crate::support::Reply| reply.status == 503;
        let asked = remote.request("GET", "/readyz").try_send();
        asked.as_ref().map_or(true, refused).then_some(())
    });
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(changing.join().unwrap().expect(200).json()["changed"], true);
    stopping.join().unwrap();
    assert_eq!(database.number("SELECT MAX(revision) FROM rollouts"), 2);
}

/// Opens streams and reads nothing from them, and changes things until all of them wait for room;
/// gives another one too, which reads.
fn unread_streams(app: &App, count: usize) -> (Vec<socket2::Socket>, StreamReader) {
    use socket2::{Domain, Socket, Type};
    app.route("a");
    let key = app.sdk_key("dev");
    let address: std::net::SocketAddr = app.address().parse().unwrap();
    let sockets = (0..count).map(|_| {
        let mut socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        let request = format!(
            "GET /sdk/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        socket
    });
    let sockets = sockets.collect();
    let mut reader = StreamReader::new(app.stream(&key, None));
    for number in 0..80 {
        let keys: Vec<String> = (0..250)
            .map(|key| format!("{number}-{key}-{}", "k".repeat(220)))
            .collect();
        let body = json!({ "include": keys, "exclude": [], "reason": "test" });
        app.put(Who::OPERATOR, &at("a", "dev", "cohorts"), &body)
            .expect(200);
        reader.follow_to(reader.snapshot().version().revision + 1, SOON);
    }
    (sockets, reader)
}

#[test]
fn a_reader_that_never_reads_is_let_go() {
    let database = Arc::new(crate::support::TestDatabase::new(Engine::Sqlite));
    let app = App::with_patience(database, Duration::from_secs(2));
    let (sockets, reader) = unread_streams(&app, 3);
    // Whoever reads stays.
    eventually("they are let go", Duration::from_secs(15), || {
        let health = app.request("GET", "/healthz").send().json();
        (health["streams"] == 1).then_some(())
    });
    drop((sockets, reader));
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_end() {
    let app = App::start(Engine::Sqlite);
    let (sockets, reader) = unread_streams(&app, 3);
    let started = Instant::now();
    app.stop();
    let took = started.elapsed();
    assert!(took < Duration::from_millis(4_500), "{took:?}");
    drop((sockets, reader));
}

/// T26: who goes without a word is forgotten.
#[test]
fn a_reader_that_vanishes_is_forgotten() {
    let app = App::start(Engine::Sqlite);
    let key = app.sdk_key("dev");
    let streams = || app.request("GET", "/healthz").send().json()["streams"].clone();
    let sockets: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut socket = TcpStream::connect(app.address()).unwrap();
            let request = format!(
                "GET /sdk/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).unwrap();
            socket
        })
        .collect();
    eventually("all are counted", SOON, || (streams() == 10).then_some(()));
    drop(sockets);
    eventually("none is counted", Duration::from_secs(20), || {
        (streams() == 0).then_some(())
    });
    assert_eq!(app.services().hub().followers(), 0);
}
