//! A data route as backfills and consistency runs see it: two stores, who is the authority for a key,
//! and a server that is told.

mod live;
#[cfg(test)]
pub(crate) mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backoff::{Attempt, Backoff, Delays};
use crate::chance::Chance;
use crate::decide::Path;
use crate::rollout::RouteKey;
use crate::store::{Copied, CopyError, Pair};
use crate::transport::ReportFailure;
use crate::writers::Step;

pub(crate) use self::live::Live;

/// How often a copy is begun anew that authority moved away from.
const MOST_TRIES: u32 = 5;
/// How soon a key is looked at again where a store has seen a generation that this process has not heard of.
const FENCED: Duration = Duration::from_millis(50);

/// See above.
pub(crate) trait Doubled: Send + Sync {
    /// Both stores.
    fn pair(&self) -> &dyn Pair;

    /// Which route.
    fn route(&self) -> &RouteKey;

    /// This process, as the server knows it.
    fn instance(&self) -> String;

    /// The generation under which copies begin now.
    fn generation(&self) -> u64;

    /// Which store is the authority for a key now.
    fn authority_of(&self, key: &str) -> Path;

    /// Copies a key from its authority, in the way of every copy: counted while it runs.
    fn copy(&self, key: &str) -> Copying;

    /// Whether this process is in contact with the server: else it does not know which store is a key's
    /// authority. Waits for it for a while.
    fn is_ready(&self, patience: Duration) -> bool;

    /// Sends a request to the server, and gives what it answers; `None` without a server.
    fn post(&self, path: &str, body: &[u8]) -> Option<Result<String, ReportFailure>>;

    /// How long to wait between attempts to reach the server.
    fn delays(&self) -> Delays;

    /// Waits. Says whether the client is still there after that.
    fn wait(&self, time: Duration) -> bool;
}

/// What came of one attempt to copy a key.
#[derive(Debug)]
pub(crate) enum Copying {
    /// It is about to move, and has been for as long as a write waits for that; or the process is cut
    /// off and does not know its authority. Not tried yet.
    Moves,
    /// It has ended; without a [`CopyError`] where a store has panicked.
    Ended(Result<Copied, Option<CopyError>>),
    /// Authority has moved meanwhile without waiting for it.
    AtRisk,
}

/// What came of copying one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The rows were equal.
    Equal,
    /// The other store has the row now.
    Copied,
    /// It could not be copied, or authority moved meanwhile: to be looked at again.
    Failed,
}

/// The client has been shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// Copies a key from its authority, whichever that is, once it is not about to move.
pub(crate) fn copy(doubled: &dyn Doubled, key: &str) -> Result<Outcome, Ended> {
    let mut was_at_risk = false;
    let mut tries = 0;
    while tries < MOST_TRIES {
        let copied = doubled.copy(key);
        tries += u32::from(!matches!(copied, Copying::Moves));
        match copied {
            Copying::Moves => rest(doubled, Duration::ZERO)?,
            // The row may be the one of the store that is not the authority any more.
            Copying::AtRisk => was_at_risk = true,
            Copying::Ended(Ok(_)) if was_at_risk => return Ok(Outcome::Failed),
            Copying::Ended(Ok(Copied::Equal)) => return Ok(Outcome::Equal),
            Copying::Ended(Ok(Copied::Saved)) => return Ok(Outcome::Copied),
            Copying::Ended(Err(Some(error))) if error.step == Step::Fenced => {
                rest(doubled, FENCED)?;
            }
            Copying::Ended(Err(error)) => {
                // Not with its source, which may hold a row.
                let error = error.map(|error| error.to_string());
                tracing::debug!(route = %doubled.route(), error, "a key was not copied");
                return Ok(Outcome::Failed);
            }
        }
    }
    Ok(Outcome::Failed)
}

/// The next keys of either store.
pub(crate) fn keys_after(
    doubled: &dyn Doubled,
    key: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, CopyError> {
    let keys = contained(|| doubled.pair().keys_after(key, limit));
    keys.unwrap_or(Err(CopyError {
        step: Step::LoadOld,
        source: Some("the store panicked".into()),
    }))
}

/// What a store's code gives; `None` where it panics.
pub(crate) fn contained<T>(store: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(store)).ok()
}

/// Waits for a while.
pub(crate) fn rest(doubled: &dyn Doubled, time: Duration) -> Result<(), Ended> {
    match doubled.wait(time) {
        true => Ok(()),
        false => Err(Ended),
    }
}

/// Why the server was not told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// There is none.
    NoServer,
    /// It says why it does not take it, or what it said cannot be read.
    Refused(String),
    /// The client has been shut down, or it took longer than it was given.
    GivenUp,
}

impl From<Ended> for Untold {
    fn from(_: Ended) -> Untold {
        Untold::GivenUp
    }
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untold::NoServer => f.write_str("the client has no server"),
            Untold::Refused(why) => f.write_str(why),
            Untold::GivenUp => f.write_str("the server did not answer in time"),
        }
    }
}

/// Tells the server, again and again until it answers, for as long as the waits between the attempts
/// add up to no more than a limit.
pub(crate) fn tell<A: DeserializeOwned>(
    doubled: &dyn Doubled,
    path: &str,
    message: &impl Serialize,
    longest: Duration,
) -> Result<A, Untold> {
    let body = serde_json::to_vec(message).map_err(|error| Untold::Refused(error.to_string()))?;
    let mut backoff = Backoff::new(doubled.delays());
    let mut chance = Chance::default();
    let mut waited = Duration::ZERO;
    loop {
        let failure = match doubled.post(path, &body) {
            None => return Err(Untold::NoServer),
            Some(Ok(answer)) => return read(&answer),
            Some(Err(ReportFailure::Refused(why))) => return Err(Untold::Refused(detail(&why))),
            Some(Err(ReportFailure::Later(failure))) => failure,
        };
        if failure.attempt == Attempt::Refused {
            return Err(Untold::Refused(failure.message));
        }
        let (wait, _) = backoff.after(failure.attempt, failure.retry_after, chance.draw());
        waited = waited.saturating_add(wait);
        if waited > longest {
            return Err(Untold::GivenUp);
        }
        rest(doubled, wait)?;
    }
}

fn read<A: DeserializeOwned>(answer: &str) -> Result<A, Untold> {
    // No content is an answer too.
    let answer = if answer.is_empty() { "null" } else { answer };
    serde_json::from_str(answer)
        .map_err(|error| Untold::Refused(format!("the server's answer cannot be read: {error}")))
}

/// What a person wants to know of a problem that the server describes.
fn detail(said: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem = said.find('{').and_then(|at| said.get(at..));
    let problem = problem.and_then(|problem| serde_json::from_str::<Problem>(problem).ok());
    problem.map_or_else(|| said.to_owned(), |problem| problem.detail)
}
