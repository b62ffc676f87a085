//! What processes that write data routes and the server tell each other: the wire forms.
//!
//! Keys go over the wire, rows never do, nor does the text of a store's error, which may hold one. A
//! reader ignores fields that it does not know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decide::Path;
use crate::rollout::RouteKey;

/// The largest body of each of these requests, in bytes.
pub const MAX_WRITER_BYTES: usize = 256 * 1024;
/// The longest key of a write, in bytes.
pub const LONGEST_KEY: usize = 256;
/// The most keys or repairs that one message names.
pub const MOST_KEYS: usize = 200;

/// `POST /sdk/v1/writers`: a process says which data routes it writes, and how far it is. Sent when it
/// registers a route's stores, every five seconds, and at once when a hold is done or repairs change.
/// What the server has taken it answers with success; else it is sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterReport {
    /// The process, by the id of its telemetry.
    pub instance: String,
    /// What people know it by.
    pub name: String,
    /// Each data route whose stores it has.
    pub routes: Vec<WriterRoute>,
    /// Whether it says goodbye: nothing is under way, nothing is written any more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ends: bool,
}

/// One data route of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterRoute {
    /// Which.
    pub route: RouteKey,
    /// The generation under which writes begin now.
    #[serde(default)]
    pub generation: u64,
    /// The generation whose hold it has done its part for: whatever began before has ended, and none
    /// of its repairs is open for a key that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<u64>,
    /// Whether its stores refuse writes of a lower generation than they have seen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fenced: bool,
    /// Processes that are gone, whose spools this one has taken over: their open repairs are its own now,
    /// and flips wait for it in their place. Told until it was answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<String>,
    /// Why nobody knows whether all its writes were copied, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<Unverified>,
    /// Repairs that are open in it, also those that are not told yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub open_repairs: u64,
    /// Repairs that are new or have changed since they were last told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
}

/// Why repairs may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unverified {
    /// The spool had no room for an intent.
    SpoolFull,
    /// The process has no spool, or cannot write to it.
    NoSpool,
    /// A spool that was left over cannot be read to its end.
    SpoolDamaged,
}

/// A key whose two rows may differ, because a copy did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The key.
    pub key: String,
    /// The side that was written: the authority as the process knew it then.
    pub written: Path,
    /// The generation of that write.
    #[serde(default)]
    pub generation: u64,
    /// What happened.
    pub cause: Cause,
    /// What became of it.
    #[serde(default)]
    pub state: RepairState,
    /// How often a copy was tried.
    #[serde(default)]
    pub attempts: u32,
    /// What the last attempt failed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Step>,
    /// How long ago the write was, in milliseconds.
    #[serde(default)]
    pub age_ms: u64,
}

/// Why a key needs a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The copy failed.
    Failed,
    /// The copy took too long, or there were too many at once.
    TimedOut,
    /// The process ended before the copy did.
    Interrupted,
    /// The write failed, panicked or was dropped: whether it happened is not known.
    UnknownOutcome,
    /// Authority moved without a hold while the copy was under way, or the process wrote while it was
    /// cut off.
    AtRisk,
    /// A backfill could not copy it.
    Backfill,
}

/// What became of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RepairState {
    /// It is tried again.
    #[default]
    Open,
    /// The two rows are equal.
    Resolved,
    /// It was given up after many attempts.
    Failed,
    /// The side that was written is not the authority any more and the rows differ: a person decides.
    Conflict,
}

/// What a copy was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Reading the row of the old store.
    LoadOld,
    /// Reading the row of the new store.
    LoadNew,
    /// Writing the row of the old store.
    SaveOld,
    /// Writing the row of the new store.
    SaveNew,
    /// The rows changed each time it looked.
    Unsettled,
    /// A store refused it as of an older generation.
    Fenced,
    /// It ran, and did not end in its time.
    Deadline,
}

/// What the server answers to a [`WriterReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterAnswer {
    /// The environment's revision: a process that decides by an older one is not in contact yet.
    pub revision: u64,
    /// Whether a maintainer had declared the process gone: flips may have been made without it. It is
    /// known again from now on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub was_gone: bool,
    /// What it is asked to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<WriterOrder>,
}

/// What the server asks of a process about one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterOrder {
    /// Which.
    pub route: RouteKey,
    /// Repairs to try now: its own that a person wants tried again, and those of processes that are
    /// gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
    /// Keys whose repairs a person has settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<String>,
    /// Whether a complete backfill and a clean consistency run have shown what was
    /// [`Unverified`] to be well: what the process said about it before is void.
    #[serde(default, skip_serializing_if = "is_default")]
    pub verified: bool,
    /// A consistency run that is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyOrder>,
}

/// A consistency run that somebody, or the schedule, wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyOrder {
    /// Names it; the result says it again.
    pub id: String,
    /// How.
    pub kind: ConsistencyKind,
    /// How many keys a sample has.
    #[serde(default)]
    pub sample: u64,
}

/// How two stores are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyKind {
    /// Some keys, drawn at random.
    Sample,
    /// Every key, by checksums of ranges and row by row where those differ.
    Checksum,
}

impl fmt::Display for ConsistencyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ConsistencyKind::Sample => "sample",
            ConsistencyKind::Checksum => "checksum",
        })
    }
}

/// `POST /sdk/v1/consistency`: what a consistency run found; answered with 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyResult {
    /// The process.
    pub instance: String,
    /// The route.
    pub route: RouteKey,
    /// The order that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// How the stores were compared.
    pub kind: ConsistencyKind,
    /// The generation when it began.
    pub generation: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Keys that were compared.
    pub compared: u64,
    /// Those whose rows differ, and went on to when looked at again.
    pub differing: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Keys that could not be compared.
    #[serde(default)]
    pub failed: u64,
    /// The checksum of the old store's rows and of the new one's, where the stores give any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<[String; 2]>,
}

/// `POST /sdk/v1/backfills`: a process begins a backfill, or goes on with the one that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillStart {
    /// The process.
    pub instance: String,
    /// The route.
    pub route: RouteKey,
    /// How many keys a batch has.
    pub batch: u32,
    /// How many keys there are, about, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether to begin anew where one is under way or complete.
    #[serde(default, skip_serializing_if = "is_default")]
    pub anew: bool,
}

/// `POST /sdk/v1/backfills/{id}`: a batch is done. Sent again until it is answered; a batch whose
/// cursor is known changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillProgress {
    /// The process.
    pub instance: String,
    /// The last key that is done; `None` before the first batch, to ask how things stand.
    pub cursor: Option<String>,
    /// Keys that this batch has looked at.
    #[serde(default)]
    pub keys: u64,
    /// Those that it had to copy.
    #[serde(default)]
    pub copied: u64,
    /// Those that could not be copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Whether there are no more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub complete: bool,
}

/// How a backfill stands: the answer to both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillOrder {
    /// Names it.
    pub id: String,
    /// What the process is to do.
    pub state: BackfillState,
    /// The last key that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Keys that were looked at so far.
    pub keys: u64,
    /// Those that were copied.
    pub copied: u64,
    /// Those that could not be.
    pub failed: u64,
    /// How many there are, about, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// What becomes of a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BackfillState {
    /// It goes on.
    Running,
    /// Somebody has paused it: ask again from time to time.
    Paused,
    /// All keys are done.
    Complete,
    /// It is void: somebody has reset it, or begun another.
    Reset,
    /// Another process has taken it over.
    TakenOver,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
