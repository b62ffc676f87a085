//! Following a server that works.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use switchover::{Client, Mode, Path, Reason, RouteSpec, Source, Stage, StartError};

use crate::server::{Answer, Server, builder, eventually, nobody};
use crate::{OFF, ON, PATIENCE};

#[test]
fn a_server_that_is_down_is_no_error() {
    let began = Instant::now();
    let client = builder(&nobody()).start().unwrap();
    let route = client.route("blame");
    assert_eq!(route.path("a"), Path::Old);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(!client.wait_ready(Duration::from_millis(20)));
    eventually("an error is known", || client.status().last_error.is_some());
    assert_eq!(client.status().source, Source::Compiled);
}

#[test]
fn what_cannot_be_a_server_is_an_error() {
    for url in [
        "",
        "localhost",
        "ftp://host",
        "http://",
        "http://u:p@host",
        "http://h/?a=b",
        "http://h/#a",
    ] {
        let error = Client::builder().server(url, "key").start().unwrap_err();
        assert!(matches!(error, StartError::InvalidUrl(_)), "{url}: {error}");
    }
    for key in ["", "a b", "a\nb", "ä"] {
        let error = Client::builder()
            .server("http://h", key)
            .start()
            .unwrap_err();
        assert!(matches!(error, StartError::InvalidKey));
        assert!(!format!("{error:?}").contains("a b"));
    }
    for pem in [
        "",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        let started = Client::builder()
            .server("https://h", "key")
            .ca_pem(pem)
            .start();
        assert!(matches!(started, Err(StartError::InvalidCertificate)));
    }
}

#[test]
fn nothing_that_can_be_printed_holds_the_key_or_a_password() {
    let secret = "swk_5ecret";
    for url in [
        secret.to_owned(),
        format!("https://me:{secret}@host"),
        format!("https://{secret}@host:1/x"),
        format!("https://me:{secret}@"),
        format!("https://host/?key={secret}"),
        format!("https://host/#{secret}"),
        format!("{secret}://host"),
        format!("https://host {secret}"),
    ] {
        let builder = Client::builder().server(&url, "https://host");
        let debug = format!("{builder:?}");
        let error = builder.start().unwrap_err();
        let texts = [debug, format!("{error:?}"), error.to_string()];
        assert!(!texts.concat().contains("5ecret"), "{texts:?}");
        let says = "one looks like https://switchover.example.com";
        assert!(texts[2].contains(says), "{}", texts[2]);
    }
    let builder = Client::builder()
        .overrides([("SWITCHOVER_SDK_KEY", secret)].into_iter().collect())
        .server(nobody(), secret);
    let debug = format!("{builder:?}");
    assert!(debug.contains("http://127.0.0.1"), "{debug}");
    let client = builder.start().unwrap();
    let route = client.route("blame");
    let debug = debug + &format!("{client:?} {route:?}");
    assert!(!debug.contains("5ecret"), "{debug}");
    // Swapped, the other way round.
    let error = Client::builder()
        .server("https://host", format!("https://{secret} "))
        .start()
        .unwrap_err();
    assert!(!format!("{error:?} {error}").contains("5ecret"));
}

#[test]
fn changes_arrive_by_the_stream() {
    let server = Server::start();
    server.set("blame", OFF);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    assert!(client.status().age.is_some());
    assert_eq!(route.path("a"), Path::Old);
    eventually("the stream is open", || {
        client.status().mode == Mode::Streaming
    });
    server.set("blame", ON);
    eventually("the delta is applied", || route.path("a") == Path::New);
    server.set("blame", OFF);
    eventually("the next one too", || route.path("a") == Path::Old);
    let status = client.status();
    assert_eq!(
        (status.source, status.environment.as_deref()),
        (Source::Live, Some("production"))
    );
    assert_eq!(status.version.unwrap().to_string(), "e1.4");
    assert!(status.age.unwrap() < PATIENCE && status.last_error.is_none());
    let first = &server.requests()[0];
    assert_eq!(first.headers["authorization"], "Bearer sdk-key");
    let stream = &server.requests_for("/sdk/v1/stream")[0];
    assert_eq!(stream.headers["accept"], "text/event-stream");
    assert_eq!(stream.headers["last-event-id"], "e1.2");
}

