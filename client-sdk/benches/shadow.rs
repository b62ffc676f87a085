//! What a shadow that hangs does to callers: their latency, and the process's memory. Prints each
//! figure beside its budget; fails on nothing, because what a shared machine does to time is not the
//! code's fault.

use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use switchover::testing::TestClient;
use switchover::{FlagName, Mirror, Percent, Rollout, Route, Stage, testing};

/// What the authoritative path takes.
const WORK: Duration = Duration::from_micros(50);
const CALLS: usize = 20_000;
const TOGETHER: usize = 10_000;
const THREADS: usize = 64;

type Pending = Pin<Box<dyn Future<Output = Result<u64, ()>>>>;

fn main() {
    let client = testing::client();
    let goes_on = Arc::new(AtomicBool::new(false));
    latencies(&client, &goes_on);
    together_blocking(&goes_on);
    together_awaited();
    goes_on.store(true, Ordering::Relaxed);
}

/// A route whose reads are all shadowed, or none.
fn route(client: &TestClient, key: &str, read: Percent) -> Route {
    let flag: Result<FlagName, _> = key.to_ascii_uppercase().parse();
    if let Ok(flag) = flag {
        let mut rollout = Rollout::at(flag, Stage::ReadyForTesting);
        rollout.mirror = Mirror {
            read,
            write: Percent::ZERO,
        };
        client.set_rollout(key, rollout);
    }
    client.route(key)
}

fn work() -> Result<u64, ()> {
    let began = Instant::now();
    while began.elapsed() < WORK {
        std::hint::spin_loop();
    }
    Ok(7)
}

fn hang(goes_on: &AtomicBool) -> Result<u64, ()> {
    while !goes_on.load(Ordering::Relaxed) {
        thread::park_timeout(Duration::from_millis(50));
    }
    Ok(7)
}

fn latencies(client: &TestClient, goes_on: &Arc<AtomicBool>) {
    let healthy = route(client, "healthy", Percent::HUNDRED);
    let hung = route(client, "hung", Percent::HUNDRED);
    let none = route(client, "none", Percent::ZERO);
    println!(
        "over the old path alone, which takes {WORK:?}, in turns: us, {CALLS} reads   p50      p99"
    );
    row("no shadow", "", || none.read(7).old(work).new(work).run());
    row("shadow that hangs", "budget <= 1000", || {
        let goes_on = Arc::clone(goes_on);
        let read = hung.read(7).old(work).new(move || hang(&goes_on));
        read.compare(|old, new| old == new).run()
    });
    row("shadow in time, compared", "", || {
        let read = healthy.read(7).old(work).new(|| Ok(7));
        read.compare(|old, new| old == new).run()
    });
}

/// Prints by how much the median and the 99th percentile of a call exceed those of the old path alone.
/// The two are called in turns: what else the machine does hits both.
fn row(name: &str, budget: &str, call: impl Fn() -> Result<u64, ()>) {
    let time = |call: &dyn Fn() -> Result<u64, ()>| {
        let began = Instant::now();
        let _ = black_box(call());
        began.elapsed().as_secs_f64() * 1e6
    };
    let (mut alone, mut beside): (Vec<f64>, Vec<f64>) =
        (0..CALLS).map(|_| (time(&work), time(&call))).unzip();
    alone.sort_by(f64::total_cmp);
    beside.sort_by(f64::total_cmp);
    let over = |rank: usize| match (beside.get(rank), alone.get(rank)) {
        (Some(beside), Some(alone)) => beside - alone,
        _ => f64::NAN,
    };
    let (median, high) = (over(CALLS / 2), over(CALLS * 99 / 100));
    println!("{name:<68} {median:>8.1} {high:>8.1}  {budget}");
}

fn together_blocking(goes_on: &Arc<AtomicBool>) {
    // Apart from the one above, whose threads hang.
    let client = testing::client();
    let route = route(&client, "hung", Percent::HUNDRED);
    let before = resident();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (route, goes_on) = (&route, goes_on);
            scope.spawn(move || {
                for _ in (thread..TOGETHER).step_by(THREADS) {
                    let goes_on = Arc::clone(goes_on);
                    let read = route.read(7).old(|| Ok(7)).new(move || hang(&goes_on));
                    let _ = black_box(read.compare(|old, new| old == new).run());
                }
            });
        }
    });
    report("reads on 64 threads, shadow hangs", &route, before);
}

fn together_awaited() {
    for (name, share) in [
        ("no shadow", Percent::ZERO),
        ("shadow hangs", Percent::HUNDRED),
    ] {
        let client = testing::client();
        let route = route(&client, "hung", share);
        let before = resident();
        let read = |route: Route| async move {
            let read = route.read(7).old(pending::<Result<u64, ()>>);
            let read = read.new(pending).compare(|old, new| old == new);
            read.run_async().await
        };
        let mut reads: Vec<Pending> = Vec::new();
        for _ in 0..TOGETHER {
            let mut future = Box::pin(read(route.clone()));
            let _ = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            reads.push(future);
        }
        report(&format!("reads awaited at once, {name}"), &route, before);
        drop(reads);
    }
}

/// Says by how much the memory grew, and what became of the shadows once all are past their deadline.
fn report(name: &str, route: &Route, before: u64) {
    let grown = resident().saturating_sub(before) / 1024;
    thread::sleep(Duration::from_millis(1_500));
    let mirror = route.stats().new_mirror;
    println!(
        "{TOGETHER} {name}: {grown} KiB more resident (budget <= 16384), {} shadows ran, {} dropped",
        mirror.runs.calls, mirror.dropped
    );
}

/// Resident memory in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}
