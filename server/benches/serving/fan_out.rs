//! From the request that changes something to the event in the hands of every reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Filled, Process};
use crate::{headline, millis, quantile, row};

const EVENTS: usize = 15;

pub(crate) fn run() {
    headline("fan-out: 15 changes; from before the request is sent, so the commit is in it");
    for (readers, budget) in [(1_000, "40 ms"), (10_000, "200 ms")] {
        let bare = Process::limit("serve-bare");
        let request = "GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n".to_owned();
        let fire = format!("{}/fire", bare.url);
        let limit = measure(&bare, &request, readers, |_| {
            ureq::post(&fire).send_empty().unwrap();
        });
        drop(bare);
        row(
            &format!("bare fan-out to {readers}, p50 / p99 / max"),
            &shown(&limit.latencies),
            "the limit",
        );
        let filled = Filled::with_routes(100);
        let request = format!(
            "GET /sdk/v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n",
            filled.sdk_key
        );
        let ours = measure(&filled.process, &request, readers, |turn| {
            let path = "/routes/route_7/environments/dev/setting";
            let mode = if turn % 2 == 0 { "on" } else { "off" };
            filled.put(path, &json!({"mode": mode, "reason": "measured"}));
        });
        row(
            &format!("change to event at {readers} SDKs, p50 / p99 / max"),
            &shown(&ours.latencies),
            &format!("p99 {budget}"),
        );
        if readers == 10_000 {
            row(
                "resident memory, 10,000 streams: parked / after the events",
                &format!("{:.0} / {:.0} MiB", ours.parked, ours.after),
                "130 MiB",
            );
            row(
                "the same of the bare fan-out",
                &format!("{:.0} / {:.0} MiB", limit.parked, limit.after),
                "the limit",
            );
        }
    }
}

struct Measured {
    /// Milliseconds, sorted: every event at every reader.
    latencies: Vec<f64>,
    parked: f64,
    after: f64,
}

fn shown(latencies: &[f64]) -> String {
    format!(
        "{:.1} / {:.1} / {:.1} ms",
        quantile(latencies, 0.5),
        quantile(latencies, 0.99),
        quantile(latencies, 1.0)
    )
}

struct Board {
    zero: Instant,
    /// Per reader, when it last got an event, in microseconds after `zero`.
    times: Vec<AtomicU64>,
    seen: AtomicUsize,
    connected: AtomicUsize,
}

fn measure(process: &Process, request: &str, readers: usize, fire: impl Fn(usize)) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let board = Arc::new(Board {
        zero: Instant::now(),
        times: (0..readers).map(|_| AtomicU64::new(0)).collect(),
        seen: AtomicUsize::new(0),
        connected: AtomicUsize::new(0),
    });
    let address: Arc<str> = process.url.trim_start_matches("http://").into();
    let request: Arc<str> = request.into();
    for reader in 0..readers {
        runtime.spawn(follow(
            Arc::clone(&address),
            Arc::clone(&request),
            reader,
            Arc::clone(&board),
        ));
        if reader % 500 == 499 {
            wait_for(&board.connected, reader + 1);
        }
    }
    wait_for(&board.connected, readers);
    std::thread::sleep(Duration::from_secs(1));
    let parked = process.resident();
    let mut latencies = Vec::with_capacity(EVENTS * readers);
    for turn in 0..EVENTS {
        board.seen.store(0, Ordering::SeqCst);
        let sent = Instant::now();
        fire(turn);
        wait_for(&board.seen, readers);
        let sent = sent - board.zero;
        for time in &board.times {
            let got = Duration::from_micros(time.load(Ordering::SeqCst));
            latencies.push(millis(got.saturating_sub(sent)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    latencies.sort_by(f64::total_cmp);
    let after = process.resident();
    runtime.shutdown_background();
    Measured {
        latencies,
        parked,
        after,
    }
}

/// Counts the events that arrive; the first bytes after the head say that the stream works.
async fn follow(address: Arc<str>, request: Arc<str>, reader: usize, board: Arc<Board>) {
    let mut stream = TcpStream::connect(&*address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4 * 1024];
    let mut connected = false;
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        let text = &buffer[..read];
        if text.windows(12).any(|part| part == b"event: delta") {
            let now = board.zero.elapsed().as_micros();
            board.times[reader].store(now as u64, Ordering::SeqCst);
            board.seen.fetch_add(1, Ordering::SeqCst);
        } else if !connected {
            connected = true;
            board.connected.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn wait_for(count: &AtomicUsize, wanted: usize) {
    let started = Instant::now();
    while count.load(Ordering::SeqCst) < wanted {
        let waited = started.elapsed();
        assert!(
            waited < Duration::from_secs(60),
            "{} of {wanted} after {waited:?}",
            count.load(Ordering::SeqCst)
        );
        std::thread::sleep(Duration::from_micros(500));
    }
}
