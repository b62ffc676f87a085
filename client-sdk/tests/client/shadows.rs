//! Shadow reads: when they are due, how many, what is told of them, and that they are nobody's trouble.

use std::future::pending;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use switchover::{Path, Role, Route, testing};

use crate::PATIENCE;
use crate::calls::block_on;
use crate::reads::{
    Does, Implementation, OLD, Release, Way, brief, brief_mirror, client, mirrored, panics, read,
};
use crate::reports::{counted, started};
use crate::server::{Server, eventually};

/// The deadline where all hangs.
const SHORT: Duration = Duration::from_millis(150);

/// Reads once, and says which path the caller got and which ran beside it.
fn paths(route: &Route) -> (Path, Option<Path>) {
    let (told, hears) = mpsc::channel();
    let runs = |path| {
        let told = told.clone();
        move || {
            told.send(path).unwrap();
            Ok::<_, ()>(path)
        }
    };
    let path = route
        .read("a key")
        .old(runs(Path::Old))
        .new(runs(Path::New))
        .run()
        .unwrap();
    drop(told);
    let mut ran: Vec<Path> = hears.iter().collect();
    let place = ran.iter().position(|ran| *ran == path).unwrap();
    ran.remove(place);
    assert!(ran.len() < 2);
    (path, ran.pop())
}

#[test]
fn the_mirror_goes_by_the_rollout() {
    let server = Server::start();
    let rollout =
        |fields: &str| format!(r#"{{"flag":"B",{fields},"mirror":{{"read_percent":100}}}}"#);
    let held = r#""stage":"opt_in","setting":{"mode":"off"},"generation":2,"hold":{"stage":"opt_in","setting":{"mode":"on"}}"#;
    let cases = [
        (
            r#""stage":"ready_for_testing""#,
            (Path::Old, Some(Path::New)),
        ),
        (
            r#""stage":"opt_in","setting":{"mode":"off"}"#,
            (Path::Old, Some(Path::New)),
        ),
        (r#""stage":"opt_out""#, (Path::New, Some(Path::Old))),
        (
            r#""stage":"opt_out","halted":true"#,
            (Path::Old, Some(Path::New)),
        ),
        // The present path, as long as a flip is under way.
        (held, (Path::Old, Some(Path::New))),
        // The old path may be gone.
        (r#""stage":"mandatory""#, (Path::New, None)),
    ];
    for (n, (fields, _)) in cases.iter().enumerate() {
        server.set(&format!("r{n}"), &rollout(fields));
    }
    server.set("plain", r#"{"flag":"P","stage":"ready_for_testing"}"#);
    let client = client(&server, Way::Blocking);
    for (n, (fields, expected)) in cases.iter().enumerate() {
        assert_eq!(paths(&client.route(format!("r{n}"))), *expected, "{fields}");
    }
    assert_eq!(paths(&client.route("plain")), (Path::Old, None));
    assert_eq!(paths(&client.route("nobody_knows_it")), (Path::Old, None));
    let route = client.route("r1");
    {
        let _forced = testing::force(&route, Path::New);
        assert_eq!(paths(&route), (Path::New, None));
    }
    assert_eq!(paths(&route), (Path::Old, Some(Path::New)));
    server.set("r1", &mirrored(OLD, 0));
    eventually("the mirror is off", || paths(&route) == (Path::Old, None));
}

#[test]
fn chance_picks_reads_and_not_keys() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 25));
    let (_client, route) = started(&server);
    let read = || route.read("one key").old(|| Ok::<_, ()>(())).new(|| Ok(()));
    (0..4_000).for_each(|_| read().run().unwrap());
    let begun = || {
        let mirror = route.stats().new_mirror;
        mirror.runs.calls + mirror.dropped
    };
    eventually("a fourth is run beside", || begun() > 800);
    assert!(begun() < 1_200);
    assert_eq!(route.stats().old.calls, 4_000);
}

#[test]
fn the_shadow_runs_while_the_caller_does() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let client = client(&server, Way::Blocking);
    let (told, hears) = mpsc::channel();
    let route = client.route("blame");
    let read = route.read("a");
    let read = read.old(move || hears.recv_timeout(PATIENCE));
    let read = read.new(move || {
        told.send(7).unwrap();
        Ok(7)
    });
    assert_eq!(read.run(), Ok(7));
}

