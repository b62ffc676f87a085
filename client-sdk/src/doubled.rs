//! A data route as backfills and consistency runs see it: two stores, who is the authority for a key,
//! and a server that is told.

#[cfg(test)]
pub(crate) mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authority::Token;
use crate::backoff::{Attempt, Backoff, Delays};
use crate::chance::Chance;
use crate::decide::Path;
use crate::rollout::RouteKey;
use crate::store::{Copied, CopyError, Pair};
use crate::transport::ReportFailure;
use crate::writers::Step;

/// How often a copy is begun anew that authority moved away from.
const MOST_TRIES: u32 = 5;
/// How soon a key is looked at again whose authority is about to move.
const MOVES: Duration = Duration::from_millis(5);
/// How soon, where a store has seen a generation that this process has not heard of.
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

    /// Begins a copy from the authority, which is counted until it is ended; `None` while the key is
    /// about to move.
    fn begin_copy(&self, key: &str) -> Option<(Path, Token)>;

    /// Ends it. Says whether authority moved meanwhile without having waited for it.
    fn end_copy(&self, token: Token) -> bool;

    /// Sends a request to the server, and gives what it answers; `None` without a server.
    fn post(&self, path: &str, body: &[u8]) -> Option<Result<String, ReportFailure>>;

    /// How long to wait between attempts to reach the server.
    fn delays(&self) -> Delays;

    /// Waits. Says whether the client is still there after that.
    fn wait(&self, time: Duration) -> bool;
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
        let Some((authority, token)) = doubled.begin_copy(key) else {
            rest(doubled, MOVES)?;
            continue;
        };
        let generation = token.generation();
        let copied = contained(|| doubled.pair().copy(key, authority, generation));
        let is_at_risk = doubled.end_copy(token);
        was_at_risk |= is_at_risk;
        tries += 1;
        match copied {
            Some(Ok(_)) if is_at_risk => {}
            Some(Ok(_)) if was_at_risk => return Ok(Outcome::Failed),
            Some(Ok(Copied::Equal)) => return Ok(Outcome::Equal),
            Some(Ok(Copied::Saved)) => return Ok(Outcome::Copied),
            Some(Err(error)) if error.step == Step::Fenced => rest(doubled, FENCED)?,
            Some(Err(error)) => {
                // Not with its source, which may hold a row.
                tracing::debug!(route = %doubled.route(), "a key was not copied: {error}");
                return Ok(Outcome::Failed);
            }
            None => return Ok(Outcome::Failed),
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
            Some(Err(ReportFailure::Refused(why))) => return Err(Untold::Refused(why)),
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
