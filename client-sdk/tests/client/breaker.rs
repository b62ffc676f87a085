//! Routes that give up their new path in this process while it fails too often.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchover::{
    Breaker, BreakerState, Overrides, Path, Reason, Route, RouteSpec, Stage, testing,
};
use tracing::Level;

use crate::server::{Server, builder, eventually, nobody};
use crate::{ON, PATIENCE, logs};

fn breaker() -> Breaker {
    let breaker = Breaker::default().minimum_calls(10).probes(3);
    breaker.open_for(Duration::from_millis(40))
}

fn route(key: &str) -> RouteSpec {
    RouteSpec::new(key).breaker(breaker())
}

/// One call, whose new path does this. Says which path it took.
fn call(route: &Route, new: Result<(), ()>) -> Path {
    let call = route.call("a");
    let path = call.path();
    let _ = call.old(|| Ok(())).new(|| new).run();
    path
}

fn open(route: &Route) {
    while route.breaker() == Some(BreakerState::Closed) {
        assert_eq!(call(route, Err(())), Path::New);
    }
}

fn comes_to(route: &Route, state: BreakerState) {
    eventually("the breaker comes to it", || route.breaker() == Some(state));
}

#[test]
fn it_opens_tries_and_closes_again() {
    logs::listen();
    let client = testing::client();
    client.set("walks", Path::New);
    let route = client.route(route("walks"));
    for _ in 0..9 {
        call(&route, Err(()));
    }
    assert_eq!(
        (route.path("a"), route.breaker()),
        (Path::New, Some(BreakerState::Closed))
    );
    call(&route, Err(()));
    // The call that was one too many is the last on the new path.
    assert_eq!((route.path("a"), route.path(())), (Path::Old, Path::Old));
    let decision = route.decide("a");
    assert_eq!(
        (decision.path, decision.reason),
        (Path::Old, Reason::Breaker)
    );
    assert_eq!(route.explain("a").decision, decision);
    assert_eq!(Reason::Breaker.name(), "breaker");
    assert_eq!(call(&route, Ok(())), Path::Old);
    // What is published meanwhile does not bring it back.
    client.set("walks", Path::New);
    assert_eq!(route.path("a"), Path::Old);

    comes_to(&route, BreakerState::HalfOpen);
    assert_eq!(
        route.path("a"),
        Path::Old,
        "asking for the path is no probe"
    );
    assert_eq!(call(&route, Err(())), Path::New);
    assert_eq!(
        (route.breaker(), route.path("a")),
        (Some(BreakerState::Open), Path::Old)
    );

    comes_to(&route, BreakerState::HalfOpen);
    for _ in 0..3 {
        assert_eq!(call(&route, Ok(())), Path::New);
    }
    assert_eq!(
        (route.breaker(), route.path("a")),
        (Some(BreakerState::Closed), Path::New)
    );
    assert_eq!(route.decide("a").reason, Reason::On);
    eventually("it is told once per opening", || {
        logs::with(Level::WARN, "route=\"walks\"").len() == 2
    });
}

