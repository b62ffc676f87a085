//! Requests a second, as a ratio to a hello-world server in the same run.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Filled, Process};
use crate::{headline, millis, quantile, row};

const CONNECTIONS: usize = 32;
const TURN: Duration = Duration::from_secs(3);
pub(crate) const TURNS: usize = 3;

/// What one turn came to.
pub(crate) struct Load {
    /// Answers a second.
    pub(crate) rate: f64,
    /// The time in milliseconds below which 99 of 100 answers came.
    pub(crate) p99: f64,
}

pub(crate) fn run() {
    headline("requests a second: 32 connections, 100 routes, the generator on the same two cores");
    let hello = Process::limit("serve-hello");
    let filled = Filled::with_routes(100);
    let (limit, ours) = (address(&hello), address(&filled.process));
    let authorization = format!("Authorization: Bearer {}\r\n", filled.sdk_key);
    let get =
        |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n");
    let full = get("/sdk/v1/snapshot", &authorization);
    let etag = etag_of(&ours, &full);
    let same = get(
        "/sdk/v1/snapshot",
        &format!("{authorization}If-None-Match: {etag}\r\n"),
    );
    let hello = get("/", "");
    let (mut limits, mut unchanged, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        limits.push(load(&limit, &hello).rate);
        unchanged.push(load(&ours, &same).rate);
        whole.push(load(&ours, &full).rate);
    }
    for rates in [&mut limits, &mut unchanged, &mut whole] {
        rates.sort_by(f64::total_cmp);
    }
    let limit = quantile(&limits, 0.5);
    row("hello-world server", &format!("{limit:.0}/s"), "the limit");
    for (what, rates) in [("304", &unchanged), ("200", &whole)] {
        let rate = quantile(rates, 0.5);
        row(
            &format!("GET /sdk/v1/snapshot, {what}"),
            &format!("{rate:.0}/s = {:.2} x", rate / limit),
            "0.75 x hello-world",
        );
    }
}

/// Where a process listens.
pub(crate) fn address(process: &Process) -> String {
    process.url.trim_start_matches("http://").to_owned()
}

/// Asks over all connections for one turn.
pub(crate) fn load(address: &str, request: &str) -> Load {
    let mut times = runtime().block_on(async {
        let until = Instant::now() + TURN;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|_| tokio::spawn(ask(address.to_owned(), request.to_owned(), until)))
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times
    });
    times.sort_by(f64::total_cmp);
    Load {
        rate: times.len() as f64 / TURN.as_secs_f64(),
        p99: quantile(&times, 0.99),
    }
}

/// How many milliseconds each answer took.
async fn ask(address: String, request: String, until: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 128 * 1024];
    let mut times = Vec::new();
    let mut started = Instant::now();
    while started < until {
        stream.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut stream, &mut buffer).await;
        let ended = Instant::now();
        times.push(millis(ended - started));
        started = ended;
    }
    times
}

/// Reads one answer: head, and as many bytes as it says. Gives the head's length.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let Some(head) = buffer[..filled]
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
        else {
            continue;
        };
        let head = head + 4;
        if filled >= head + content_length(&buffer[..head]) {
            return head;
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 304"),
        "{head}"
    );
    header(head, "content-length").map_or(0, |length| length.parse().unwrap())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn etag_of(address: &str, request: &str) -> String {
    runtime().block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 128 * 1024];
        let head = read_answer(&mut stream, &mut buffer).await;
        let head = std::str::from_utf8(&buffer[..head]).unwrap();
        header(head, "etag").unwrap().to_owned()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
