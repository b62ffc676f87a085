//! Slow calls, and calls that hang: each counted once.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use switchover::{Route, RouteCounts, Slow};

use crate::PATIENCE;
use crate::calls::block_on;
use crate::reports::{call, counted, started, sum};
use crate::server::{Server, eventually};

const WATCHED: &str =
    r#"{"flag":"B","stage":"opt_in","setting":{"mode":"on"},"watch":{"slow_ms":[20,90]}}"#;

/// A call that ends when it is told to.
fn hang(route: &Route, goes_on: &AtomicBool, within: impl FnOnce()) {
    let call = route.call("a").old(|| Ok::<_, ()>(()));
    let _ = call
        .new(|| {
            within();
            while !goes_on.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        })
        .run();
}

/// What was held against a limit, and what of it took longer.
fn against(rows: &[RouteCounts], limit_ms: u32) -> (u64, u64) {
    let slow = rows.iter().flat_map(|row| &row.slow);
    let slow: Vec<&Slow> = slow.filter(|slow| slow.limit_ms == limit_ms).collect();
    let trials = slow.iter().map(|slow| slow.trials).sum();
    (trials, slow.iter().map(|slow| slow.violations).sum())
}

fn reported(server: &Server) -> Vec<RouteCounts> {
    counted(&server.reports())
}

#[test]
fn slow_calls_count_by_each_limit() {
    let server = Server::start();
    server.set("blame", WATCHED);
    let (client, route) = started(&server);
    let sleep = |millis| {
        let call = route.call("a").old(|| Ok::<_, ()>(()));
        let slow = || {
            thread::sleep(Duration::from_millis(millis));
            Ok(())
        };
        call.new(slow).run().unwrap();
    };
    (0..10).for_each(|_| call(&route, Ok(())));
    (0..3).for_each(|_| sleep(30));
    (0..2).for_each(|_| sleep(100));
    assert!(client.flush(PATIENCE));
    let rows = reported(&server);
    assert_eq!(against(&rows, 20), (15, 5));
    assert_eq!(against(&rows, 90).0, 15);
    assert!(against(&rows, 90).1 >= 2);
}

#[test]
fn calls_that_hang_are_seen_before_they_end_and_count_once() {
    let server = Server::start();
    server.set("blame", WATCHED);
    let (client, route) = started(&server);
    let goes_on = AtomicBool::new(false);
    thread::scope(|scope| {
        let (route, goes_on) = (&route, &goes_on);
        // More threads than have places of their own; calls within calls; calls that are awaited.
        for _ in 0..24 {
            scope.spawn(move || hang(route, goes_on, || ()));
        }
        scope.spawn(move || {
            hang(route, goes_on, || {
                hang(route, goes_on, || hang(route, goes_on, || ()));
            });
        });
        for _ in 0..3 {
            scope.spawn(move || {
                let call = route.call("a").old(|| async { Ok::<_, ()>(()) });
                let waits = |context: &mut Context<'_>| {
                    thread::sleep(Duration::from_millis(1));
                    context.waker().wake_by_ref();
                    match goes_on.load(Ordering::Relaxed) {
                        true => Poll::Ready(Ok(())),
                        false => Poll::Pending,
                    }
                };
                block_on(call.new(|| poll_fn(waits)).run_async()).unwrap();
            });
        }
        eventually("all are seen", || {
            let rows = reported(&server);
            against(&rows, 20) == (30, 30) && against(&rows, 90) == (30, 30)
        });
        assert_eq!(sum(&reported(&server), |row| row.calls), 0);
        // They are known, also under the next form of the rollout.
        server.set(
            "blame",
            &WATCHED.replace("\"on\"", "\"ramp\",\"percent\":100"),
        );
        eventually("it is applied", || {
            client.status().version.unwrap().revision == 3
        });
        thread::sleep(Duration::from_millis(100));
        goes_on.store(true, Ordering::Relaxed);
    });
    (0..5).for_each(|_| call(&route, Ok(())));
    assert!(client.flush(PATIENCE));
    let rows = reported(&server);
    assert_eq!(sum(&rows, |row| row.calls), 35);
    assert_eq!(against(&rows, 20), (35, 30));
    assert_eq!(against(&rows, 90), (35, 30));
    let later: Vec<_> = rows.into_iter().filter(|row| row.revision == 3).collect();
    assert_eq!(
        (sum(&later, |row| row.calls), against(&later, 20)),
        (35, (5, 0))
    );
}

#[test]
fn a_hanging_future_that_is_dropped_counts_once() {
    let server = Server::start();
    server.set("blame", WATCHED);
    let (client, route) = started(&server);
    {
        let call = route.call("a").old(|| async { Ok::<(), ()>(()) });
        let mut future = pin!(call.new(pending::<Result<(), ()>>).run_async());
        let poll = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
        eventually("it is seen", || against(&reported(&server), 90) == (1, 1));
    }
    assert!(client.flush(PATIENCE));
    let rows = reported(&server);
    assert_eq!((against(&rows, 20), against(&rows, 90)), ((1, 1), (1, 1)));
    assert_eq!(sum(&rows, |row| row.cancelled), 1);
}

#[test]
fn a_future_that_ends_on_another_thread_counts_once() {
    let server = Server::start();
    server.set("blame", WATCHED);
    let (client, route) = started(&server);
    let goes_on = AtomicBool::new(false);
    let call = route.call("a").old(|| async { Ok::<_, ()>(()) });
    let waits = poll_fn(|_| match goes_on.load(Ordering::Relaxed) {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    });
    let mut future = Box::pin(call.new(|| waits).run_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    eventually("it is seen", || against(&reported(&server), 90) == (1, 1));
    goes_on.store(true, Ordering::Relaxed);
    thread::scope(|scope| {
        scope.spawn(|| block_on(future).unwrap());
    });
    (0..3).for_each(|_| self::call(&route, Ok(())));
    assert!(client.flush(PATIENCE));
    let rows = reported(&server);
    assert_eq!((against(&rows, 20), against(&rows, 90)), ((4, 1), (4, 1)));
}
