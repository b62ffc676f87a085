//! Decides, in a few nanoseconds, whether a call takes the old path or the new one.
#![forbid(unsafe_code)]

mod bucket;
mod decide;
mod overrides;
mod rollout;
mod snapshot;
mod stage;
mod table;

pub use bucket::{BUCKETS, Seed, bucket};
pub use decide::{
    Decision, Explanation, Layer, Path, Plan, Reason, Rule, Verdict, Warning, decide, explain,
    plan, warnings,
};
pub use overrides::{FlagOverride, Overrides};
pub use rollout::{
    FlagName, InvalidName, InvalidPercent, Mirror, Percent, Rollout, RouteKey, Setting,
};
pub use snapshot::{
    ContentHash, InvalidVersion, MAX_ROUTES, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError, Version,
    write_delta, write_snapshot,
};
pub use stage::{EnvironmentKind, Stage, UnknownStage};
pub use table::{Entry, InvalidRequirements, LONGEST_CHAIN, Source, Table};
