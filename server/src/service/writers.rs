//! The processes that write data routes: what they report, who they are, and who of them is gone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use switchover::{RouteKey, WriterAnswer, WriterReport, WriterRoute};

use crate::domain::environment::EnvironmentKey;
use crate::domain::lifecycle::Command;
use crate::domain::stores::DoubtKind;
use crate::domain::text::Reason;
use crate::domain::writer::{GONE_KEPT_DAYS, MOST_WRITERS, Writer};
use crate::service::repairs::Glance;
use crate::service::rollout::load;
use crate::service::stores::mark_unverified;
use crate::service::{Answer, Ctx, Failure, Render, Services, Target, repairs};
use crate::store::{StoreError, Tx, WriterKey};

/// That a process was seen is kept at most this often; in seconds.
const SEEN_KEPT_EVERY: i64 = 4;
/// For so long a process that comes back is told that it had been declared gone: an answer may be lost;
/// in seconds.
const RETURN_TOLD: i64 = 15;

/// What a process reports, and where.
#[derive(Clone, Debug)]
pub struct HeardWriter {
    /// The environment of its key.
    pub environment: EnvironmentKey,
    /// The report.
    pub report: WriterReport,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenWriter {
    /// It is durable.
    Taken(WriterAnswer),
    /// As many processes as are kept write the route: nothing of it is kept.
    TooMany,
}

/// The processes that write a route.
#[derive(Clone, Debug)]
pub struct Writers {
    /// By identity.
    pub writers: Vec<Writer>,
    /// Now, by the server's clock.
    pub now: DateTime<Utc>,
}

impl Services {
    /// Takes what processes have reported, all of it in one transaction; then ends the flips that these
    /// were waiting for. Answers in their order.
    ///
    /// # Errors
    /// When the database cannot be used: then nothing is taken.
    pub fn take_writers(&self, heard: &[HeardWriter]) -> Result<Vec<TakenWriter>, StoreError> {
        self.store.write_quietly::<_, StoreError>(|tx| {
            let now = self.now();
            let mut taking = Taking::load(tx, heard, now)?;
            let mut taken = Vec::with_capacity(heard.len());
            for one in heard {
                taken.push(taking.take(tx, one)?);
            }
            taking.save(tx)?;
            hear_repairs(tx, heard, &mut taken, now)?;
            Ok(taken)
        })
    }

    /// Ends the flips that a report may have been the last to wait for.
    pub fn settle_after(&self, heard: &[HeardWriter]) {
        let mut targets = BTreeSet::new();
        for one in heard {
            for route in &one.report.routes {
                if one.report.ends || route.drained.is_some() || !route.adopted.is_empty() {
                    targets.insert(Target {
                        route: route.route.clone(),
                        environment: one.environment.clone(),
                    });
                }
            }
        }
        for target in targets {
            if let Err(failure) = self.settle(&target) {
                let (route, environment) = (&target.route, &target.environment);
                tracing::warn!(%route, %environment, %failure, "a flip is still under way");
            }
        }
    }

    /// The processes that write a route in an environment, by identity, after one and at most so many.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn writers(&self, target: &Target, after: &str, most: usize) -> Result<Writers, Failure> {
        let now = self.now();
        let place = (&target.route, &target.environment);
        let writers = self.store.read::<_, Failure>(|tx| {
            load(tx, target)?;
            Ok(tx.writers_of(place, after, most)?)
        })?;
        Ok(Writers { writers, now })
    }

    /// Puts on record that a process is gone, so that flips do not wait for it any more. Whoever says so
    /// vouches that it does not write: it is known again when it reports.
    ///
    /// # Errors
    /// When there is no such rollout or process.
    pub fn declare_gone(
        &self,
        ctx: &Ctx,
        (target, instance): (&Target, &str),
        reason: &Reason,
        render: Render<'_, Writer>,
    ) -> Result<Answer, Failure> {
        let answer = self.change(ctx, render, |work| {
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let place = (&target.route, &target.environment);
            let found = work.tx.writer(place, instance)?;
            let mut writer = found.ok_or_else(|| Failure::missing("writer", instance))?;
            if writer.gone.is_some() {
                return Ok(writer);
            }
            if !writer.has_vanished(work.now) {
                return Err(Failure::Conflict(format!(
                    "{} (instance {instance}) has reported within the last 15 seconds: it is not gone; \
                     end the process first, and wait a moment",
                    writer.name
                )));
            }
            writer.declare_gone(work.now, &work.ctx.actor.subject, reason);
            let key = (
                target.environment.clone(),
                target.route.clone(),
                writer.instance.clone(),
            );
            work.tx.put_writers(&[(&key, &writer)])?;
            // Where it lives after all, stores with a fence refuse it from now on. During a hold they will
            // with its end.
            let (route, environment, rollout) = load(work.tx, target)?;
            if rollout.is_doubled(&route) && rollout.data.hold.is_none() {
                let order = (&Command::RaiseGeneration, reason.as_str());
                work.run_on(rollout, &route, &environment, order)?;
            }
            // What it had under way is not known, until another process has taken over its spool.
            let doubt = (DoubtKind::WriterGone, instance);
            mark_unverified(work.tx, target, doubt, work.now)?;
            let told = |is_gone: bool| {
                json!({
                    "instance": writer.instance,
                    "name": writer.name,
                    "seen_at": writer.seen_at,
                    "gone": is_gone,
                })
            };
            let place = (Some(&target.route), Some(&target.environment));
            work.record(
                "writer_gone",
                place.0,
                place.1,
                reason.as_str(),
                (told(false), told(true)),
            );
            Ok(writer)
        })?;
        if let Err(failure) = self.settle(target) {
            tracing::warn!(route = %target.route, %failure, "a flip is still under way");
        }
        Ok(answer)
    }