#[test]
fn over_the_cap_shadows_are_dropped_and_all_are_counted() {
    let release = Release::default();
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let builder = server.builder().mirror_threads(2).mirror_futures(3);
    let spawner = |future| drop(thread::spawn(|| block_on(future)));
    let builder = builder.mirror_deadline(SHORT).spawner(spawner);
    let client = builder.start().unwrap();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    let (well, hangs) = (
        Implementation::new(Does::Well, &release),
        Implementation::new(Does::Hang, &release),
    );
    for _ in 0..3_000 {
        assert_eq!(read(&route, Way::Blocking, &well, &hangs), Some(Ok(7)));
    }
    let mirror = || brief_mirror(&route.stats().new_mirror);
    // Those that waited for a thread are dropped at their deadline.
    eventually("two hang, and the others are dropped", || {
        mirror() == [2, 2, 0, 0, 2_998, 0, 0]
    });
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(read(&route, Way::Spawned, &well, &hangs), Some(Ok(7)));
    }
    eventually("futures that hang leave their places", || {
        let [runs, errors, .., dropped, _, _] = mirror();
        runs == errors && runs >= 5 && runs + dropped == 3_100
    });
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn what_is_due_is_reported_as_rows_of_the_mirror_and_values_are_not() {
    let server = Server::start();
    let watched =
        mirrored(OLD, 100).replace("\"flag\"", r#""watch":{"mirror_slow_ms":[20]},"flag""#);
    server.set("blame", &watched);
    let client = client(&server, Way::Blocking);
    let route = client.route("blame");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let read = |key: &str, new: &'static str, millis| {
        let seen = Arc::clone(&seen);
        let read = route.read(key).old(|| Ok::<_, ()>("secret-7"));
        let read = read.new(move || {
            thread::sleep(Duration::from_millis(millis));
            Ok(new)
        });
        let read = read.compare(|old, new| old == new);
        let read = read.ignore(|_, new| new.ends_with("known"));
        let read = read.ignore(|_, new| new.ends_with("late"));
        let read = read.clean(|value| value.replace("secret", "(hidden)"));
        let read = read.on_mismatch(move |mismatch| {
            let key = mismatch.key.map(str::to_owned);
            let values = (*mismatch.old, *mismatch.new);
            seen.lock().unwrap().push((key, mismatch.authority, values));
        });
        assert_eq!(read.run(), Ok("secret-7"));
    };
    read("k1", "secret-7", 0);
    read("k2", "secret-known", 30);
    read("k3", "secret-late", 0);
    read("k4", "secret-8", 0);
    read("k4", "secret-9", 0);
    eventually("all are compared", || {
        route.stats().new_mirror.comparisons == 5
    });
    assert_eq!(route.stats().mismatching_keys, ["k4"]);
    eventually("both are shown", || seen.lock().unwrap().len() == 2);
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_by_key(|(_, _, values)| *values);
    let saw = |new| (Some("k4".to_owned()), Path::Old, ("secret-7", new));
    assert_eq!(seen, [saw("secret-8"), saw("secret-9")]);
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    let rows = counted(&reports);
    let (mirror, calls): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.role == Role::Mirror);
    assert!(
        mirror
            .iter()
            .all(|row| row.path == Path::New && row.revision == 2)
    );
    let sum =
        |of: fn(&switchover::RouteCounts) -> u64| mirror.iter().map(|row| of(row)).sum::<u64>();
    assert_eq!(
        (sum(|row| row.calls), sum(|row| row.latency.count())),
        (5, 5)
    );
    assert_eq!(
        (sum(|row| row.comparisons), sum(|row| row.mismatches)),
        (5, 2)
    );
    let slow = |row: &switchover::RouteCounts| row.slow.iter().map(|slow| slow.violations).sum();
    assert!((1..=5).contains(&sum(slow)));
    let keys: Vec<_> = mirror
        .iter()
        .flat_map(|row| &row.mismatching_keys)
        .collect();
    assert_eq!(keys, ["k4"]);
    assert!(
        calls
            .iter()
            .all(|row| row.path == Path::Old && row.comparisons == 0)
    );
    assert_eq!(calls.iter().map(|row| row.calls).sum::<u64>(), 5);
    for report in &reports {
        assert!(!str::from_utf8(&report.body).unwrap().contains("secret"));
    }
}

