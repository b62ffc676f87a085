//! What was read of rollouts, and of this node, for one scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use switchover::{Mirror, Percent, RouteKey, Stage, Version};

use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::GuardState;
use crate::domain::policy::GuardAction;
use crate::domain::telemetry::Tallies;

/// Of so many rollouts there are numbers: routes times environments. What is beyond is counted, and
/// left out; mandatory ones first.
pub const MOST_ROLLOUTS: usize = 2_000;

/// A route in an environment.
pub(super) type Place = (EnvironmentKey, RouteKey);

/// What is shown beside what the process counts of itself.
#[derive(Debug)]
pub struct Reading {
    /// Of this node.
    pub here: HereReading,
    /// What is published, by environment.
    pub environments: Vec<EnvironmentReading>,
    /// What is published of rollouts.
    pub rollouts: Vec<RolloutReading>,
    /// How many more rollouts there are.
    pub left_out: usize,
    /// What was read from the databases, at this scrape or a little before.
    pub kept: Arc<Kept>,
}

/// Of this node.
#[derive(Clone, Copy, Debug)]
pub struct HereReading {
    /// Streams of SDKs that are open.
    pub sdk_streams: usize,
    /// Streams of pages that are open.
    pub page_streams: usize,
    /// How long ago what is published was last compared with the database, in seconds.
    pub snapshot_age: f64,
    /// Whether the database is there.
    pub has_database: bool,
}

/// What is published in an environment.
#[derive(Debug)]
pub struct EnvironmentReading {
    /// Which.
    pub key: EnvironmentKey,
    /// The version.
    pub version: Version,
    /// How many routes it has.
    pub routes: usize,
}

/// What is published of a rollout.
#[derive(Debug)]
pub struct RolloutReading {
    /// Which.
    pub place: Place,
    /// Its stage.
    pub stage: Stage,
    /// The share of the keys that may take the new path.
    pub exposure: Percent,
    /// Whether it is halted.
    pub halted: bool,
    /// Whether there is something for its guards to see.
    pub is_watched: bool,
    /// What also runs on the other path.
    pub mirror: Mirror,
    /// Limits of a 99th percentile, in milliseconds.
    pub slow_ms: Vec<u32>,
}

/// What is read from the databases.
#[derive(Debug, Default)]
pub struct Kept {
    /// What was ever reported of a rollout.
    pub totals: Arc<BTreeMap<Place, Tallies>>,
    /// The instances that run, by environment.
    pub running: BTreeMap<EnvironmentKey, Running>,
    /// What guards answer.
    pub guards: Vec<GuardReading>,
    /// The rollouts that guards have halted.
    pub halted_by_guards: BTreeSet<Place>,
}

/// The instances of an environment that run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// All of them.
    pub all: u64,
    /// Those that decide by another version than the one that is published.
    pub behind: u64,
}

/// What a guard answers.
#[derive(Debug)]
pub struct GuardReading {
    /// Of which rollout.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// What it does.
    pub action: GuardAction,
    /// What it answers.
    pub state: GuardState,
}