    /// Forgets the processes that were declared gone long ago.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_gone_writers(&self) -> Result<usize, StoreError> {
        let before = self.now() - Duration::days(GONE_KEPT_DAYS);
        self.store
            .write_quietly(|tx| tx.forget_gone_writers(before))
    }
}

/// A group of reports that is being taken.
struct Taking {
    now: DateTime<Utc>,
    known: BTreeMap<WriterKey, Writer>,
    changed: BTreeSet<WriterKey>,
    /// The revision of each environment.
    revisions: BTreeMap<EnvironmentKey, u64>,
    /// How many processes are kept of the routes that new ones have come to; `None` of what is no
    /// rollout.
    kept: BTreeMap<(EnvironmentKey, RouteKey), Option<u64>>,
}

impl Taking {
    fn load(
        tx: &mut Tx<'_>,
        heard: &[HeardWriter],
        now: DateTime<Utc>,
    ) -> Result<Taking, StoreError> {
        let keys: BTreeSet<WriterKey> = heard
            .iter()
            .flat_map(|one| one.report.routes.iter().map(|route| key(one, route)))
            .collect();
        let mut known = BTreeMap::new();
        if !keys.is_empty() {
            known.extend(tx.writers_by_key(&keys)?);
        }
        // Who comes or goes is seen by a flip as a whole or not at all: a flip that has not waited for
        // a process is in the revision that the process is told.
        let comes_or_goes = |one: &&HeardWriter| {
            let mut routes = one.report.routes.iter();
            one.report.ends
                || routes.any(|route| {
                    let known = known.get(&key(one, route));
                    let adopts = !route.adopted.is_empty();
                    adopts || known.is_none_or(|known: &Writer| known.gone.is_some())
                })
        };
        let locked: BTreeSet<&EnvironmentKey> = heard
            .iter()
            .filter(comes_or_goes)
            .map(|one| &one.environment)
            .collect();
        let is_anybody = !locked.is_empty();
        for environment in locked {
            tx.lock_environment(environment)?;
        }
        if is_anybody {
            // They may have been declared gone, or been added, before the lock was there.
            known = tx.writers_by_key(&keys)?.into_iter().collect();
        }
        let places: BTreeSet<&EnvironmentKey> = heard.iter().map(|one| &one.environment).collect();
        let mut revisions = BTreeMap::new();
        for place in places {
            if let Some(found) = tx.environment(place)? {
                revisions.insert(place.clone(), found.revision);
            }
        }
        Ok(Taking {
            now,
            known,
            changed: BTreeSet::new(),
            revisions,
            kept: BTreeMap::new(),
        })
    }

    fn take(&mut self, tx: &mut Tx<'_>, one: &HeardWriter) -> Result<TakenWriter, StoreError> {
        let mut answer = WriterAnswer {
            revision: self.revisions.get(&one.environment).copied().unwrap_or(0),
            ..WriterAnswer::default()
        };
        if one.report.ends {
            tx.remove_writer(&one.environment, &one.report.instance)?;
            let is_its = |key: &WriterKey| key.0 == one.environment && key.2 == one.report.instance;
            self.known.retain(|key, _| !is_its(key));
            self.changed.retain(|key| !is_its(key));
            return Ok(TakenWriter::Taken(answer));
        }
        for route in &one.report.routes {
            let key = key(one, route);
            if !self.known.contains_key(&key) {
                match self.room(tx, &key)? {
                    None => continue,
                    Some(false) => return Ok(TakenWriter::TooMany),
                    Some(true) => {}
                }
            }
            for other in route.adopted.iter().filter(|other| **other != key.2) {
                // It is gone, and whoever tells of it is waited for in its place.
                let gone = (key.0.clone(), key.1.clone(), other.clone());
                tx.remove_writer_of(&gone)?;
                self.known.remove(&gone);
                self.changed.remove(&gone);
            }
            answer.was_gone |= self.keep(key, &one.report, route);
        }
        Ok(TakenWriter::Taken(answer))
    }

