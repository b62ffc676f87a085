//! Backfills: what processes do, and what people order.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use switchover::{
    BackfillOrder, BackfillProgress, BackfillStart, BackfillState, Overrides, Path, decide,
};

use crate::domain::actor::Actor;
use crate::domain::backfill::{
    Act, BATCH, Backfill, Copying, LEASE_SECONDS, Said, Standing, Taken,
};
use crate::domain::environment::EnvironmentKey;
use crate::domain::flip::VANISHED_AFTER;
use crate::domain::repair::{KeptRepair, MOST_OPEN, is_key};
use crate::domain::stores::DoubtKind;
use crate::domain::text::Reason;
use crate::service::consistency::first_comparison;
use crate::service::rollout::{Target, load, unanswered};
use crate::service::stores::{BY_SERVER, from_nothing, load_data, settle_doubts};
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::StoreError;

/// A process that only asks is written down as heard of so often.
const HEARD_SECONDS: i64 = 5;

/// What a backfill is made for, and by whom.
struct Wish<'a> {
    target: Target,
    start: &'a BackfillStart,
}

impl Services {
    /// A process begins a backfill, or goes on with the one that was begun.
    ///
    /// # Errors
    /// When there is no such data route, not every write is copied, or another process runs it.
    pub fn start_backfill(
        &self,
        environment: &EnvironmentKey,
        start: &BackfillStart,
    ) -> Result<BackfillOrder, Failure> {
        if !BATCH.contains(&start.batch) {
            let detail = format!("must be {} to {}", BATCH.start(), BATCH.end());
            return Err(Failure::invalid("batch", detail));
        }
        let wish = Wish {
            target: Target {
                route: start.route.clone(),
                environment: environment.clone(),
            },
            start,
        };
        let mut order = None;
        let ctx = Ctx::of(Actor::system());
        self.change(&ctx, &unanswered, |work| {
            order = Some(begin(work, &wish)?);
            Ok(())
        })?;
        order.ok_or(Failure::JustDone)
    }

    /// Takes what a process has done of a backfill, or answers how it stands.
    ///
    /// # Errors
    /// When the database cannot be used, or it says what cannot be.
    pub fn take_backfill(
        &self,
        environment: &EnvironmentKey,
        id: &str,
        progress: &BackfillProgress,
    ) -> Result<BackfillOrder, Failure> {
        check(progress)?;
        let found = self
            .store
            .read::<_, StoreError>(|tx| tx.backfill(id))?
            .filter(|found| found.environment == *environment);
        let Some(known) = found else {
            return Ok(void(id));
        };
        if let Some(order) = self.glance(&known, progress) {
            return Ok(order);
        }
        let failed = self.authorities(&known, &progress.failed);
        let target = Target {
            route: known.route,
            environment: known.environment,
        };
        let mut order = None;
        let ctx = Ctx::of(Actor::system());
        self.change(&ctx, &unanswered, |work| {
            order = Some(advance(work, &target, (id, progress), &failed)?);
            Ok(())
        })?;
        order.ok_or(Failure::JustDone)
    }

    /// The answer to who only asks, where nothing is to be written.
    fn glance(&self, known: &Backfill, progress: &BackfillProgress) -> Option<BackfillOrder> {
        let asks = progress.cursor.is_none() && !progress.complete;
        let heard = self.now() - known.heard_at < Duration::seconds(HEARD_SECONDS);
        let others = known.runner != progress.instance || !known.is_open();
        (others || (asks && heard)).then(|| known.order_for(&progress.instance))
    }

    /// Which side is written of each of these keys, as it is published.
    fn authorities(&self, known: &Backfill, keys: &[String]) -> Vec<(String, Path)> {
        if keys.is_empty() {
            return Vec::new();
        }
        let published = self.hub.current(&known.environment);
        let table = published.and_then(|published| published.table().ok());
        let route = known.route.as_str();
        let written = |key: &str| {
            table.as_ref().map_or(Path::Old, |table| {
                decide(table, route, &Overrides::none(), Some(key)).path
            })
        };
        keys.iter().map(|key| (key.clone(), written(key))).collect()
    }

