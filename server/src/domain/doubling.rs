//! What a rollout of a data route keeps besides: whose turn it is to be the authority, and what is
//! known of the two stores.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Next, Percent};

use crate::domain::actor::Actor;
use crate::domain::command::Command;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, Route};

/// What is on record of a rollout whose keys are in two stores. All of it is as by default on routes
/// that nothing doubles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doubling {
    /// Counts the holds, and the changes that moved keys without one. It never falls.
    pub generation: u64,
    /// The flip that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,
    /// How the last hold ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_flip: Option<FlipEnd>,
    /// Since when writes are not copied to the old store while keys are written to the new one: going
    /// back needs a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged_since: Option<DateTime<Utc>>,
    /// Since when the mirror to the old store is off for good: the point of no return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_return_since: Option<DateTime<Utc>>,
    /// Since when writes are copied as they are now; `None` while none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirrored_since: Option<DateTime<Utc>>,
    /// What guards count from, where the last publication began no epoch of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// What goes on by itself tries a flip again only so long after it was given up: each attempt has
/// writes wait.
const TRIED_AGAIN_AFTER: Duration = Duration::seconds(10);
/// An epoch begins at its second times this, and no second has so many flips.
const LEAP: u64 = 1 << 20;

/// A change that is announced, and made once every process that writes has let go of the keys that
/// move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What is to happen.
    pub command: Command,
    /// Who ordered it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is given up.
    pub until: DateTime<Utc>,
    /// What the rollout is to be, as it was announced.
    pub next: Next,
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// Of which generation it was.
    pub generation: u64,
    /// What was to happen, as the record names it.
    pub action: String,
    /// Whether it did.
    pub outcome: Outcome,
    /// Why not; empty where it was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long writes of the keys that move had to wait at the most, in milliseconds.
    pub waited_ms: u64,
}

/// Whether an announced change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was.
    Made,
    /// It was given up, and nothing has changed.
    Abandoned,
}

/// From when on guards count, if that is not when the rollout was last published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The publication that this is about, by its revision of the environment: any later one begins
    /// an epoch.
    pub published: u64,
    /// The revision that they go on from.
    pub since: u64,
}

impl Rollout {
    /// What it says of the paths of keys.
    #[must_use]
    pub fn deciding(&self) -> Next {
        Next {
            stage: self.stage,
            setting: self.setting,
            halted: self.halt.is_some(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// Whether writes of its route are copied to the other store here.
    #[must_use]
    pub fn is_doubled(&self, route: &Route) -> bool {
        route.spec.operation == Operation::Write && self.mirror.shares.write > Percent::ZERO
    }
}

impl Doubling {
    /// It, where there is something to tell.
    #[must_use]
    pub fn told(&self) -> Option<&Doubling> {
        Some(self).filter(|data| **data != Doubling::default())
    }

    /// The same in a database that was put back from a copy: stores and processes have seen generations
    /// that it knows nothing of, and refuse whatever is of a lower one.
    #[must_use]
    pub fn in_new_epoch(&self, now: DateTime<Utc>) -> Doubling {
        let mut data = self.clone();
        data.end_hold(Outcome::Abandoned, "the database was restored", now);
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        data.generation = data.generation.max(seconds.saturating_mul(LEAP));
        data
    }

    /// Whether what goes on by itself has to wait: a flip is under way, or was given up just now.
    #[must_use]
    pub fn waits(&self, now: DateTime<Utc>) -> bool {
        self.hold.is_some() || self.tried_again_at().is_some_and(|at| now < at)
    }

    /// From when on what goes on by itself tries again; `None` where the last flip was not given up.
    pub(super) fn tried_again_at(&self) -> Option<DateTime<Utc>> {
        let last = self.last_flip.as_ref()?;
        (last.outcome == Outcome::Abandoned).then(|| last.at + TRIED_AGAIN_AFTER)
    }

    /// Ends the hold, if there is one.
    pub(super) fn end_hold(&mut self, outcome: Outcome, detail: &str, now: DateTime<Utc>) {
        let Some(hold) = self.hold.take() else {
            return;
        };
        let waited = now.signed_duration_since(hold.since).num_milliseconds();
        self.last_flip = Some(FlipEnd {
            at: now,
            generation: self.generation,
            action: hold.command.action().to_owned(),
            outcome,
            detail: detail.to_owned(),
            waited_ms: u64::try_from(waited).unwrap_or(0),
        });
    }

    /// The revision from which on guards count, when the rollout was last published at this one.
    #[must_use]
    pub fn counted_since(&self, published: u64) -> u64 {
        let counted = self.counted.filter(|it| it.published == published);
        counted.map_or(published, |it| it.since)
    }
}
