//! The ledger of repairs: what processes tell of theirs, what they are asked to do about them, and what
//! people do.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use switchover::{MOST_KEYS, RepairState, WriterOrder, WriterRoute};

use crate::domain::actor::Role;
use crate::domain::refusal::Refusal;
use crate::domain::repair::{
    KEPT_DAYS, KeptRepair, MOST_OPEN, MOST_RESOLVED, Ordered, Settlement, is_key,
};
use crate::domain::stores::{DoubtKind, StoresRecord};
use crate::domain::text::Reason;
use crate::service::consistency::hand_out;
use crate::service::rollout::Target;
use crate::service::stores::{BY_SERVER, load_data};
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{StoreError, Tx};

/// States of repairs that are not over.
pub const UNRESOLVED: [RepairState; 3] = [
    RepairState::Open,
    RepairState::Failed,
    RepairState::Conflict,
];
/// A process that does not say that it forgot a settled repair is told so for that long.
const TOLD_MINUTES: i64 = 10;
/// Repairs of others that one process is given at once.
const MOST_HANDED: usize = 50;
/// Names of keys on the record of a settlement.
const MOST_NAMED: usize = 100;

/// What people do about repairs.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Of which keys; all unresolved ones where that is `None`.
    pub keys: Option<Vec<String>>,
    /// What.
    pub how: Settlement,
    /// Why.
    pub reason: Reason,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledMany {
    /// Repairs that it was done to.
    pub repairs: usize,
    /// Keys that have no unresolved repair.
    pub unknown: usize,
}

impl Services {
    /// The repairs of a rollout in one of these states, by key and process, after a place and at most
    /// so many.
    ///
    /// # Errors
    /// When there is no such rollout, or it has no two stores.
    pub fn repairs(
        &self,
        target: &Target,
        states: &[RepairState],
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<KeptRepair>, Failure> {
        self.store.read(|tx| {
            load_data(tx, target)?;
            let place = (&target.route, &target.environment);
            Ok(tx.repairs(place, states, after, limit)?)
        })
    }

    /// Has repairs tried again, or takes them for settled. The latter is believed unseen, so that in
    /// production it takes a maintainer.
    ///
    /// # Errors
    /// When there is no such rollout, or the role does not suffice.
    pub fn settle_repairs(
        &self,
        ctx: &Ctx,
        (target, settle): (&Target, &Settle),
        render: Render<'_, SettledMany>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            load_data(work.tx, target)?;
            let environment = work.environment(&target.environment)?;
            let needs = Role::Maintainer;
            if settle.how == Settlement::Resolve
                && environment.is_guarded()
                && work.ctx.actor.role < needs
            {
                let to_do = format!("take repairs for settled in {}", environment.key);
                return Err(Failure::Refused(Refusal::Forbidden { needs, to_do }));
            }
            let place = (&target.route, &target.environment);
            work.tx.lock_stores(place.0, place.1)?;
            let all = usize::try_from(MOST_OPEN).unwrap_or(usize::MAX);
            let mut found = match &settle.keys {
                Some(keys) => work.tx.repairs_of_keys(place, keys)?,
                None => work.tx.repairs(place, &UNRESOLVED, None, all)?,
            };
            let (by, why) = (&work.ctx.actor.subject, settle.reason.as_str());
            found.retain_mut(|repair| repair.settle(settle.how, by, why, work.now));
            work.tx.put_repairs(place, &found)?;
            let keys: BTreeSet<&str> = found.iter().map(|repair| repair.key.as_str()).collect();
            let unknown = settle.keys.as_ref().map_or(0, |asked| {
                let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
                asked.difference(&keys).count()
            });
            if !found.is_empty() {
                let named: Vec<&&str> = keys.iter().take(MOST_NAMED).collect();
                let record = json!({ "repairs": found.len(), "keys": named });
                let action = match settle.how {
                    Settlement::Retry => "repairs_retry",
                    Settlement::Resolve => "repairs_resolve",
                };
                work.record(
                    action,
                    Some(place.0),
                    Some(place.1),
                    why,
                    (Value::Null, record),
                );
            }
            Ok(SettledMany {
                repairs: found.len(),
                unknown,
            })
        })
    }

    /// Forgets repairs that were resolved long ago.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_old_repairs(&self) -> Result<usize, StoreError> {
        let before = self.now() - Duration::days(KEPT_DAYS);
        self.store
            .write(|tx| tx.forget_repairs(before, MOST_RESOLVED))
    }
}