/// Panics where it is told to.
#[derive(Debug, PartialEq, Eq)]
struct Touchy {
    clones: bool,
}

impl Clone for Touchy {
    fn clone(&self) -> Touchy {
        match self.clones {
            true => Touchy { ..*self },
            false => panics(),
        }
    }
}

#[test]
fn no_panic_of_a_comparison_or_a_clone_reaches_the_caller() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let client = client(&server, Way::Blocking);
    let route = client.route("blame");
    let read = |clones, compares: bool| {
        let of = move || Ok::<_, ()>(Touchy { clones });
        let read = route.read("a").old(of).new(of).compare(move |old, new| {
            if !compares {
                panics();
            }
            old == new
        });
        assert_eq!(read.run(), Ok(Touchy { clones }));
    };
    (0..50).for_each(|_| read(false, true));
    (0..50).for_each(|_| read(true, false));
    (0..50).for_each(|_| read(true, true));
    eventually("the last are compared", || {
        brief_mirror(&route.stats().new_mirror) == [150, 0, 0, 0, 0, 50, 0]
    });
}

#[test]
fn a_caller_that_gives_up_leaves_the_shadow_to_itself() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let client = client(&server, Way::Awaited);
    let route = client.route("blame");
    let read = route.read("a").old(pending::<Result<u8, ()>>);
    let read = read.new(|| async { Ok(7) }).compare(|old, new| old == new);
    let mut future = Box::pin(read.run_async());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(future);
    eventually("the shadow has run", || {
        brief_mirror(&route.stats().new_mirror) == [1, 0, 0, 0, 0, 0, 0]
    });
    assert_eq!(brief(&route.stats().old), [1, 0, 0, 1]);
}

type Spawned = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type Spawner = fn(Spawned);

#[test]
fn a_runtime_that_is_gone_is_not_the_callers_matter() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let polled_once = |mut future: Spawned| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
    };
    let spawners: [(Spawner, [u64; 7]); 3] = [
        (|_| panics(), [0, 0, 0, 0, 1, 0, 0]),
        (drop, [0, 0, 0, 0, 1, 0, 0]),
        (polled_once, [1, 0, 0, 1, 0, 0, 0]),
    ];
    for (spawner, counts) in spawners {
        let client = server.builder().spawner(spawner).start().unwrap();
        let route = client.route("blame");
        assert!(client.wait_ready(PATIENCE));
        let read = route.read("a").old(|| async { Ok::<_, ()>(7) });
        let read = read.new(pending).compare(|old, new| old == new);
        assert_eq!(block_on(read.run_async()), Ok(7));
        assert_eq!(brief_mirror(&route.stats().new_mirror), counts);
    }
}

#[test]
fn shadows_that_hang_do_not_hold_up_the_end() {
    let release = Release::default();
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let client = client(&server, Way::Blocking);
    let route = client.route("blame");
    let (well, hangs) = (
        Implementation::new(Does::Well, &release),
        Implementation::new(Does::Hang, &release),
    );
    for _ in 0..100 {
        let _ = read(&route, Way::Blocking, &well, &hangs);
    }
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_millis(1_500));
    // Reads go on without a client, alone.
    assert_eq!(read(&route, Way::Blocking, &well, &hangs), Some(Ok(7)));
    eventually("what was not begun is dropped", || {
        let [runs, .., dropped, _, _] = brief_mirror(&route.stats().new_mirror);
        runs <= 64 && dropped >= 37
    });
}