    /// Whether one more process may write a route; `None` where there is no such rollout.
    fn room(
        &mut self,
        tx: &mut Tx<'_>,
        (environment, route, _): &WriterKey,
    ) -> Result<Option<bool>, StoreError> {
        let place = (environment.clone(), route.clone());
        let kept = match self.kept.get(&place) {
            Some(kept) => *kept,
            None => match tx.rollout(route, environment)? {
                None => None,
                Some(_) => Some(tx.count_writers((route, environment))?),
            },
        };
        let most = u64::try_from(MOST_WRITERS).unwrap_or(u64::MAX);
        let has_room = kept.map(|kept| kept < most);
        let next = kept.map(|kept| kept + u64::from(kept < most));
        self.kept.insert(place, next);
        Ok(has_room)
    }

    /// Keeps what a process says of itself; whether it is to be told that it had been declared gone.
    fn keep(&mut self, key: WriterKey, report: &WriterReport, route: &WriterRoute) -> bool {
        let now = self.now;
        let before = self.known.get(&key);
        let mut writer = before.cloned().unwrap_or_else(|| Writer {
            instance: report.instance.clone(),
            name: report.name.clone(),
            joined_at: now,
            seen_at: now,
            generation: 0,
            drained: None,
            fenced: false,
            unverified: None,
            open_repairs: 0,
            gone: None,
            returned_at: None,
        });
        if writer.gone.take().is_some() {
            writer.returned_at = Some(now);
        }
        writer.name.clone_from(&report.name);
        // A report that was overtaken takes nothing back.
        writer.generation = writer.generation.max(route.generation);
        writer.drained = writer.drained.max(route.drained);
        writer.fenced = route.fenced;
        writer.unverified = route.unverified;
        writer.open_repairs = route.open_repairs;
        let since = now.signed_duration_since(writer.seen_at).num_seconds();
        if before != Some(&writer) || since >= SEEN_KEPT_EVERY {
            writer.seen_at = writer.seen_at.max(now);
            self.changed.insert(key.clone());
        }
        let returned = writer.returned_at;
        self.known.insert(key, writer);
        returned.is_some_and(|at| now.signed_duration_since(at).num_seconds() < RETURN_TOLD)
    }

    fn save(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let changed: Vec<(&WriterKey, &Writer)> = self
            .known
            .iter()
            .filter(|(key, _)| self.changed.contains(*key))
            .collect();
        tx.put_writers(&changed)
    }
}

/// What they say of their repairs, and what they are asked to do: in the order in which all lock the
/// records of stores.
fn hear_repairs(
    tx: &mut Tx<'_>,
    heard: &[HeardWriter],
    taken: &mut [TakenWriter],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let routes = |(index, one): (usize, &'_ HeardWriter)| {
        let routes = one.report.routes.iter().enumerate();
        routes
            .map(|(place, route)| {
                let target = Target {
                    route: route.route.clone(),
                    environment: one.environment.clone(),
                };
                (target.environment.clone(), target, index, place)
            })
            .collect::<Vec<_>>()
    };
    let mut told: Vec<_> = heard.iter().enumerate().flat_map(routes).collect();
    told.sort();
    let mut seen: Option<(Target, Option<Glance>)> = None;
    for (_, target, index, place) in told {
        let (Some(one), Some(TakenWriter::Taken(answer))) =
            (heard.get(index), taken.get_mut(index))
        else {
            continue;
        };
        let Some(route) = one.report.routes.get(place) else {
            continue;
        };
        if seen.as_ref().is_none_or(|(of, _)| *of != target) {
            seen = Some((target.clone(), Glance::at(tx, &target)?));
        }
        let glance = seen.as_ref().and_then(|(_, glance)| glance.as_ref());
        if glance.is_none_or(|glance| glance.is_quiet(&one.report.instance, route, now)) {
            continue;
        }
        let is_known = |tx: &mut Tx<'_>, instance: &str| {
            let found = tx.writer((&target.route, &target.environment), instance)?;
            Ok(found.is_some_and(|writer| writer.gone.is_none()))
        };
        let instance = one.report.instance.as_str();
        let asks = !one.report.ends;
        let order = repairs::hear(tx, &target, (instance, route, asks), is_known, now)?;
        if asks && !repairs::is_empty(&order) {
            answer.orders.push(order);
        }
        // It has changed what the next one would see.
        seen = None;
    }
    Ok(())
}

fn key(one: &HeardWriter, route: &WriterRoute) -> WriterKey {
    (
        one.environment.clone(),
        route.route.clone(),
        one.report.instance.clone(),
    )
}