/// Whether a process is asked to do nothing.
pub(super) fn is_empty(order: &WriterOrder) -> bool {
    order.repairs.is_empty()
        && order.settled.is_empty()
        && !order.verified
        && order.consistency.is_none()
}

/// What there is to do about the stores of a rollout, for whichever process: looked at once for all that
/// report at the same time, as they do in a flip.
pub(super) struct Glance {
    record: StoresRecord,
    is_idle: bool,
}

impl Glance {
    /// Looks; `None` where there is no such rollout.
    pub(super) fn at(tx: &mut Tx<'_>, target: &Target) -> Result<Option<Glance>, StoreError> {
        let place = (&target.route, &target.environment);
        if tx.rollout(place.0, place.1)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Glance {
            record: tx.stores(place.0, place.1)?,
            is_idle: !tx.has_repair_work(place)? && tx.open_consistency_runs(place)?.is_empty(),
        }))
    }

    /// Whether nothing follows from what a process says: nothing is locked or written then.
    pub(super) fn is_quiet(&self, instance: &str, told: &WriterRoute, now: DateTime<Utc>) -> bool {
        let mut record = self.record.clone();
        self.is_idle
            && told.repairs.is_empty()
            && told.adopted.is_empty()
            && record.hear(instance, told.unverified, now) == (false, false)
    }
}

