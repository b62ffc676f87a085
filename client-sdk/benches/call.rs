//! What a timed and counted call costs over its bare closure.

mod harness;

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use harness::{head, row};
use switchover::{
    Client, ContentHash, EnvironmentKind, Overrides, Path, Route, RouteKey, RouteSpec, Stage,
    Version, testing, write_snapshot,
};

fn main() {
    // Starting a client begins to calibrate the processor's counter, which takes up to 200 ms.
    let calibrating = Client::builder().overrides(Overrides::none()).start();
    std::thread::sleep(Duration::from_millis(400));
    let client = testing::client();
    client.set("call", Path::New);
    let route = client.route(RouteSpec::new("call").stage(Stage::OptIn));
    let failing = client.route("failing");

    head();
    let bare = row("limit: bare closure", "", || {
        let _ = black_box(work(black_box(3)));
    });
    let clock = quanta::Clock::new();
    row("limit: clock pair, quanta", "", || {
        let start = clock.raw();
        black_box(clock.delta_as_nanos(start, clock.raw()));
    });
    row("limit: clock pair, Instant", "", || {
        let start = Instant::now();
        black_box(start.elapsed());
    });
    let call = row("call().run()", "", || {
        let call = black_box(&route).call(black_box("project-12345678"));
        let _ = black_box(call.old(|| work(2)).new(|| work(black_box(3))).run());
    });
    row("call().run(), error", "", || {
        let call = black_box(&failing).call(black_box("project-12345678"));
        let _ = black_box(call.old(|| work(black_box(0))).new(|| work(3)).run());
    });
    let (watching, watched) = watched();
    let slow = row("call().run(), slow calls counted", "", || {
        let call = black_box(&watched).call(black_box("project-12345678"));
        let _ = black_box(call.old(|| work(2)).new(|| work(black_box(3))).run());
    });
    for (what, call) in [("", call), (", slow calls counted", slow)] {
        println!(
            "call().run() over the bare closure{what}: {:.1}, budget <= 35 (60 without a counter)",
            call - bare
        );
    }
    drop((calibrating, watching));
}

/// A route of which a server wants to know the slow calls.
fn watched() -> (Client, Route) {
    let entry =
        r#"{"flag":"W","stage":"opt_in","setting":{"mode":"on"},"watch":{"slow_ms":[500]}}"#;
    let route = "watched".parse::<RouteKey>().ok();
    let entries: Vec<(RouteKey, &str)> = route.into_iter().map(|route| (route, entry)).collect();
    let entries = || entries.iter().map(|(route, entry)| (route, *entry));
    let hash = entries().fold(ContentHash::default(), |hash, (route, entry)| {
        hash.with(route, entry)
    });
    let version = Version {
        epoch: "e1".into(),
        revision: 1,
    };
    let text = write_snapshot("bench", EnvironmentKind::Hosted, &version, hash, entries());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").ok();
    let address = listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    std::thread::spawn(move || {
        for mut connection in listener.iter().flat_map(TcpListener::incoming).flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    let url = address.map_or_else(String::new, |address| format!("http://{address}"));
    let builder = Client::builder()
        .server(url, "key")
        .overrides(Overrides::none());
    let client = builder
        .polling_only()
        .poll_interval(Duration::from_secs(600))
        .start();
    let Ok(client) = client else {
        std::process::exit(1)
    };
    assert!(
        client.wait_ready(Duration::from_secs(5)),
        "the snapshot arrives"
    );
    let route = client.route("watched");
    (client, route)
}

#[inline(never)]
fn work(n: u64) -> Result<u64, ()> {
    match n {
        0 => Err(()),
        n => Ok(n * 7),
    }
}
