#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "client"),
    doc = "The decision core: decides, in a few nanoseconds, whether a call takes the old path or the new one."
)]
#![forbid(unsafe_code)]

mod authority;
mod bucket;
mod decide;
mod explain;
mod latency;
#[cfg(feature = "manifest")]
mod manifest;
mod overrides;
mod report;
mod rollout;
mod snapshot;
mod stage;
mod table;
mod warnings;
mod writers;

#[cfg(feature = "client")]
mod attendant;
#[cfg(feature = "client")]
mod awaited;
#[cfg(feature = "client")]
mod backfill;
#[cfg(feature = "client")]
mod backoff;
#[cfg(feature = "client")]
mod bell;
#[cfg(feature = "client")]
mod breaker;
#[cfg(feature = "client")]
mod builder;
#[cfg(feature = "client")]
mod cache;
#[cfg(feature = "client")]
mod calibrate;
#[cfg(feature = "client")]
mod call;
#[cfg(feature = "client")]
mod cells;
#[cfg(feature = "client")]
mod chance;
#[cfg(feature = "client")]
mod changes;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod clock;
#[cfg(feature = "client")]
mod comparing;
#[cfg(feature = "client")]
mod consistency;
#[cfg(feature = "client")]
mod contact;
#[cfg(feature = "client")]
mod copying;
#[cfg(feature = "client")]
mod counters;
#[cfg(feature = "client")]
mod crew;
#[cfg(feature = "client")]
mod data;
#[cfg(feature = "client")]
mod data_routes;
#[cfg(feature = "client")]
mod doubled;
#[cfg(feature = "client")]
mod engine;
#[cfg(feature = "client")]
mod events;
#[cfg(feature = "client")]
mod fence;
#[cfg(feature = "client")]
mod gate;
#[cfg(feature = "client")]
mod histogram;
#[cfg(feature = "client")]
mod instance;
#[cfg(feature = "client")]
mod keeper;
#[cfg(feature = "client")]
mod key;
#[cfg(feature = "client")]
mod lease;
#[cfg(feature = "client")]
mod ledger;
#[cfg(feature = "client")]
mod mender;
#[cfg(feature = "client")]
mod mirror;
#[cfg(feature = "client")]
mod outbox;
#[cfg(feature = "client")]
mod pace;
#[cfg(feature = "client")]
mod progress;
#[cfg(feature = "client")]
mod published;
#[cfg(feature = "client")]
mod read;
#[cfg(feature = "client")]
mod recent;
#[cfg(feature = "client")]
mod repairs;
#[cfg(feature = "client")]
mod reporter;
#[cfg(feature = "client")]
mod reports;
#[cfg(feature = "client")]
mod route;
#[cfg(feature = "client")]
mod settings;
#[cfg(feature = "client")]
mod shadow;
#[cfg(feature = "client")]
mod slot;
#[cfg(feature = "client")]
mod slots;
#[cfg(feature = "client")]
mod slow;
#[cfg(feature = "client")]
mod spool;
#[cfg(feature = "client")]
mod state;
#[cfg(feature = "client")]
mod status;
#[cfg(feature = "client")]
mod store;
#[cfg(feature = "client")]
mod sync;
#[cfg(feature = "client")]
mod tending;
#[cfg(feature = "client")]
pub mod testing;
#[cfg(feature = "client")]
mod told;
#[cfg(feature = "client")]
mod totals;
#[cfg(feature = "client")]
mod transport;
#[cfg(feature = "client")]
mod versions;
#[cfg(feature = "client")]
mod waiting;
#[cfg(feature = "client")]
mod write;

pub use authority::{Authority, Form, Shift, Token};
pub use bucket::{BUCKETS, Seed, bucket};
pub use decide::{Decision, Path, Plan, Reason, Rule, Verdict, decide, plan};
pub use explain::{Explanation, Layer, explain};
pub use latency::Latency;
#[cfg(feature = "manifest")]
pub use manifest::{
    InvalidManifestKey, MAX_MANIFEST_BYTES, MAX_SIGNATURES, Manifest, ManifestError, ManifestHead,
    ManifestKey, write_manifest, write_payload,
};
pub use overrides::{FlagOverride, Overrides};
pub use report::{
    Batch, Instance, InvalidBatch, MAX_BATCH_BYTES, MOST_LIMITS, Proportion, Registered, Role,
    RouteCounts, Slow,
};
pub use rollout::{
    FlagName, InvalidName, InvalidPercent, Mirror, Next, Percent, ReleaseName, Rollout, RouteKey,
    Setting, Watch,
};
pub use snapshot::{
    ContentHash, InvalidVersion, MAX_ROUTES, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError, Version,
    write_delta, write_snapshot,
};
pub use stage::{EnvironmentKind, Stage, UnknownStage};
pub use table::{Entry, InvalidRequirements, LONGEST_CHAIN, Source, Table};
pub use warnings::{Warning, warnings};
pub use writers::{
    BackfillOrder, BackfillProgress, BackfillStart, BackfillState, Cause, ConsistencyKind,
    ConsistencyOrder, ConsistencyResult, LONGEST_KEY, MAX_WRITER_BYTES, MOST_KEYS, Repair,
    RepairState, Step, Unverified, WriterAnswer, WriterOrder, WriterReport, WriterRoute,
};

#[cfg(feature = "client")]
pub use backfill::{Backfill, BackfillError, BackfillReport};
#[cfg(feature = "client")]
pub use breaker::{Breaker, BreakerState};
#[cfg(feature = "client")]
pub use builder::{ClientBuilder, StartError};
#[cfg(feature = "client")]
pub use calibrate::{Calibrate, Calibration, ComparedCalibrate};
#[cfg(feature = "client")]
pub use call::{Call, CallWithOld, ReadyCall};
#[cfg(feature = "client")]
pub use changes::{Change, Subscription};
#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "client")]
pub use comparing::Mismatch;
#[cfg(feature = "client")]
#[doc(hidden)]
pub use comparing::{Compared, Ignored, Rules};
#[cfg(feature = "client")]
pub use consistency::{Consistency, ConsistencyError, ConsistencyReport};
#[cfg(feature = "client")]
pub use data::{DataRoute, DataStatus, StoresError};
#[cfg(feature = "client")]
pub use fence::{Dialect, Fence, FenceConnection, FenceError};
#[cfg(feature = "client")]
pub use key::Key;
#[cfg(feature = "client")]
#[doc(hidden)]
pub use pace::Pace;
#[cfg(feature = "client")]
pub use progress::{BackfillStatus, Progress, TerminalProgress};
#[cfg(feature = "client")]
pub use read::{Awaited, Blocking, ComparedRead, Implementation, Read, ReadWithOld, ReadyRead};
#[cfg(feature = "client")]
pub use route::{Route, RouteSpec};
#[cfg(feature = "client")]
pub use status::{ManifestStatus, Mode, Status};
#[cfg(feature = "client")]
pub use store::{Checksum, Copied, CopyError, Saved, Store, StoreError};
#[cfg(feature = "client")]
pub use totals::{MirrorStats, PathStats, RouteStats};
#[cfg(feature = "client")]
pub use write::{InvalidKey, ReadyWrite, Write, WriteError, WriteWithOld};
