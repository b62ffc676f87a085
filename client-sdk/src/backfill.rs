//! Backfills: every key of both stores is copied once from its authority to the other store.
//!
//! The server keeps the cursor, so that another process can go on where one has ended: what is not told
//! is done again, which is at most a batch. New writes are copied by the mirror; a backfill is for what
//! was written before it, and copies in the same way: counted, fenced, from whichever store is the
//! authority for a key at that moment.

mod run;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::doubled::{Doubled, Ended, Untold};
use crate::progress::Progress;
use crate::store::CopyError;
use crate::writers::LONGEST_KEY;

/// How many keys a batch has unless told otherwise.
const BATCH: u32 = 1_000;
/// And at most: they are held in memory.
const LARGEST_BATCH: u32 = 10_000;
/// The pause between two batches unless told otherwise.
const PAUSE: Duration = Duration::from_secs(1);
/// The most workers.
const MOST_WORKERS: usize = 8;

/// A backfill that is yet to be run: see [`DataRoute::backfill`](crate::DataRoute::backfill).
#[must_use = "a backfill does nothing until it is run"]
pub struct Backfill<'a> {
    doubled: Box<dyn Doubled + 'a>,
    batch: u32,
    pause: Duration,
    workers: usize,
    total: Option<u64>,
    anew: bool,
    progress: Option<Box<dyn Progress + 'a>>,
}

/// What a backfill has done, with the processes that ran it before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillReport {
    /// What the server calls it.
    pub id: String,
    /// Keys that were looked at.
    pub keys: u64,
    /// Those of them that had to be copied.
    pub copied: u64,
    /// Those of them that could not be: the server has them as repairs.
    pub failed: u64,
    /// Whether it went on with what had been begun before.
    pub resumed: bool,
    /// How long this run took.
    pub took: Duration,
}

/// Why a backfill ended before its end. Running it again goes on where it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackfillError {
    /// The client has no server, which keeps how far a backfill is.
    NoServer,
    /// The server does not answer, so that this process does not know which store to copy from.
    NotReady,
    /// The server does not take it, and says why.
    Refused(String),
    /// Another process has taken it over.
    TakenOver,
    /// A store does not give its keys.
    Store(CopyError),
    /// A store has a key that is empty or longer than 256 bytes: it cannot be moved.
    Key,
    /// The client has been shut down.
    Ended,
}

impl fmt::Display for BackfillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackfillError::NoServer => f.write_str(
                "a backfill needs a server, which keeps how far it is: give the client's builder one",
            ),
            BackfillError::NotReady => f.write_str(
                "the server does not answer: a backfill must know which store to copy from",
            ),
            BackfillError::Refused(why) => write!(f, "the server refuses the backfill: {why}"),
            BackfillError::TakenOver => f.write_str("another process has taken the backfill over"),
            BackfillError::Store(error) => {
                write!(f, "the backfill cannot read the keys: {error}")
            }
            BackfillError::Key => write!(
                f,
                "a store has a key that is empty or longer than {LONGEST_KEY} bytes: `keys_after` \
                 must leave out what no write can name"
            ),
            BackfillError::Ended => f.write_str("the client was shut down during the backfill"),
        }
    }
}

impl std::error::Error for BackfillError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BackfillError::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Ended> for BackfillError {
    fn from(_: Ended) -> BackfillError {
        BackfillError::Ended
    }
}

impl From<Untold> for BackfillError {
    fn from(untold: Untold) -> BackfillError {
        match untold {
            Untold::NoServer => BackfillError::NoServer,
            Untold::Refused(why) => BackfillError::Refused(why),
            Untold::GivenUp => BackfillError::Ended,
        }
    }
}

impl<'a> Backfill<'a> {
    pub(crate) fn new(doubled: Box<dyn Doubled + 'a>) -> Backfill<'a> {
        Backfill {
            doubled,
            batch: BATCH,
            pause: PAUSE,
            workers: 1,
            total: None,
            anew: false,
            progress: None,
        }
    }

    /// How many keys a batch has: 1,000 unless told otherwise, 10,000 at most.
    pub fn batch(mut self, keys: u32) -> Self {
        self.batch = keys.clamp(1, LARGEST_BATCH);
        self
    }

    /// How long it rests after each batch: a second unless told otherwise.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How many keys are copied at once: one unless told otherwise, eight at most.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, MOST_WORKERS);
        self
    }

    /// About how many keys there are. Only for what is left to be shown.
    pub fn total(mut self, keys: u64) -> Self {
        self.total = Some(keys);
        self
    }

    /// Begins at the first key again, also where a backfill is under way or complete.
    pub fn anew(mut self) -> Self {
        self.anew = true;
        self
    }

    /// Who is told how far it is.
    pub fn progress(mut self, progress: impl Progress + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Runs it on this thread until every key was looked at. It waits while somebody has paused it and
    /// while the server is away, and begins again when somebody has reset it.
    ///
    /// # Errors
    /// See [`BackfillError`]. Run again, it goes on where it was.
    pub fn run(self) -> Result<BackfillReport, BackfillError> {
        run::run(self)
    }
}

impl fmt::Debug for Backfill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backfill")
            .field("route", self.doubled.route())
            .field("batch", &self.batch)
            .field("pause", &self.pause)
            .field("workers", &self.workers)
            .field("total", &self.total)
            .field("anew", &self.anew)
            .finish_non_exhaustive()
    }
}