#[test]
fn panics_count_and_cancelled_or_old_calls_do_not() {
    let client = testing::client();
    let route = client.route(route("panics"));
    let panics = || {
        let call = route.call("a").old(|| -> Result<(), ()> { panic!("down") });
        let run = AssertUnwindSafe(|| call.new(|| -> Result<(), ()> { panic!("down") }).run());
        assert!(catch_unwind(run).is_err());
    };
    (0..20).for_each(|_| panics());
    assert_eq!(
        route.breaker(),
        Some(BreakerState::Closed),
        "it was the old path"
    );
    client.set("panics", Path::New);
    for _ in 0..20 {
        let call = route.call("a").old(|| async { Ok::<(), ()>(()) });
        let mut future =
            std::pin::pin!(call.new(std::future::pending::<Result<(), ()>>).run_async());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(route.breaker(), Some(BreakerState::Closed));
    (0..10).for_each(|_| panics());
    assert_eq!(route.breaker(), Some(BreakerState::Open));
}

#[test]
fn a_mandatory_route_has_no_way_back() {
    let spec = route("m").flag("M").stage(Stage::Mandatory);
    let client = builder(&nobody()).start().unwrap();
    let mandatory = client.route(spec);
    (0..50).for_each(|_| assert_eq!(call(&mandatory, Err(())), Path::New));
    assert_eq!(mandatory.decide("a").reason, Reason::Mandatory);
    // One that becomes mandatory while it is open.
    let client = testing::client();
    client.set("m", Path::New);
    let becomes = client.route(route("m"));
    open(&becomes);
    let mut rollout = switchover::Rollout::at("M".parse().unwrap(), Stage::Mandatory);
    client.set_rollout("m", rollout.clone());
    assert_eq!(
        (becomes.path("a"), becomes.breaker()),
        (Path::New, Some(BreakerState::Closed))
    );
    rollout.stage = Stage::OptOut;
    client.set_rollout("m", rollout);
    open(&becomes);
    assert_eq!(becomes.path("a"), Path::Old);
}

#[test]
fn it_works_without_a_server_and_against_the_variable() {
    let overrides: Overrides = [("GONE", "1")].into_iter().collect();
    let client = builder(&nobody()).overrides(overrides).start().unwrap();
    let gone = client.route(route("gone").flag("GONE").stage(Stage::ReadyForTesting));
    assert_eq!(gone.decide("a").reason, Reason::EnvOn);
    open(&gone);
    assert_eq!(gone.decide("a").reason, Reason::Breaker);
    comes_to(&gone, BreakerState::HalfOpen);
    (0..3).for_each(|_| assert_eq!(call(&gone, Ok(())), Path::New));
    assert_eq!(gone.path("a"), Path::New);
    open(&gone);
    let forced = testing::force(&gone, Path::New);
    assert_eq!(
        (gone.path("a"), gone.call("a").path()),
        (Path::New, Path::New)
    );
    drop(forced);
    assert_eq!(gone.path("a"), Path::Old);
}

#[test]
fn it_is_reported_while_it_is_open() {
    let server = Server::start();
    server.set("blame", ON);
    let client = server.client();
    let blame = client.route(route("blame"));
    let other = client.route("other");
    assert!(client.wait_ready(PATIENCE));
    let says = |is_open: bool| {
        let reports = server.reports();
        let told = reports
            .iter()
            .rev()
            .find_map(|report| report.batch.routes.clone());
        told.is_some_and(|routes| {
            let blame = routes.iter().find(|known| known.route.as_str() == "blame");
            let other = routes.iter().find(|known| known.route.as_str() == "other");
            blame.is_some_and(|known| known.breaker_open == is_open)
                && other.is_some_and(|known| !known.breaker_open)
        })
    };
    eventually("it is known to be closed", || says(false));
    open(&blame);
    eventually("it is known to be open", || says(true));
    comes_to(&blame, BreakerState::HalfOpen);
    (0..3).for_each(|_| assert_eq!(call(&blame, Ok(())), Path::New));
    eventually("it is known to be closed again", || says(false));
    assert_eq!(other.breaker(), None);
}

/// Threads that call all the time, and a new path that fails: few calls reach it.
#[test]
fn few_calls_reach_a_new_path_that_fails() {
    let client = testing::client();
    client.set("busy", Path::New);
    let busy = client.route(route("busy"));
    let (tried, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = busy
                        .call("a")
                        .old(|| Ok(()))
                        .new(|| {
                            tried.fetch_add(1, Ordering::Relaxed);
                            Err::<(), ()>(())
                        })
                        .run();
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
    });
    // Ten, and those under way; then three at a time, every 40 ms.
    let rounds = u32::try_from(began.elapsed().as_millis() / 40).unwrap() + 1;
    let made = tried.load(Ordering::Relaxed);
    assert!(
        (10..18 + 3 * rounds).contains(&made),
        "{made} in {rounds} rounds"
    );
    assert_eq!(busy.path("a"), Path::Old);
    assert_eq!(busy.stats().new.calls, u64::from(tried.into_inner()));
}
