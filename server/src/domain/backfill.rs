//! A backfill: every row is copied once, batch by batch, by one process at a time.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::{BackfillOrder, BackfillProgress, BackfillState, Percent, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::number::real;
use crate::domain::rollout::Rollout;

/// How long a process may be silent before another goes on in its place, in seconds.
pub const LEASE_SECONDS: i64 = 30;
/// How many keys a batch may have.
pub const BATCH: std::ops::RangeInclusive<u32> = 1..=10_000;
/// The rate is that of the last minute, looked at every five seconds.
const RATE_SECONDS: i64 = 60;
const MARK_SECONDS: i64 = 5;

/// A backfill on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its identity.
    pub id: String,
    /// Of which route.
    pub route: RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
    /// How it stands.
    pub state: Standing,
    /// The process that runs it, by the id of its telemetry.
    pub runner: String,
    /// When that one was last heard of.
    pub heard_at: DateTime<Utc>,
    /// How many keys a batch has.
    pub batch: u32,
    /// The last key that is done.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Keys that were looked at.
    pub keys: u64,
    /// Those that were copied.
    pub copied: u64,
    /// Those that could not be.
    pub failed: u64,
    /// How many there are, about, if known.
    #[serde(default)]
    pub total: Option<u64>,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// When it was done, or became void.
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// Who paused or reset it, and why.
    #[serde(default)]
    pub said: Option<Said>,
    /// How many keys were done when: what the rate is made from.
    #[serde(default)]
    marks: Vec<(DateTime<Utc>, u64)>,
}

/// How a backfill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It goes on.
    Running,
    /// A person has paused it.
    Paused,
    /// All keys are done.
    Complete,
    /// It is void.
    Reset,
}

impl Standing {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Running => "running",
            Standing::Paused => "paused",
            Standing::Complete => "complete",
            Standing::Reset => "reset",
        }
    }
}

/// What somebody said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What people may do about a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It waits before the next batch.
    Pause,
    /// It goes on.
    Resume,
    /// It is void, and has to be run again from the first key.
    Reset,
}

impl Act {
    /// What the record calls it.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Act::Pause => "backfill_pause",
            Act::Resume => "backfill_resume",
            Act::Reset => "backfill_reset",
        }
    }
}

/// What a batch changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Counted,
    /// It was known, or counts for nothing.
    Nothing,
}

/// What copies are made of a rollout's writes, as far as a backfill has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copying {
    /// Whether every write is copied.
    pub all: bool,
    /// Since when they are copied as they are now.
    pub since: Option<DateTime<Utc>>,
}

impl Copying {
    /// Of a rollout.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Copying {
        let share = rollout.mirror.shares.write;
        Copying {
            all: share == Percent::HUNDRED,
            since: rollout.data.mirrored_since,
        }
    }

    /// Whether nothing that was written since a point in time was left out.
    #[must_use]
    pub fn covers(&self, from: DateTime<Utc>) -> bool {
        self.all && self.since.is_some_and(|since| since <= from)
    }
}

impl Backfill {
    /// One that begins.
    #[must_use]
    pub fn begin(
        id: String,
        (route, environment): (RouteKey, EnvironmentKey),
        (runner, batch, total): (&str, u32, Option<u64>),
        now: DateTime<Utc>,
    ) -> Backfill {
        Backfill {
            id,
            route,
            environment,
            state: Standing::Running,
            runner: runner.to_owned(),
            heard_at: now,
            batch,
            cursor: None,
            keys: 0,
            copied: 0,
            failed: 0,
            total,
            begun_at: now,
            ended_at: None,
            said: None,
            marks: vec![(now, 0)],
        }
    }

