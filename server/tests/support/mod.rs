//! What tests are built from: databases, servers, clients.

mod app;
mod client;
mod data;
mod database;
mod fleet;
pub(crate) mod history;
mod page;
mod place;
mod postgres;
mod sse;

pub(crate) use app::{App, Who, at};
pub(crate) use client::{Remote, Reply, raw, read_raw};
pub(crate) use database::{Engine, TestDatabase};
pub(crate) use fleet::{Fleet, calls_of};
pub(crate) use page::{encoded, hidden, session};
pub(crate) use place::{Done, Place, program};
pub(crate) use sse::{Event, Events, StreamReader};

use std::time::{Duration, Instant};

/// Gives each named function, which takes an [`Engine`], a test per engine.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            #[test]
            fn sqlite() {
                super::$test($crate::support::Engine::Sqlite);
            }

            #[test]
            fn postgres() {
                super::$test($crate::support::Engine::Postgres);
            }
        }
    )*};
}
pub(crate) use on_both_engines;

/// Looks every few milliseconds until there is something, or fails when the time is over.
pub(crate) fn eventually<T>(what: &str, within: Duration, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
