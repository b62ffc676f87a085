//! Runs the old or the new implementation, and counts what came of it.

use std::cell::Cell;
use std::future::Future;
use std::thread;

use crate::breaker::Probe;
use crate::cells::{Ended, Outcome};
use crate::clock::Started;
use crate::counters::{Counters, Held};
use crate::decide::Path;
use crate::route::Route;
use crate::slot::Slot;

/// A thread's calls, from the first on, between two looks at whether it is in a forked child: asking
/// for the process takes longer than counting the call.
const CALLS_PER_LOOK: u32 = 256;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// A call whose path is chosen. Give it the old implementation, then the new one, then run it.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct Call<'r> {
    route: &'r Route,
    choice: Choice,
}

/// A path, and what about the way to it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) path: Path,
    /// Whether a ramp's share has chosen it.
    pub(crate) is_by_ramp: bool,
    /// Whether it tries the new path for an open breaker.
    pub(crate) probe: Option<Probe>,
}

impl Choice {
    /// Not by a ramp.
    #[inline]
    pub(crate) fn other(path: Path) -> Choice {
        Choice {
            path,
            is_by_ramp: false,
            probe: None,
        }
    }
}

impl<'r> Call<'r> {
    #[inline]
    pub(crate) fn new(route: &'r Route, choice: Choice) -> Call<'r> {
        Call { route, choice }
    }

    /// The path that the call will take.
    #[must_use]
    pub fn path(&self) -> Path {
        self.choice.path
    }

    /// Runs this on the path that is chosen.
    #[inline]
    pub(crate) fn time<T, E>(&self, run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let running = Running::start(self, Counters::begin);
        let result = run();
        running.end(&result);
        result
    }

    /// Awaits this on the path that is chosen.
    pub(crate) async fn time_async<T, E, F>(&self, run: impl FnOnce() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let running = Running::start(self, Counters::begin_shared);
        let result = run().await;
        running.end(&result);
        result
    }

    pub(crate) fn route(&self) -> &'r Route {
        self.route
    }

    /// What to run on the old path.
    #[inline]
    pub fn old<O>(self, old: O) -> CallWithOld<'r, O> {
        CallWithOld { call: self, old }
    }
}

/// A call that still needs the new implementation.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct CallWithOld<'r, O> {
    call: Call<'r>,
    old: O,
}

impl<'r, O> CallWithOld<'r, O> {
    /// What to run on the new path.
    #[inline]
    #[expect(
        clippy::new_ret_no_self,
        reason = "beside `old` it is the word that a reader expects"
    )]
    pub fn new<N>(self, new: N) -> ReadyCall<'r, O, N> {
        ReadyCall {
            call: self.call,
            old: self.old,
            new,
        }
    }
}

/// A call that has all it needs.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct ReadyCall<'r, O, N> {
    call: Call<'r>,
    old: O,
    new: N,
}

impl<O, N> ReadyCall<'_, O, N> {
    /// Runs the one or the other, and returns what it returns.
    ///
    /// # Errors
    /// Those of the implementation.
    ///
    /// # Panics
    /// Those of the implementation, counted on their way.
    #[inline]
    pub fn run<T, E>(self) -> Result<T, E>
    where
        O: FnOnce() -> Result<T, E>,
        N: FnOnce() -> Result<T, E>,
    {
        let running = Running::start(&self.call, Counters::begin);
        let result = match self.call.choice.path {
            Path::Old => (self.old)(),
            Path::New => (self.new)(),
        };
        running.end(&result);
        result
    }

    /// Runs the one or the other as a future, on whatever executor polls it. The time counts from
    /// the first poll; a future that is dropped before its end counts as cancelled.
    ///
    /// # Errors
    /// Those of the implementation.
    ///
    /// # Panics
    /// Those of the implementation, counted on their way.
    pub async fn run_async<T, E, OF, NF>(self) -> Result<T, E>
    where
        O: FnOnce() -> OF,
        N: FnOnce() -> NF,
        OF: Future<Output = Result<T, E>>,
        NF: Future<Output = Result<T, E>>,
    {
        let running = Running::start(&self.call, Counters::begin_shared);
        let result = match self.call.choice.path {
            Path::Old => (self.old)().await,
            Path::New => (self.new)().await,
        };
        running.end(&result);
        result
    }
}

/// A preforking server resolves its routes once. Its children, which have only the handles, would hear
/// of no halt.
#[inline]
fn look_for_a_fork(route: &Route) {
    let calls = CALLS.try_with(|calls| calls.replace(calls.get().wrapping_add(1)));
    if calls.is_ok_and(|calls| calls.is_multiple_of(CALLS_PER_LOOK)) {
        route.engine().awaken();
    }
}

/// Counts the call when it ends, however it does.
struct Running<'r> {
    slot: &'r Slot,
    choice: Choice,
    outcome: Option<Outcome>,
    held: Held,
    started: Started,
}

impl<'r> Running<'r> {
    #[inline]
    fn start(call: &Call<'r>, begin: impl FnOnce(&Counters, Path, Started) -> Held) -> Running<'r> {
        look_for_a_fork(call.route);
        let slot = &**call.route.slot();
        let started = Started::now();
        Running {
            slot,
            choice: call.choice,
            outcome: None,
            held: begin(slot.counters(), call.choice.path, started),
            started,
        }
    }

    #[inline]
    fn end<T, E>(mut self, result: &Result<T, E>) {
        self.outcome = Some(match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Error,
        });
    }
}

impl Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| match thread::panicking() {
            true => Outcome::Panic,
            false => Outcome::Cancelled,
        });
        let ended = Ended {
            path: self.choice.path,
            outcome,
            is_by_ramp: self.choice.is_by_ramp,
        };
        self.slot.counters().end(ended, self.held, self.started);
        if self.choice.path == Path::New
            && let Some(fuse) = self.slot.fuse()
        {
            self.slot.count(fuse, outcome, self.choice.probe);
        }
    }
}