    /// Whether it is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, Standing::Running | Standing::Paused)
    }

    /// Whether a process other than this one runs it.
    #[must_use]
    pub fn is_held_against(&self, instance: &str, now: DateTime<Utc>) -> bool {
        self.is_open()
            && self.runner != instance
            && now < self.heard_at + Duration::seconds(LEASE_SECONDS)
    }

    /// A process goes on with it.
    pub fn join(&mut self, (instance, batch, total): (&str, u32, Option<u64>), now: DateTime<Utc>) {
        instance.clone_into(&mut self.runner);
        self.heard_at = now;
        self.batch = batch;
        self.total = total.or(self.total);
        // The time without a runner is no slow time.
        self.marks = vec![(now, self.keys)];
    }

    /// Takes what its process has done. A batch that is known, by its cursor, counts for nothing.
    pub fn take(&mut self, progress: &BackfillProgress, now: DateTime<Utc>) -> Taken {
        if !self.is_open() || self.runner != progress.instance {
            return Taken::Nothing;
        }
        self.heard_at = now;
        let is_new = progress.cursor.is_some() && progress.cursor > self.cursor;
        if is_new {
            self.cursor.clone_from(&progress.cursor);
            self.keys = self.keys.saturating_add(progress.keys);
            self.copied = self.copied.saturating_add(progress.copied);
            let failed = u64::try_from(progress.failed.len()).unwrap_or(u64::MAX);
            self.failed = self.failed.saturating_add(failed);
            self.mark(now);
        }
        if progress.complete {
            self.state = Standing::Complete;
            self.ended_at = Some(now);
        }
        if is_new || progress.complete {
            Taken::Counted
        } else {
            Taken::Nothing
        }
    }

    /// What a person does about it; `false` where it is so already.
    ///
    /// # Errors
    /// When it is over; the text says what to do.
    pub fn act(&mut self, act: Act, said: Said) -> Result<bool, String> {
        let to = match act {
            Act::Pause => Standing::Paused,
            Act::Resume => Standing::Running,
            Act::Reset => Standing::Reset,
        };
        if self.state == to {
            return Ok(false);
        }
        let (route, environment) = (&self.route, &self.environment);
        if act != Act::Reset && !self.is_open() {
            return Err(format!(
                "the backfill is {}: there is nothing to {} any more. A new one begins when the \
                 application runs it: see `switchover backfill status {route} {environment}`",
                self.state.name(),
                if act == Act::Pause { "pause" } else { "resume" },
            ));
        }
        if act == Act::Reset {
            self.ended_at = Some(said.at);
        } else {
            self.marks = vec![(said.at, self.keys)];
        }
        self.state = to;
        self.said = Some(said);
        Ok(true)
    }

    /// What its process, or somebody who takes itself for that, is to do.
    #[must_use]
    pub fn order_for(&self, instance: &str) -> BackfillOrder {
        let state = match self.state {
            Standing::Reset => BackfillState::Reset,
            Standing::Complete => BackfillState::Complete,
            _ if self.runner != instance => BackfillState::TakenOver,
            Standing::Running => BackfillState::Running,
            Standing::Paused => BackfillState::Paused,
        };
        BackfillOrder {
            id: self.id.clone(),
            state,
            cursor: self.cursor.clone(),
            keys: self.keys,
            copied: self.copied,
            failed: self.failed,
            total: self.total,
        }
    }

    /// Keys per second over the last minute; `None` where nothing is known of that.
    #[must_use]
    pub fn rate(&self, now: DateTime<Utc>) -> Option<f64> {
        if self.state != Standing::Running {
            return None;
        }
        let (from, keys) = self.marks.first()?;
        let seconds = real(u64::try_from((now - *from).num_milliseconds()).ok()?) / 1_000.0;
        (seconds >= 1.0).then(|| real(self.keys.saturating_sub(*keys)) / seconds)
    }

    /// In how many seconds it is done, if it goes on like that; `None` where nobody can tell.
    #[must_use]
    pub fn seconds_left(&self, now: DateTime<Utc>) -> Option<f64> {
        let left = self.total?.saturating_sub(self.keys);
        let rate = self.rate(now).filter(|rate| *rate > 0.0)?;
        Some(real(left) / rate)
    }

    fn mark(&mut self, now: DateTime<Utc>) {
        let last = self.marks.last().map(|(at, _)| *at);
        if last.is_none_or(|last| now - last >= Duration::seconds(MARK_SECONDS)) {
            self.marks.push((now, self.keys));
        }
        let oldest = now - Duration::seconds(RATE_SECONDS);
        // The last one before that minute stays: the rate is over at least as long.
        while self.marks.get(1).is_some_and(|(at, _)| *at <= oldest) {
            self.marks.remove(0);
        }
    }
}

#[cfg(test)]
mod tests;