#[test]
fn a_broken_stream_goes_on_where_it_was() {
    let server = Server::start();
    server.set("blame", OFF);
    let client = server.client();
    let route = client.route("blame");
    for (round, entry) in [ON, OFF, ON].into_iter().enumerate() {
        eventually("the stream is open", || server.open_streams() == 1);
        server.close_streams();
        server.set("blame", entry);
        let path = if entry == ON { Path::New } else { Path::Old };
        eventually("what was missed is applied", || route.path("a") == path);
        eventually("it reconnects", || {
            server.requests_for("/sdk/v1/stream").len() >= round + 2
        });
    }
    assert_eq!(server.requests_for("/sdk/v1/snapshot").len(), 1);
}

#[test]
fn polling_asks_conditionally() {
    let server = Server::start();
    server.set("blame", OFF);
    let client = server.builder().polling_only().start().unwrap();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    server.set("blame", ON);
    eventually("a poll brings it", || route.path("a") == Path::New);
    eventually("it goes on", || server.requests().len() > 4);
    assert_eq!(client.status().mode, Mode::Polling);
    assert!(client.status().is_connected());
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.path == "/sdk/v1/snapshot")
    );
    assert_eq!(requests[1].headers["if-none-match"], "\"e1.2\"");
}

#[test]
fn streams_that_are_held_back_turn_to_polling() {
    for answer in [Answer::Silent, Answer::Hang] {
        let server = Server::start();
        server.answer_streams(answer);
        server.set("blame", OFF);
        let client = server.client();
        let route = client.route("blame");
        // The first load waits for no stream.
        let began = Instant::now();
        assert!(client.wait_ready(PATIENCE));
        assert!(began.elapsed() < Duration::from_millis(240));
        eventually("it polls", || client.status().mode == Mode::Polling);
        assert_eq!(server.requests_for("/sdk/v1/stream").len(), 2);
        server.set("blame", ON);
        eventually("a poll brings it", || route.path("a") == Path::New);
        assert_eq!(server.requests_for("/sdk/v1/stream").len(), 2);
    }
}

#[test]
fn the_stream_is_tried_again_while_polling() {
    let server = Server::start();
    server.answer_streams(Answer::Silent);
    let mut pace = crate::server::pace();
    pace.retry_stream = Duration::from_millis(50);
    let client = server.builder().pace(pace).start().unwrap();
    eventually("it polls", || client.status().mode == Mode::Polling);
    server.answer_streams(Answer::Well);
    eventually("it streams again", || {
        client.status().mode == Mode::Streaming
    });
    let polls = server.requests_for("/sdk/v1/snapshot").len();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(server.requests_for("/sdk/v1/snapshot").len(), polls);
}

#[test]
fn a_stream_that_was_healthy_and_stalls_just_reconnects() {
    let server = Server::start();
    let mut pace = crate::server::pace();
    // Shorter than the server's heartbeat: every stream stalls.
    pace.read = Duration::from_millis(10);
    let client = server.builder().pace(pace).start().unwrap();
    eventually("it reconnects", || {
        server.requests_for("/sdk/v1/stream").len() > 5
    });
    assert!(client.wait_ready(PATIENCE));
    assert_eq!(server.requests_for("/sdk/v1/snapshot").len(), 1);
}

#[test]
fn whoever_asked_is_told_of_changes_and_a_panic_of_theirs_is_contained() {
    let server = Server::start();
    server.set("blame", OFF);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    let told = Arc::new(Mutex::new(Vec::new()));
    let panics = Arc::new(AtomicUsize::new(0));
    let panicking = client.on_change({
        let panics = Arc::clone(&panics);
        move |_| {
            panics.fetch_add(1, Ordering::Relaxed);
            panic!("contained");
        }
    });
    let listening = client.on_change({
        let told = Arc::clone(&told);
        move |change| told.lock().unwrap().push(change.clone())
    });
    eventually("the stream is open", || server.open_streams() == 1);
    server.set("blame", ON);
    eventually("it is told", || told.lock().unwrap().len() == 1);
    assert_eq!(route.path("a"), Path::New);
    let change = told.lock().unwrap()[0].clone();
    assert_eq!(change.version.to_string(), "e1.3");
    assert_eq!(change.routes, ["blame".parse().unwrap()]);
    assert_eq!(panics.load(Ordering::Relaxed), 1);
    drop(listening);
    server.set("blame", OFF);
    eventually("the other still is", || panics.load(Ordering::Relaxed) == 2);
    assert_eq!(told.lock().unwrap().len(), 1);
    eventually("what a callback owned is gone", || {
        Arc::strong_count(&told) == 1
    });
    drop(panicking);
}

