//! Counting what came in, once.

use chrono::{DateTime, Duration, Utc};
use switchover::Batch;

use crate::domain::environment::EnvironmentKey;
use crate::store::StoreError;
use crate::telemetry::Tx;
use crate::telemetry::instances::Instances;
use crate::telemetry::reports::Log;
use crate::telemetry::usage::Usage;
use crate::telemetry::windows::Windows;

/// What a sender may say of the age of its counts: as long as it keeps them.
const OLDEST_MS: u64 = 60 * 60 * 1_000;

/// A batch that came in.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Where its sender runs, by its key.
    pub environment: EnvironmentKey,
    /// The epoch of the record.
    pub epoch: String,
    /// The batch; its counts are of routes that are published there.
    pub batch: Batch,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is counted.
    Counted,
    /// It was counted before.
    Duplicate,
    /// Its instance is one more than are kept, so nothing of it is counted.
    TooManyInstances,
}

impl Tx<'_> {
    /// Counts batches, each once, by the time of this server.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn take(
        &mut self,
        arrived: &[Arrived],
        now: DateTime<Utc>,
    ) -> Result<Vec<Outcome>, StoreError> {
        if let Some(last) = arrived.last() {
            self.follow_epoch(&last.epoch)?;
        }
        let mut instances = Instances::load(self, arrived)?;
        let mut log = Log::after(self.last_position()?);
        let (mut windows, mut usage) = (Windows::default(), Usage::default());
        let mut outcomes = Vec::with_capacity(arrived.len());
        for one in arrived {
            let Some(known) = instances.known(self, one, now)? else {
                outcomes.push(Outcome::TooManyInstances);
                continue;
            };
            outcomes.push(if known.counted.add(one.batch.sequence) {
                let then = count(one, now, &mut log, &mut windows)?;
                known.describe(self, &one.batch, (now, then), &mut usage)?;
                Outcome::Counted
            } else {
                Outcome::Duplicate
            });
        }
        instances.save(self)?;
        windows.save(self)?;
        usage.save(self)?;
        log.save(self)?;
        Ok(outcomes)
    }
}

/// Counts what a batch brings; gives when it was counted by its sender, in the server's time.
fn count(
    arrived: &Arrived,
    now: DateTime<Utc>,
    log: &mut Log,
    windows: &mut Windows,
) -> Result<DateTime<Utc>, StoreError> {
    let Arrived {
        environment, batch, ..
    } = arrived;
    let age = Duration::milliseconds(batch.age_ms.min(OLDEST_MS).try_into().unwrap_or(i64::MAX));
    let then = now - age;
    let comparable = batch
        .instance
        .snapshot
        .as_ref()
        .filter(|version| *version.epoch == *arrived.epoch);
    for counts in &batch.counts {
        // A revision of another epoch, or one that is still to come, cannot be compared with any.
        let revision = comparable
            .filter(|version| counts.revision <= version.revision)
            .map_or(0, |_| counts.revision);
        log.add(environment, batch, counts, revision, now)?;
        windows.add(environment, counts, then);
    }
    Ok(then)
}