    /// The backfills of a rollout, latest first, before one and at most so many.
    ///
    /// # Errors
    /// When there is no such rollout, or it has no two stores.
    pub fn backfills(
        &self,
        target: &Target,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Backfill>, Failure> {
        self.store.read(|tx| {
            load_data(tx, target)?;
            Ok(tx.backfills((&target.route, &target.environment), before, limit)?)
        })
    }

    /// Pauses, resumes or resets a backfill.
    ///
    /// # Errors
    /// When there is none of this name here, or it is over.
    pub fn order_backfill(
        &self,
        ctx: &Ctx,
        (target, id): (&Target, &str),
        (act, reason): (Act, &Reason),
        render: Render<'_, Backfill>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            load_data(work.tx, target)?;
            work.tx.lock_stores(&target.route, &target.environment)?;
            work.refresh();
            let backfill = work.tx.backfill(id)?.filter(|found| {
                found.route == target.route && found.environment == target.environment
            });
            let mut backfill = backfill.ok_or_else(|| Failure::missing("backfill", id))?;
            let said = Said {
                at: work.now,
                by: work.ctx.actor.subject.clone(),
                reason: reason.to_string(),
            };
            order(work, &mut backfill, act, said)?;
            Ok(backfill)
        })
    }
}

/// Does what is ordered to a backfill whose stores are locked; whether anything changed.
pub(super) fn order(
    work: &mut Work<'_, '_>,
    backfill: &mut Backfill,
    act: Act,
    said: Said,
) -> Result<bool, Failure> {
    let before = described(backfill);
    let reason = said.reason.clone();
    if !backfill.act(act, said).map_err(Failure::Conflict)? {
        return Ok(false);
    }
    work.tx.put_backfill(backfill)?;
    let place = (Some(&backfill.route), Some(&backfill.environment));
    let record = (before, described(backfill));
    work.record(act.action(), place.0, place.1, &reason, record);
    Ok(true)
}

/// A process that has not heard of the mirror yet writes without a copy, behind the back of a backfill.
fn everybody_has_heard(
    work: &mut Work<'_, '_>,
    target: &Target,
    (instance, copying): (&str, &Copying),
) -> Result<(), Failure> {
    let place = (&target.route, &target.environment);
    let known = work.tx.writing(place, work.now)?.known;
    let is_one = work.tx.writer(place, instance)?.is_some();
    let others = known.saturating_sub(u64::from(is_one));
    let heard = copying.since.map(|since| since + VANISHED_AFTER);
    match heard.filter(|heard| others > 0 && work.now < *heard) {
        None => Ok(()),
        Some(heard) => Err(Failure::Conflict(format!(
            "{others} other processes write `{}`, and may not have heard yet that every write is to be \
             copied: begin the backfill after {}",
            target.route,
            heard.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        ))),
    }
}

fn begin(work: &mut Work<'_, '_>, wish: &Wish<'_>) -> Result<BackfillOrder, Failure> {
    let (target, start) = (&wish.target, wish.start);
    load_data(work.tx, target)?;
    let record = work.tx.lock_stores(&target.route, &target.environment)?;
    work.refresh();
    let (_, _, rollout) = load(work.tx, target)?;
    let copying = Copying::of(&rollout);
    if !copying.covers(work.now) {
        return Err(Failure::Conflict(not_copied(target, rollout.mirror.shares)));
    }
    let now = work.now;
    let instance = start.instance.as_str();
    everybody_has_heard(work, target, (instance, &copying))?;
    let joins = (instance, start.batch, start.total);
    if let Some(mut last) = work
        .tx
        .last_backfill((&target.route, &target.environment))?
    {
        let counts = copying.covers(last.begun_at) && !start.anew;
        if counts && last.is_held_against(instance, now) {
            return Err(Failure::Conflict(held(&last, now)));
        }
        if counts && last.is_open() {
            last.join(joins, now);
            work.tx.put_backfill(&last)?;
            return Ok(last.order_for(instance));
        }
        let doubted = record.doubted_at();
        let is_proof = doubted.is_none_or(|doubted| doubted < last.begun_at);
        if counts && last.state == Standing::Complete && is_proof {
            return Ok(last.order_for(instance));
        }
        if last.is_open() {
            let reason = if start.anew {
                "the application begins anew"
            } else {
                "writes were not all copied since it began"
            };
            order(work, &mut last, Act::Reset, by_server(reason, now))?;
        }
    }
    let id = uuid::Uuid::now_v7().to_string();
    let place = (target.route.clone(), target.environment.clone());
    let backfill = Backfill::begin(id, place, joins, now);
    work.tx.put_backfill(&backfill)?;
    record_end(work, "backfill_start", &backfill, "the application runs it");
    Ok(backfill.order_for(instance))
}