#[test]
fn a_callback_may_drop_the_last_client() {
    let server = Server::start();
    let client = Arc::new(Mutex::new(None));
    let started = server.client();
    let dropped = Arc::new(AtomicUsize::new(0));
    let _listening = started.on_change({
        let (client, dropped) = (Arc::clone(&client), Arc::clone(&dropped));
        move |_| {
            *client.lock().unwrap() = None::<Client>;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    });
    *client.lock().unwrap() = Some(started);
    eventually("the first stream is open", || {
        let asked = server.open_streams() == 1;
        if asked {
            server.set("blame", ON);
        }
        dropped.load(Ordering::Relaxed) > 0
    });
}

#[test]
fn ending_is_quick_also_where_the_server_hangs() {
    for answer in [Answer::Well, Answer::Silent, Answer::Hang] {
        let server = Server::start();
        server.answer_streams(answer);
        let mut pace = crate::server::pace();
        pace.answer = Duration::from_secs(60);
        pace.read = Duration::from_secs(60);
        let client = server.builder().pace(pace).start().unwrap();
        let route = client.route("blame");
        eventually("it waits for the stream", || {
            server.requests_for("/sdk/v1/stream").len() == 1
        });
        let other = client.clone();
        drop(client);
        let began = Instant::now();
        other.shutdown();
        other.shutdown();
        assert_eq!(other.status().mode, Mode::Stopped);
        drop(other);
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(route.path("a"), Path::Old);
        assert_eq!(
            route.call("a").old(|| Ok::<_, ()>(1)).new(|| Ok(2)).run(),
            Ok(1)
        );
    }
}

#[test]
fn a_client_without_a_server_is_ready() {
    let client = Client::builder().start().unwrap();
    assert!(client.wait_ready(Duration::ZERO));
    assert!(client.flush(Duration::ZERO));
    assert_eq!(client.status().mode, Mode::Offline);
    assert_eq!(client.status().age, None);
}

/// Runs itself once more for each case, with the variables set: they are the process's.
#[test]
fn the_environment_names_the_server_and_overrides_routes() {
    const CASE: &str = "SWITCHOVER_TEST_CASE";
    if let Ok(case) = std::env::var(CASE) {
        let started = Client::from_env();
        match case.as_str() {
            "both" => assert!(started.unwrap().route("blame").path("a") == Path::Old),
            "neither" => {
                let client = started.unwrap();
                assert_eq!(client.status().mode, Mode::Offline);
                let blame = RouteSpec::new("blame").flag("GITALY_BLAME");
                let route = client.route(blame.stage(Stage::OptIn));
                assert_eq!(route.decide("a").reason, Reason::EnvOn);
            }
            name => assert!(
                matches!(started, Err(StartError::MissingVariable(missing)) if missing == name)
            ),
        }
        return;
    }
    let server = Server::start();
    let (url, key) = (server.url(), "sdk-key".to_owned());
    for (case, url, key) in [
        ("both", Some(&url), Some(&key)),
        ("neither", None, None),
        ("SWITCHOVER_URL", None, Some(&key)),
        ("SWITCHOVER_SDK_KEY", Some(&url), None),
    ] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "live::the_environment_names_the_server_and_overrides_routes",
        ]);
        command.env(CASE, case).env("GITALY_BLAME", "1");
        command
            .env_remove("SWITCHOVER_URL")
            .env_remove("SWITCHOVER_SDK_KEY");
        command.envs(url.map(|url| ("SWITCHOVER_URL", url)));
        command.envs(key.map(|key| ("SWITCHOVER_SDK_KEY", key)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{case}: {output:?}");
    }
}
