//! Writes to the store that is the key's authority, and has the row copied to the other one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::cells::{Ended, Outcome};
use crate::clock::Started;
use crate::copying::Copying;
use crate::counters::{Counters, Held};
use crate::data::DataRoute;
use crate::decide::Path;
use crate::gate::PATIENCE;
use crate::lease::Lease;
use crate::slot::Slot;
use crate::spool::form::Kept;
use crate::testing;
use crate::waiting::Waiting;
use crate::writers::{Cause, LONGEST_KEY};

/// Why a write was not made, or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError<E> {
    /// The key is about to move to the other store, and that has taken too long: nothing was run and
    /// nothing is written. Trying again later is safe.
    Moving,
    /// The key is none: nothing was run.
    Key(InvalidKey),
    /// What the implementation says. The row is copied all the same: something may have been written.
    Failed(E),
}

/// The key of a write is missing, empty, or longer than [`LONGEST_KEY`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a write names a key of 1 to {LONGEST_KEY} bytes")
    }
}

impl std::error::Error for InvalidKey {}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Moving => f.write_str("the key is moving to the other store"),
            WriteError::Key(error) => error.fmt(f),
            WriteError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for WriteError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::Moving | WriteError::Key(_) => None,
            WriteError::Failed(error) => error.source(),
        }
    }
}

/// A write of one key. Give it what writes to the old store, then what writes to the new one, then run
/// it.
#[derive(Debug)]
#[must_use = "a write does nothing until it is run"]
pub struct Write<'d> {
    data: &'d DataRoute,
    key: Result<Arc<str>, InvalidKey>,
}

impl<'d> Write<'d> {
    pub(crate) fn new(data: &'d DataRoute, key: Option<&str>) -> Write<'d> {
        let is_legal = |key: &&str| (1..=LONGEST_KEY).contains(&key.len());
        Write {
            data,
            key: key.filter(is_legal).map(Arc::from).ok_or(InvalidKey),
        }
    }

    /// What writes to the old store. It is given the generation of the write, for a
    /// [fence](crate::Fence).
    pub fn old<O>(self, old: O) -> WriteWithOld<'d, O> {
        WriteWithOld { write: self, old }
    }
}

/// A write that still needs what writes to the new store.
#[derive(Debug)]
#[must_use = "a write does nothing until it is run"]
pub struct WriteWithOld<'d, O> {
    write: Write<'d>,
    old: O,
}

impl<'d, O> WriteWithOld<'d, O> {
    /// What writes to the new store. It is given the generation of the write, for a
    /// [fence](crate::Fence).
    #[expect(
        clippy::new_ret_no_self,
        reason = "beside `old` it is the word that a reader expects"
    )]
    pub fn new<N>(self, new: N) -> ReadyWrite<'d, O, N> {
        ReadyWrite {
            write: self.write,
            old: self.old,
            new,
        }
    }
}

/// A write that has all it needs.
#[derive(Debug)]
#[must_use = "a write does nothing until it is run"]
pub struct ReadyWrite<'d, O, N> {
    write: Write<'d>,
    old: O,
    new: N,
}

impl<O, N> ReadyWrite<'_, O, N> {
    /// Runs the one or the other, and returns what it returns. The row is copied to the other store
    /// afterwards, on a thread of the client's; the caller does not wait for that. What is run is never
    /// run twice.
    ///
    /// # Errors
    /// Those of the implementation; and [`WriteError::Moving`] where the key has been about to move for
    /// two seconds, [`WriteError::Key`] where it is none: then nothing was run.
    ///
    /// # Panics
    /// Those of the implementation. The row is copied all the same.
    pub fn run<T, E>(self) -> Result<T, WriteError<E>>
    where
        O: FnOnce(u64) -> Result<T, E>,
        N: FnOnce(u64) -> Result<T, E>,
    {
        let key = self.write.key.map_err(WriteError::Key)?;
        let data = self.write.data;
        let forced = testing::forced_on_this_thread(data.route().slot());
        let lease = data.keeper().begin(&key, forced, PATIENCE);
        let writing = Writing::start(data, lease.ok_or(WriteError::Moving)?, Counters::begin);
        let generation = writing.lease.generation();
        let result = match writing.lease.place().path {
            Path::Old => (self.old)(generation),
            Path::New => (self.new)(generation),
        };
        writing.end(&result);
        result.map_err(WriteError::Failed)
    }
}