/// Takes what a process says of its repairs on one route, and gives what it is asked to do, if it asks:
/// one that says goodbye does not. `is_known` says whether a process still has what it has: it is there,
/// and was not declared gone.
pub(super) fn hear(
    tx: &mut Tx<'_>,
    target: &Target,
    (instance, told, asks): (&str, &WriterRoute, bool),
    is_known: impl Fn(&mut Tx<'_>, &str) -> Result<bool, StoreError>,
    now: DateTime<Utc>,
) -> Result<WriterOrder, StoreError> {
    let place = (&target.route, &target.environment);
    let mut order = WriterOrder {
        route: target.route.clone(),
        repairs: Vec::new(),
        settled: Vec::new(),
        verified: false,
        consistency: None,
    };
    let most = i64::try_from(MOST_KEYS).unwrap_or(i64::MAX);
    let unknown = if asks {
        strangers(tx, target, instance, is_known)?
    } else {
        Vec::new()
    };
    let before = tx.lock_stores(place.0, place.1)?;
    let mut record = before.clone();
    (_, order.verified) = record.hear(instance, told.unverified, now);
    adopt(tx, target, (instance, told), &mut record)?;
    take(tx, target, (instance, told), &mut record, now)?;
    if record != before {
        tx.put_stores(place.0, place.1, &record)?;
    }
    if !asks {
        return Ok(order);
    }
    let mut changed = Vec::new();
    for mut repair in tx.ordered_repairs(place, instance, most)? {
        match (repair.order, &repair.settled) {
            (Some(Ordered::Settled), Some(settled))
                if now > settled.at + Duration::minutes(TOLD_MINUTES) =>
            {
                repair.order = None;
                changed.push(repair);
            }
            (Some(Ordered::Settled), _) => order.settled.push(repair.key),
            _ => order.repairs.push(repair.wire(now)),
        }
    }
    for mut repair in tx.repairs_of(place, &unknown, now, MOST_HANDED)? {
        if repair.is_orphan(false, now) {
            order.repairs.push(repair.wire(now));
            repair.hand_to(instance, now);
            changed.push(repair);
        }
    }
    tx.put_repairs(place, &changed)?;
    order.consistency = hand_out(tx, target, instance, now)?;
    Ok(order)
}

/// Those who have repairs that are tried, and are not there.
fn strangers(
    tx: &mut Tx<'_>,
    target: &Target,
    instance: &str,
    is_known: impl Fn(&mut Tx<'_>, &str) -> Result<bool, StoreError>,
) -> Result<Vec<String>, StoreError> {
    let mut strangers = Vec::new();
    for holder in tx.repair_holders((&target.route, &target.environment))? {
        if holder != instance && !is_known(tx, &holder)? {
            strangers.push(holder);
        }
    }
    Ok(strangers)
}

/// A process has taken over the spools of others: their repairs are its own, and what they had under way
/// is known.
fn adopt(
    tx: &mut Tx<'_>,
    target: &Target,
    (instance, told): (&str, &WriterRoute),
    record: &mut StoresRecord,
) -> Result<(), StoreError> {
    if told.adopted.is_empty() {
        return Ok(());
    }
    let place = (&target.route, &target.environment);
    record
        .doubts
        .retain(|doubt| doubt.why != DoubtKind::WriterGone || !told.adopted.contains(&doubt.by));
    let others: Vec<String> = told
        .adopted
        .iter()
        .filter(|other| *other != instance)
        .cloned()
        .collect();
    let found = tx.unresolved_of(place, &others)?;
    let keys: Vec<&str> = found.iter().map(|repair| repair.key.as_str()).collect();
    let mine: BTreeSet<String> = tx
        .repairs_told(place, instance, &keys)?
        .into_iter()
        .filter(|repair| repair.instance == instance && repair.is_unresolved())
        .map(|repair| repair.key)
        .collect();
    let names: Vec<(String, String)> = found
        .iter()
        .map(|repair| (repair.key.clone(), repair.instance.clone()))
        .collect();
    let moved: Vec<KeptRepair> = found
        .into_iter()
        .filter(|repair| !mine.contains(&repair.key))
        .map(|repair| KeptRepair {
            instance: instance.to_owned(),
            // It says what came of each that was in the spool; of others it has to be told.
            order: Some(Ordered::Retry),
            lease: None,
            ..repair
        })
        .collect();
    tx.remove_repairs(place, &names)?;
    tx.put_repairs(place, &moved)
}

fn take(
    tx: &mut Tx<'_>,
    target: &Target,
    (instance, told): (&str, &WriterRoute),
    record: &mut StoresRecord,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let place = (&target.route, &target.environment);
    let repairs: Vec<_> = told
        .repairs
        .iter()
        .filter(|repair| is_key(&repair.key))
        .collect();
    if repairs.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = repairs.iter().map(|repair| repair.key.as_str()).collect();
    let known = tx.repairs_told(place, instance, &keys)?;
    let mut room = None;
    let (mut changed, mut taken_over) = (Vec::new(), Vec::new());
    for repair in repairs {
        let mut of_key = known.iter().filter(|kept| kept.key == repair.key);
        let mine = of_key.clone().find(|kept| kept.instance == instance);
        let Some(mut kept) = KeptRepair::told(mine, instance, repair, now) else {
            continue;
        };
        let leased = of_key.find(|kept| kept.instance != instance);
        if let Some(leased) = leased {
            // It has the repair of the one that is gone now.
            kept.first_at = kept.first_at.min(leased.first_at);
            taken_over.push((leased.key.clone(), leased.instance.clone()));
        }
        let is_more = kept.is_unresolved()
            && leased.is_none()
            && mine.is_none_or(|mine| !mine.is_unresolved());
        if is_more {
            let room = match &mut room {
                Some(room) => room,
                none => none.insert(MOST_OPEN.saturating_sub(tx.ledger_sum(place)?.unresolved())),
            };
            if *room == 0 {
                record.doubt(DoubtKind::LedgerFull, BY_SERVER, now);
                continue;
            }
            *room -= 1;
        }
        changed.push(kept);
    }
    tx.remove_repairs(place, &taken_over)?;
    tx.put_repairs(place, &changed)
}