fn advance(
    work: &mut Work<'_, '_>,
    target: &Target,
    (id, progress): (&str, &BackfillProgress),
    failed: &[(String, Path)],
) -> Result<BackfillOrder, Failure> {
    let (_, _, rollout) = load(work.tx, target)?;
    let place = (&target.route, &target.environment);
    let mut record = work.tx.lock_stores(place.0, place.1)?;
    work.refresh();
    let now = work.now;
    let Some(mut backfill) = work.tx.backfill(id)? else {
        return Ok(void(id));
    };
    let instance = progress.instance.as_str();
    if backfill.is_open() && !Copying::of(&rollout).covers(backfill.begun_at) {
        let reason = "writes were not all copied since it began";
        order(work, &mut backfill, Act::Reset, by_server(reason, now))?;
        return Ok(backfill.order_for(instance));
    }
    let was_open = backfill.is_open() && backfill.runner == instance;
    let cursor = backfill.cursor.clone();
    let taken = backfill.take(progress, now);
    if was_open {
        work.tx.put_backfill(&backfill)?;
    }
    if taken == Taken::Counted && backfill.cursor != cursor && !failed.is_empty() {
        let room = MOST_OPEN.saturating_sub(work.tx.ledger_sum(place)?.unresolved());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let repairs: Vec<KeptRepair> = failed
            .iter()
            .take(room)
            .map(|(key, written)| KeptRepair::of_backfill(id, key, *written, now))
            .collect();
        work.tx.put_repairs(place, &repairs)?;
        if failed.len() > room {
            record.doubt(DoubtKind::LedgerFull, BY_SERVER, now);
            work.tx.put_stores(place.0, place.1, &record)?;
        }
    }
    if taken == Taken::Counted && backfill.state == Standing::Complete {
        record_end(work, "backfill_complete", &backfill, "all keys are done");
        settle_doubts(work, target, &mut record, Some(&backfill));
        work.tx.put_stores(place.0, place.1, &record)?;
        first_comparison(work, target, &record)?;
    }
    Ok(backfill.order_for(instance))
}

fn record_end(work: &mut Work<'_, '_>, action: &'static str, backfill: &Backfill, why: &str) {
    let place = (Some(&backfill.route), Some(&backfill.environment));
    work.record(
        action,
        place.0,
        place.1,
        why,
        from_nothing(described(backfill)),
    );
}

fn described(backfill: &Backfill) -> Value {
    json!({
        "backfill": backfill.id,
        "state": backfill.state,
        "runner": backfill.runner,
        "keys": backfill.keys,
        "copied": backfill.copied,
        "failed": backfill.failed,
        "begun_at": backfill.begun_at,
    })
}

fn by_server(reason: &str, now: DateTime<Utc>) -> Said {
    Said {
        at: now,
        by: BY_SERVER.to_owned(),
        reason: reason.to_owned(),
    }
}

fn check(progress: &BackfillProgress) -> Result<(), Failure> {
    let keys = progress.cursor.iter().chain(&progress.failed);
    if !keys.into_iter().all(|key| is_key(key)) {
        return Err(Failure::invalid("cursor", "a key has 1 to 256 bytes"));
    }
    let failed = u64::try_from(progress.failed.len()).unwrap_or(u64::MAX);
    let most = u64::from(*BATCH.end());
    if progress.keys > most || progress.copied.saturating_add(failed) > progress.keys {
        let detail = format!("are at most {most}, and those copied and failed are among them");
        return Err(Failure::invalid("keys", detail));
    }
    Ok(())
}

/// What is not on record is void: a database that was restored knows less than the process.
fn void(id: &str) -> BackfillOrder {
    BackfillOrder {
        id: id.to_owned(),
        state: BackfillState::Reset,
        cursor: None,
        keys: 0,
        copied: 0,
        failed: 0,
        total: None,
    }
}

fn not_copied(target: &Target, shares: switchover::Mirror) -> String {
    let (route, environment) = (&target.route, &target.environment);
    format!(
        "the mirror of `{route}` copies {} of the writes in {environment}: without copies of all new \
         writes a backfill never ends. Set it first: switchover mirror {route} {environment} --read {} \
         --write 100 --reason …",
        shares.write,
        f64::from(shares.read.thousandths()) / 1_000.0
    )
}

fn held(backfill: &Backfill, now: DateTime<Utc>) -> String {
    format!(
        "`{}` runs the backfill of `{}` in {}, and was heard of {} s ago: another process can go on \
         {LEASE_SECONDS} s after that",
        backfill.runner,
        backfill.route,
        backfill.environment,
        (now - backfill.heard_at).num_seconds()
    )
}