impl<O, N> ReadyWrite<'_, O, N> {
    /// The same as [`run`](ReadyWrite::run) for futures, on whatever executor polls them. A future that
    /// is dropped before its end has the row copied all the same: whether it was written is not known.
    ///
    /// # Errors
    /// As [`run`](ReadyWrite::run).
    ///
    /// # Panics
    /// Those of the implementation. The row is copied all the same.
    pub async fn run_async<T, E, OF, NF>(self) -> Result<T, WriteError<E>>
    where
        O: FnOnce(u64) -> OF,
        N: FnOnce(u64) -> NF,
        OF: Future<Output = Result<T, E>>,
        NF: Future<Output = Result<T, E>>,
    {
        let key = self.write.key.map_err(WriteError::Key)?;
        let data = self.write.data;
        let forced = testing::forced_on_this_thread(data.route().slot());
        let lease = Waiting::new(data.keeper(), key, forced).await;
        let lease = lease.ok_or(WriteError::Moving)?;
        let writing = Writing::start(data, lease, Counters::begin_shared);
        let generation = writing.lease.generation();
        let result = match writing.lease.place().path {
            Path::Old => (self.old)(generation).await,
            Path::New => (self.new)(generation).await,
        };
        writing.end(&result);
        result.map_err(WriteError::Failed)
    }
}

/// Counts the write and has it copied when it ends, however it does.
struct Writing<'d> {
    data: &'d DataRoute,
    lease: Lease,
    /// Whether the process was cut off when it began.
    is_at_risk: bool,
    /// What was noted of it.
    intent: Option<u64>,
    outcome: Option<Outcome>,
    held: Held,
    started: Started,
}

impl<'d> Writing<'d> {
    fn start(
        data: &'d DataRoute,
        lease: Lease,
        begin: impl FnOnce(&Counters, Path, Started) -> Held,
    ) -> Writing<'d> {
        let keeper = lease.keeper();
        // After it has begun: a goodbye waits for what has.
        let is_at_risk = !keeper.is_in_contact();
        let is_noted = is_at_risk || lease.place().is_mirrored;
        let intent = is_noted
            .then(|| keeper.intend(&lease, is_at_risk))
            .flatten();
        let started = Started::now();
        let counters = lease.keeper().slot().counters();
        Writing {
            held: begin(counters, lease.place().path, started),
            is_at_risk,
            intent,
            data,
            lease,
            outcome: None,
            started,
        }
    }

    fn end<T, E>(mut self, result: &Result<T, E>) {
        self.outcome = Some(match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Error,
        });
    }
}

impl Writing<'_> {
    /// The mirror may have been switched on while the write was under way: then a backfill may have
    /// passed the key before it ended.
    fn is_mirrored_by_now(&self) -> bool {
        let keeper = self.lease.keeper();
        keeper.gate().place(self.lease.key()).is_mirrored
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let outcome = self
            .outcome
            .unwrap_or_else(|| match std::thread::panicking() {
                true => Outcome::Panic,
                false => Outcome::Cancelled,
            });
        let place = self.lease.place();
        let ended = Ended {
            path: place.path,
            outcome,
            is_by_ramp: place.is_by_ramp,
        };
        let slot: &Slot = self.lease.keeper().slot();
        slot.counters().end(ended, self.held, self.started);
        let cause = match outcome {
            Outcome::Success => Cause::Failed,
            Outcome::Error | Outcome::Panic | Outcome::Cancelled => Cause::UnknownOutcome,
        };
        if place.is_doubled {
            self.lease.keeper().wrote(&self.lease);
        }
        if self.is_at_risk {
            // It may not be the authority that was written: nothing is copied before that is known.
            let (key, generation) = (self.lease.key(), self.lease.generation());
            let kept = Kept::new(key, place.path, generation, Cause::AtRisk);
            self.lease.keeper().repair(kept, self.intent);
        } else if (place.is_mirrored || self.is_mirrored_by_now())
            && let Some(lease) = self.lease.branch()
        {
            Copying::new(lease, self.intent, cause).hand_over(self.data.route().engine());
        }
    }
}
