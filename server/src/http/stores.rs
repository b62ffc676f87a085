//! How the two stores of a data route stand to each other, as a part of its rollout.

use chrono::{DateTime, Utc};
use serde::Serialize;
use switchover::ConsistencyKind;
use utoipa::ToSchema;

use crate::domain::consistency::Compared;
use crate::domain::stores::{Doubt, DoubtKind};
use crate::http::backfills::BackfillBody;
use crate::http::consistency::ScheduleBody;
use crate::service::StoresView;

/// How the two stores of a data route stand to each other.
#[derive(Serialize, ToSchema)]
#[schema(as = Stores)]
pub(super) struct StoresBody {
    /// Whether every write is copied to the other store.
    mirrored: bool,
    /// Whether every row was copied since that is so.
    backfill_complete: bool,
    /// Whether the latest consistency run was clean, and began since that is so.
    consistent: bool,
    /// The last backfill.
    backfill: Option<BackfillBody>,
    /// What was found when rows were last compared.
    consistency: Option<ComparedBody>,
    /// When they are compared by themselves.
    consistency_schedule: ScheduleBody,
    /// Repairs that are tried again.
    open_repairs: u64,
    /// Repairs that were given up.
    failed_repairs: u64,
    /// Repairs that a person has to decide.
    conflicts: u64,
    /// Those among all of them whose write may be lost: authority moved without a hold.
    at_risk: u64,
    /// The age of the oldest of them.
    oldest_repair_seconds: Option<u64>,
    /// Why nobody knows whether every write was copied; empty where it is known.
    unverified: Vec<DoubtBody>,
    /// Whether writes were left out while the mirror was off, and no backfill has made that good.
    diverged: bool,
}

/// What a consistency run has found, in numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = Comparison)]
struct ComparedBody {
    kind: ConsistencyKind,
    began_at: DateTime<Utc>,
    at: DateTime<Utc>,
    compared: u64,
    differing: u64,
    failed: u64,
    clean: bool,
}

/// Why repairs may be missing from the ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = Unverified)]
struct DoubtBody {
    /// `spool_full`, `no_spool`, `spool_damaged`, `ledger_full` or `writer_gone`.
    #[schema(example = "spool_full")]
    why: &'static str,
    since: DateTime<Utc>,
    /// The process, or `system`.
    by: String,
}

impl From<&StoresView> for StoresBody {
    fn from(view: &StoresView) -> StoresBody {
        StoresBody {
            mirrored: view.stores.mirrored,
            backfill_complete: view.stores.backfill_complete,
            consistent: view.stores.consistent,
            backfill: view
                .backfill
                .as_ref()
                .map(|backfill| BackfillBody::of(backfill, view.now)),
            consistency: view.record.latest.as_ref().map(ComparedBody::from),
            consistency_schedule: ScheduleBody::from(&view.record.schedule),
            open_repairs: view.ledger.open,
            failed_repairs: view.ledger.failed,
            conflicts: view.ledger.conflict,
            at_risk: view.ledger.at_risk,
            oldest_repair_seconds: view.stores.oldest_repair_seconds,
            unverified: view.record.doubts.iter().map(DoubtBody::from).collect(),
            diverged: view.stores.diverged,
        }
    }
}

impl From<&Compared> for ComparedBody {
    fn from(seen: &Compared) -> ComparedBody {
        ComparedBody {
            kind: seen.kind,
            began_at: seen.began_at,
            at: seen.at,
            compared: seen.compared,
            differing: seen.differing,
            failed: seen.failed,
            clean: seen.is_clean(),
        }
    }
}

impl From<&Doubt> for DoubtBody {
    fn from(doubt: &Doubt) -> DoubtBody {
        DoubtBody {
            why: match doubt.why {
                DoubtKind::SpoolFull => "spool_full",
                DoubtKind::NoSpool => "no_spool",
                DoubtKind::SpoolDamaged => "spool_damaged",
                DoubtKind::LedgerFull => "ledger_full",
                DoubtKind::WriterGone => "writer_gone",
            },
            since: doubt.since,
            by: doubt.by.clone(),
        }
    }
}
