//! The two stores of a data route: how they stand to each other.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::backfill::Backfill;
use crate::domain::facts::Stores;
use crate::domain::repair::LedgerSum;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, Route};
use crate::domain::stores::{DoubtKind, SERVER, StoresRecord};
use crate::service::Failure;
use crate::service::rollout::{Target, load};
use crate::service::work::Work;
use crate::store::{StoreError, Tx};

/// How the two stores of a data route stand to each other, for people.
#[derive(Clone, Debug)]
pub struct StoresView {
    /// What is on record of them.
    pub record: StoresRecord,
    /// The last backfill.
    pub backfill: Option<Backfill>,
    /// The unresolved repairs.
    pub ledger: LedgerSum,
    /// What gates make of all that.
    pub stores: Stores,
    /// When.
    pub now: DateTime<Utc>,
}

/// How the two stores of a route stand to each other; `None` where it has no two.
pub(super) fn view(
    tx: &mut Tx<'_>,
    route: &Route,
    rollout: &Rollout,
    now: DateTime<Utc>,
) -> Result<Option<StoresView>, StoreError> {
    if route.spec.operation != Operation::Write {
        return Ok(None);
    }
    let place = (&rollout.route, &rollout.environment);
    let record = tx.stores(place.0, place.1)?;
    let backfill = tx.last_backfill(place)?;
    let ledger = tx.ledger_sum(place)?;
    Ok(Some(StoresView {
        stores: Stores::of(rollout, &record, backfill.as_ref(), &ledger, now),
        record,
        backfill,
        ledger,
        now,
    }))
}

/// The rollout of a data route, or why it is none.
pub(super) fn load_data(tx: &mut Tx<'_>, target: &Target) -> Result<(Route, Rollout), Failure> {
    let (route, _, rollout) = load(tx, target)?;
    if route.spec.operation != Operation::Write {
        return Err(Failure::Conflict(format!(
            "`{}` is a {} route: only routes whose operation is write have two stores that are kept \
             equal",
            target.route,
            route.spec.operation.name()
        )));
    }
    Ok((route, rollout))
}

/// Notes that nobody knows whether every write of a rollout was copied. A declaration that a process
/// is gone comes here too: what it had under way is not known.
pub(super) fn mark_unverified(
    tx: &mut Tx<'_>,
    target: &Target,
    (why, by): (DoubtKind, &str),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut record = tx.lock_stores(&target.route, &target.environment)?;
    if record.doubt(why, by, now) {
        tx.put_stores(&target.route, &target.environment, &record)?;
    }
    Ok(())
}

/// Settles what was doubted, where a complete backfill and a clean checksum run have shown that all is
/// well; puts it on record.
pub(super) fn settle_doubts(
    work: &mut Work<'_, '_>,
    target: &Target,
    record: &mut StoresRecord,
    backfill: Option<&Backfill>,
) {
    let settled = record.settle(backfill);
    if settled.is_empty() {
        return;
    }
    let before = json!({ "unverified": settled });
    let after = json!({ "unverified": record.doubts });
    let place = (Some(&target.route), Some(&target.environment));
    let reason = "a complete backfill and a clean checksum run have begun since";
    work.record("stores_verified", place.0, place.1, reason, (before, after));
}

/// Who speaks for the server on record of the stores.
pub(super) const BY_SERVER: &str = SERVER;

/// Nothing was there before.
pub(super) fn from_nothing(after: Value) -> (Value, Value) {
    (Value::Null, after)
}
