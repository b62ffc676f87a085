//! The client: one per process, cheap to clone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::builder::{ClientBuilder, StartError};
use crate::changes::{Change, Subscription};
use crate::engine::Engine;
use crate::route::{Route, RouteSpec};
use crate::status::{Mode, Status};
use crate::totals::RouteStats;

/// Follows the server and hands out [`Route`]s. Clones share everything; when the last one is
/// dropped the client's thread ends, and routes go on deciding by what was known then.
#[derive(Clone, Debug)]
pub struct Client {
    engine: Arc<Engine>,
    _last: Arc<CloseOnDrop>,
}

#[derive(Debug)]
struct CloseOnDrop(Arc<Engine>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Client {
    /// Begins to make a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Starts a client for the server that `SWITCHOVER_URL` and `SWITCHOVER_SDK_KEY` name, or one
    /// without a server where neither is set.
    ///
    /// # Errors
    /// As [`ClientBuilder::start`].
    pub fn from_env() -> Result<Client, StartError> {
        Client::builder().server_from_env().start()
    }

    pub(crate) fn of(engine: Arc<Engine>) -> Client {
        Client {
            _last: Arc::new(CloseOnDrop(Arc::clone(&engine))),
            engine,
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A route's handle. Resolve it once and keep it.
    ///
    /// A key or a flag that is none is logged, and its route takes the old path.
    ///
    /// **A server that forks its workers after resolving must call [`Client::after_fork`] in each of
    /// them.** [`Route::path`] reads one word and cannot notice a fork: in a worker that only has
    /// handles, it would go on by what was known when it was forked, and miss every halt since.
    pub fn route(&self, route: impl Into<RouteSpec>) -> Route {
        Route::resolve(Arc::clone(&self.engine), &route.into())
    }

    /// Follows the server in a forked child, where the parent's thread is gone. Call it first thing in
    /// every worker of a preforking server; a second call, or one in a process that was not forked,
    /// does nothing. It reads the cache and returns.
    ///
    /// `route`, `status`, `wait_ready`, `flush` and `on_change` do the same by themselves, and so do
    /// [calls](Route::call) that are run, from time to time. [`Route::path`] and [`Route::decide`] do
    /// not: without any of the others a child stays as it was when it was forked.
    pub fn after_fork(&self) {
        self.engine.life();
    }

    /// Calls back, on the client's thread, whenever a snapshot was applied, until the subscription
    /// is dropped. What comes next waits until all callbacks have returned. One that panics is
    /// logged, and called again next time.
    pub fn on_change(&self, callback: impl Fn(&Change) + Send + Sync + 'static) -> Subscription {
        self.engine.life();
        Subscription::new(&self.engine, callback)
    }

    /// Waits until the client decides by what the server says. `false` when that takes longer than
    /// the timeout: the client then decides by its cache, or by what the code says. `true` at once
    /// where there is no server.
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        self.engine.life().wait_ready(timeout)
    }

    /// What the client decides by, and how fresh that is.
    #[must_use]
    pub fn status(&self) -> Status {
        let health = self.engine.life().health();
        let (mode, last_heard) = (health.mode, health.last_heard);
        let last_error = health.last_error.clone();
        drop(health);
        let state = self.engine.state();
        let snapshot = state.snapshot();
        let cached_age = || {
            let taken = state.cached()?.taken?;
            SystemTime::now().duration_since(taken).ok()
        };
        let heard_age = last_heard.map(|at| at.elapsed());
        let manifest = state
            .manifest()
            .map(|manifest| &*manifest.head().environment);
        let environment = snapshot.map(|snapshot| snapshot.environment()).or(manifest);
        Status {
            source: state.source(),
            version: snapshot.map(|snapshot| snapshot.version().clone()),
            environment: environment.map(str::to_owned),
            manifest: self.engine.settings().manifest_status(&state),
            mode,
            age: heard_age.or_else(cached_age),
            last_error,
        }
    }

    /// What this process has counted, by route.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, RouteStats> {
        self.engine
            .slots()
            .map(|slot| (slot.key().to_owned(), slot.counters().stats()))
            .collect()
    }

    /// Sends what was counted and waits for the server's answer, and until what the cache has to keep
    /// of the snapshot in use is on disk. `false` when that takes longer than the timeout, or when the
    /// server has not taken it.
    pub fn flush(&self, timeout: Duration) -> bool {
        let began = Instant::now();
        let life = self.engine.life();
        let sent = life.flush_counts();
        let is_on_disk = life.wait_for_cache(timeout);
        let left = timeout.saturating_sub(began.elapsed());
        let is_sent = sent.is_none_or(|sent| sent.recv_timeout(left).unwrap_or(false));
        is_on_disk && is_sent
    }

    /// Sends what was counted with a goodbye, and ends the client's threads: within a second, also where
    /// the server hangs. Routes go on deciding by what is known. A second call does nothing.
    pub fn shutdown(&self) {
        if self.engine.life().health().mode != Mode::Stopped {
            self.engine.close();
        }
    }
}
