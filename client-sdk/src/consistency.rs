//! Consistency runs: whether both stores of a data route hold the same rows.
//!
//! A copy may be under way while a run looks. So a key counts as differing only when its rows differ each
//! time that it is looked at, over about two seconds; and the checksums of a range are taken again after
//! its rows were found equal.

mod compare;
mod draw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use self::compare::Found;
use crate::doubled::{self, Doubled, Ended};
use crate::store::{Checksum, CopyError};
use crate::writers::{ConsistencyKind, ConsistencyOrder, ConsistencyResult};

/// How many keys a sample has unless told otherwise.
const SAMPLE: usize = 100;
/// And at most: they are held in memory.
const LARGEST_SAMPLE: usize = 100_000;
/// How long the server may be away until a result is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A consistency run that is yet to be run: see
/// [`DataRoute::consistency`](crate::DataRoute::consistency).
#[must_use = "a consistency run does nothing until it is run"]
pub struct Consistency<'a> {
    doubled: Box<dyn Doubled + 'a>,
    kind: ConsistencyKind,
    sample: usize,
    order: Option<String>,
}

/// What a consistency run found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsistencyReport {
    /// How the stores were compared.
    pub kind: ConsistencyKind,
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them whose rows differ, and went on to while looked at again.
    pub differing: u64,
    /// Some of these, at most 20.
    pub keys: Vec<String>,
    /// Keys that could not be compared: a store failed, or the rows changed all the time.
    pub failed: u64,
    /// The checksums of the old store's rows and of the new one's, where both stores give any and the
    /// rows stood still for long enough.
    pub checksums: Option<[Checksum; 2]>,
    /// How long it took.
    pub took: Duration,
    /// Whether the server has it as evidence.
    pub is_recorded: bool,
}

impl ConsistencyReport {
    /// Whether every key that was looked at could be compared and is the same in both stores.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let are_same = self.checksums.is_none_or(|[old, new]| old == new);
        self.differing == 0 && self.failed == 0 && are_same
    }
}

impl fmt::Display for ConsistencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compared, differing) = (self.compared, self.differing);
        write!(f, "{compared} keys compared, {differing} differ")?;
        if self.failed > 0 {
            write!(f, ", {} could not be compared", self.failed)?;
        }
        if let Some([old, new]) = self.checksums {
            write!(f, "; old: {old}; new: {new}")?;
        }
        for key in &self.keys {
            write!(f, "\n  {key:?} differs")?;
        }
        Ok(())
    }
}

/// Why a consistency run found nothing out.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsistencyError {
    /// A store does not give its keys or its checksum.
    Store(CopyError),
    /// The client has been shut down.
    Ended,
}

impl fmt::Display for ConsistencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsistencyError::Store(error) => write!(f, "the stores cannot be compared: {error}"),
            ConsistencyError::Ended => {
                f.write_str("the client was shut down while the stores were compared")
            }
        }
    }
}

impl std::error::Error for ConsistencyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConsistencyError::Store(error) => error.source(),
            ConsistencyError::Ended => None,
        }
    }
}

impl From<CopyError> for ConsistencyError {
    fn from(error: CopyError) -> ConsistencyError {
        ConsistencyError::Store(error)
    }
}

impl From<Ended> for ConsistencyError {
    fn from(_: Ended) -> ConsistencyError {
        ConsistencyError::Ended
    }
}

/// Runs what the server has asked for, and tells it the result.
pub(crate) fn run_order(
    doubled: Box<dyn Doubled + '_>,
    order: &ConsistencyOrder,
) -> Result<ConsistencyReport, ConsistencyError> {
    let mut run = Consistency::new(doubled);
    run.order = Some(order.id.clone());
    match order.kind {
        ConsistencyKind::Checksum => run.checksum(),
        ConsistencyKind::Sample if order.sample == 0 => run,
        ConsistencyKind::Sample => {
            run.sample(usize::try_from(order.sample).unwrap_or(LARGEST_SAMPLE))
        }
    }
    .run()
}

impl<'a> Consistency<'a> {
    pub(crate) fn new(doubled: Box<dyn Doubled + 'a>) -> Consistency<'a> {
        Consistency {
            doubled,
            kind: ConsistencyKind::Sample,
            sample: SAMPLE,
            order: None,
        }
    }

    /// Compares this many keys, each as likely as any other: 100 unless told otherwise, 100,000 at
    /// most. It reads every key, and the rows of those that it draws.
    pub fn sample(mut self, keys: usize) -> Self {
        self.kind = ConsistencyKind::Sample;
        self.sample = keys.clamp(1, LARGEST_SAMPLE);
        self
    }

    /// Compares every key: by checksums of ranges where both stores give them, and row by row where
    /// these differ.
    pub fn checksum(mut self) -> Self {
        self.kind = ConsistencyKind::Checksum;
        self
    }

    /// Runs it on this thread, and tells the server what it found. Without a server, or where that
    /// does not take it, the report says so.
    ///
    /// # Errors
    /// See [`ConsistencyError`].
    pub fn run(self) -> Result<ConsistencyReport, ConsistencyError> {
        let begun = Instant::now();
        let generation = self.doubled.generation();
        let mut found = Found::default();
        match self.kind {
            ConsistencyKind::Sample => {
                let keys = draw::draw(&*self.doubled, self.sample)?;
                found.compare(&*self.doubled, keys)?;
            }
            ConsistencyKind::Checksum => found.compare_all(&*self.doubled)?,
        }
        let mut report = ConsistencyReport {
            kind: self.kind,
            compared: found.compared,
            differing: found.differing,
            keys: found.keys,
            failed: found.failed,
            checksums: found.checksums,
            took: begun.elapsed(),
            is_recorded: false,
        };
        report.is_recorded = self.tell(&report, generation);
        Ok(report)
    }

    fn tell(self, report: &ConsistencyReport, generation: u64) -> bool {
        let result = ConsistencyResult {
            instance: self.doubled.instance(),
            route: self.doubled.route().clone(),
            order: self.order,
            kind: report.kind,
            generation,
            duration_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            compared: report.compared,
            differing: report.differing,
            keys: report.keys.clone(),
            failed: report.failed,
            checksums: report.checksums.map(|sums| sums.map(|sum| sum.to_string())),
        };
        let told = doubled::tell(&*self.doubled, "/sdk/v1/consistency", &result, PATIENCE);
        match told {
            Ok(IgnoredAny) => true,
            Err(error) => {
                let route = self.doubled.route();
                tracing::warn!(%route, "the result of a consistency run is not recorded: {error}");
                false
            }
        }
    }
}

impl fmt::Debug for Consistency<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consistency")
            .field("route", self.doubled.route())
            .field("kind", &self.kind)
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}
