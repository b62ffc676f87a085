//! Consistency runs: ordered by people and the schedule, answered by processes, heard by guards.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use switchover::{ConsistencyKind, ConsistencyOrder, ConsistencyResult};

use crate::domain::actor::Actor;
use crate::domain::backfill::{Act, Copying, Said, Standing};
use crate::domain::consistency::{
    self, Findings, Origin, Run, RunState, SAMPLE, SAMPLES, Schedule,
};
use crate::domain::environment::EnvironmentKey;
use crate::domain::evidence::{Evidence, EvidenceKind};
use crate::domain::guard::{Due, GuardReport};
use crate::domain::policy::{Guard, Measure, Policy};
use crate::domain::repair::is_key;
use crate::domain::rollout::Rollout;
use crate::domain::stores::{Scheduled, StoresRecord};
use crate::domain::text::Reason;
use crate::service::evidence::MOST_EVIDENCE;
use crate::service::rollout::{Target, unanswered};
use crate::service::route::lock_rollouts;
use crate::service::stores::{BY_SERVER, from_nothing, load_data, settle_doubts};
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services, backfill};
use crate::store::{StoreError, Tx};

/// Pieces of evidence of one rollout that runs leave behind.
const MOST_DRAWN: usize = 100;
/// Without a schedule a run says something for two days.
const WITHOUT_SCHEDULE: Duration = Duration::hours(48);

/// Which run somebody wants.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// How the stores are to be compared.
    pub kind: ConsistencyKind,
    /// How many keys a sample has.
    pub sample: Option<u64>,
    /// Why.
    pub reason: Reason,
}

impl Services {
    /// Orders a consistency run: the next process that writes the route takes it.
    ///
    /// # Errors
    /// When there is no such data route, or one like it waits already.
    pub fn order_consistency(
        &self,
        ctx: &Ctx,
        (target, new): (&Target, &NewRun),
        render: Render<'_, Run>,
    ) -> Result<Answer, Failure> {
        let sample = read_sample(new.sample)?;
        self.change(ctx, render, |work| {
            load_data(work.tx, target)?;
            work.tx.lock_stores(&target.route, &target.environment)?;
            work.refresh();
            let open = work
                .tx
                .open_consistency_runs((&target.route, &target.environment))?;
            if open.iter().any(|run| run.kind == new.kind) {
                return Err(Failure::Conflict(format!(
                    "a {} run of `{}` in {} is already asked for: see `switchover consistency list \
                     {} {}`",
                    new.kind, target.route, target.environment, target.route, target.environment
                )));
            }
            let (by, why) = (work.ctx.actor.subject.clone(), new.reason.as_str());
            let run = Run {
                reason: why.to_owned(),
                ..asked(target, (new.kind, sample), (Origin::Person, &by), work.now)
            };
            work.tx.put_consistency_run(&run)?;
            let place = (Some(&target.route), Some(&target.environment));
            let after = json!({ "run": run.id, "kind": run.kind, "sample": run.sample });
            work.record(
                "consistency_run",
                place.0,
                place.1,
                why,
                from_nothing(after),
            );
            Ok(run)
        })
    }

    /// The consistency runs of a rollout, latest first, before one and at most so many.
    ///
    /// # Errors
    /// When there is no such rollout, or it has no two stores.
    pub fn consistency_runs(
        &self,
        target: &Target,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Run>, Failure> {
        self.store.read(|tx| {
            load_data(tx, target)?;
            let place = (&target.route, &target.environment);
            Ok(tx.consistency_runs(place, before, limit)?)
        })
    }

    /// Sets when rows are compared by themselves.
    ///
    /// # Errors
    /// When there is no such data route.
    pub fn schedule_consistency(
        &self,
        ctx: &Ctx,
        (target, schedule, reason): (&Target, Scheduled, &Reason),
        render: Render<'_, Scheduled>,
    ) -> Result<Answer, Failure> {
        if let Scheduled::Set(schedule) = &schedule {
            read_sample(Some(schedule.sample))?;
        }
        self.change(ctx, render, |work| {
            load_data(work.tx, target)?;
            let mut record = work.tx.lock_stores(&target.route, &target.environment)?;
            work.refresh();
            if record.schedule != schedule {
                let before = json!({ "schedule": record.schedule });
                let after = json!({ "schedule": schedule });
                record.schedule = schedule;
                let due = match schedule {
                    Scheduled::Never => None,
                    Scheduled::Set(_) | Scheduled::ByPolicy => Some(work.now),
                };
                work.tx
                    .put_stores(&target.route, &target.environment, &record)?;
                work.tx
                    .set_comparison_due(&target.route, &target.environment, due)?;
                let place = (Some(&target.route), Some(&target.environment));
                let why = reason.as_str();
                work.record(
                    "consistency_schedule",
                    place.0,
                    place.1,
                    why,
                    (before, after),
                );
            }
            Ok(schedule)
        })
    }

    /// Takes what a process found when it compared the rows, once; guards act on it.
    ///
    /// # Errors
    /// When there is no such data route, or it says what cannot be.
    pub fn take_consistency(
        &self,
        environment: &EnvironmentKey,
        result: &ConsistencyResult,
    ) -> Result<(), Failure> {
        check(result)?;
        let target = Target {
            route: result.route.clone(),
            environment: environment.clone(),
        };
        let mut taken = None;
        self.change(&Ctx::of(Actor::system()), &unanswered, |work| {
            taken = take(work, &target, result)?;
            Ok(())
        })?;
        if let Some(run) = taken.filter(is_to_be_acted_on) {
            // Else the conductor's next look does it.
            if let Err(failure) = self.act_on(&run) {
                let (route, environment) = (&run.route, &run.environment);
                tracing::warn!(%route, %environment, %failure, "guards hear of a run later");
            }
        }
        Ok(())
    }

    /// Asks for the runs that the schedules say, gives up those that nobody answers, and lets guards
    /// act on what was found. Whoever looks, and how often, makes no difference.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn tend_comparisons(&self) -> Result<(), StoreError> {
        let now = self.now();
        let (due, runs) = self.store.read_first::<_, StoreError>(|tx| {
            Ok((tx.comparisons_due(now)?, tx.consistency_runs_due()?))
        })?;
        let ctx = Ctx::of(Actor::system());
        for (route, environment) in due {
            let target = Target { route, environment };
            let done = self.change(&ctx, &unanswered, |work| compare_due(work, &target));
            told(&target, done.map(drop));
        }
        for run in runs {
            let target = Target {
                route: run.route.clone(),
                environment: run.environment.clone(),
            };
            if is_to_be_acted_on(&run) {
                told(&target, self.act_on(&run));
            } else if run.clone().give_up(now) {
                let done = self.change(&ctx, &unanswered, |work| {
                    work.tx.lock_stores(&target.route, &target.environment)?;
                    if let Some(mut run) = work.tx.consistency_run(&run.id)?
                        && run.give_up(work.now)
                    {
                        work.tx.put_consistency_run(&run)?;
                    }
                    Ok(())
                });
                told(&target, done.map(drop));
            }
        }
        Ok(())
    }

    /// Lets guards act on a run, and writes down that they have.
    fn act_on(&self, run: &Run) -> Result<(), Failure> {
        let target = Target {
            route: run.route.clone(),
            environment: run.environment.clone(),
        };
        let guarded = self.guarded(&[target.clone()].into())?.remove(&target);
        if let (Some(guarded), Some(findings)) = (guarded, run.findings()) {
            for guard in beyond(&guarded.guards, findings) {
                let seen = &findings.compared;
                let due = Due {
                    guard: guard.clone(),
                    epoch: u64::try_from(seen.at.timestamp_micros()).unwrap_or_default(),
                    published: guarded.published,
                    instance: None,
                    detail: format!("{}, limit {} %", seen.told(), guard.limit * 100.0),
                    numbers: consistency::numbers(guard, seen, self.now()),
                };
                self.carry_out(&target, &due)?;
            }
        }
        self.change(&Ctx::of(Actor::system()), &unanswered, |work| {
            work.tx.lock_stores(&target.route, &target.environment)?;
            if let Some(mut run) = work.tx.consistency_run(&run.id)?
                && let RunState::Done(findings) = &mut run.state
            {
                findings.acted = true;
                work.tx.put_consistency_run(&run)?;
            }
            Ok(())
        })
        .map(drop)
    }
}

/// Answers guards on consistency by what is on record: no caller reports it call by call.
pub(super) fn answer_by_record(
    tx: &mut Tx<'_>,
    target: &Target,
    reports: &mut [GuardReport],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let asks = |report: &&mut GuardReport| report.guard.measure == Measure::Inconsistency;
    if !reports.iter_mut().any(|report| asks(&report)) {
        return Ok(());
    }
    let record = tx.stores(&target.route, &target.environment)?;
    let rollout = tx.rollout(&target.route, &target.environment)?;
    let since = rollout.and_then(|rollout| rollout.data.mirrored_since);
    let window = match record.schedule {
        Scheduled::Set(schedule) => schedule.every.period() * 2,
        Scheduled::ByPolicy | Scheduled::Never => WITHOUT_SCHEDULE,
    };
    for report in reports.iter_mut().filter(asks) {
        let known = (since, window);
        *report = consistency::answer(&report.guard, record.latest.as_ref(), known, now);
    }
    Ok(())
}

/// A run for a process that is there, if one waits; runs that nobody answers are given up.
pub(super) fn hand_out(
    tx: &mut Tx<'_>,
    target: &Target,
    instance: &str,
    now: DateTime<Utc>,
) -> Result<Option<ConsistencyOrder>, StoreError> {
    for mut run in tx.open_consistency_runs((&target.route, &target.environment))? {
        if run.give_up(now) {
            tx.put_consistency_run(&run)?;
        } else if let Some(order) = run.hand_to(instance, now) {
            tx.put_consistency_run(&run)?;
            return Ok(Some(order));
        }
    }
    Ok(None)
}

/// Once a backfill is complete, rows can be compared by the policy's schedule.
pub(super) fn first_comparison(
    work: &mut Work<'_, '_>,
    target: &Target,
    record: &StoresRecord,
) -> Result<(), Failure> {
    let (route, rollout) = load_data(work.tx, target)?;
    let policy = work.shared.policy(work.tx, &route)?;
    let place = (&target.route, &target.environment);
    let is_due = record.schedule == Scheduled::ByPolicy
        && in_effect(record, &policy, &rollout, true).is_some();
    if is_due && work.tx.comparison_due(place.0, place.1)?.is_none() {
        work.tx
            .set_comparison_due(place.0, place.1, Some(work.now))?;
    }
    Ok(())
}

/// The schedule that is in effect: none while nothing is copied.
fn in_effect(
    record: &StoresRecord,
    policy: &Policy,
    rollout: &Rollout,
    is_backfilled: bool,
) -> Option<Schedule> {
    rollout.data.mirrored_since?;
    match record.schedule {
        Scheduled::Set(schedule) => Some(schedule),
        Scheduled::Never => None,
        Scheduled::ByPolicy => {
            let mut guards = policy.guards.iter();
            let watches = guards.any(|guard| guard.measure == Measure::Inconsistency);
            (watches && is_backfilled).then_some(Schedule::BY_POLICY)
        }
    }
}

fn compare_due(work: &mut Work<'_, '_>, target: &Target) -> Result<(), Failure> {
    let place = (&target.route, &target.environment);
    let record = work.tx.lock_stores(place.0, place.1)?;
    work.refresh();
    let due = work.tx.comparison_due(place.0, place.1)?;
    // Another node was faster.
    if due.is_none_or(|due| due > work.now) {
        return Ok(());
    }
    let (route, rollout) = load_data(work.tx, target)?;
    let policy = work.shared.policy(work.tx, &route)?;
    let backfill = work.tx.last_backfill(place)?;
    let copying = Copying::of(&rollout);
    let is_backfilled = backfill.is_some_and(|backfill| {
        backfill.state == Standing::Complete && copying.covers(backfill.begun_at)
    });
    let next = match in_effect(&record, &policy, &rollout, is_backfilled) {
        Some(schedule) => {
            let open = work.tx.open_consistency_runs(place)?;
            if open.iter().all(|run| run.kind != schedule.kind) {
                let what = (schedule.kind, schedule.sample);
                let run = asked(target, what, (Origin::Schedule, BY_SERVER), work.now);
                work.tx.put_consistency_run(&run)?;
                work.tx.forget_consistency_runs(place)?;
            }
            Some(work.now + schedule.every.period())
        }
        // Looked at again when something is copied; a backfill's end wakes the policy's schedule.
        None => match record.schedule {
            Scheduled::Set(schedule) => Some(work.now + schedule.every.period()),
            Scheduled::Never | Scheduled::ByPolicy => None,
        },
    };
    work.tx.set_comparison_due(place.0, place.1, next)?;
    Ok(())
}

fn take(
    work: &mut Work<'_, '_>,
    target: &Target,
    result: &ConsistencyResult,
) -> Result<Option<Run>, Failure> {
    // It becomes evidence, which promotions read under these locks.
    lock_rollouts(work, &target.route)?;
    let (route, rollout) = load_data(work.tx, target)?;
    let place = (&target.route, &target.environment);
    let mut record = work.tx.lock_stores(place.0, place.1)?;
    work.refresh();
    let Some(mut run) = run_of(work, target, result)? else {
        return Ok(None);
    };
    let policy = work.shared.policy(work.tx, &route)?;
    let copying = Copying::of(&rollout);
    let mut backfill = work.tx.last_backfill(place)?;
    let backfilled_at = backfill
        .as_ref()
        .filter(|it| it.state == Standing::Complete && copying.covers(it.begun_at))
        .and_then(|it| it.ended_at);
    let limit = consistency::limit(&policy);
    if !run.take(result, (limit, backfilled_at), work.now) {
        return Ok(None);
    }
    if let RunState::Done(findings) = &mut run.state {
        draw(work, target, findings)?;
        let seen = findings.compared;
        record.latest = Some(seen);
        if seen.kind == ConsistencyKind::Checksum {
            record.checksummed_from = seen.is_clean().then_some(seen.began_at);
            settle_doubts(work, target, &mut record, backfill.as_ref());
        }
        let breached = beyond(&policy.guards, findings);
        findings.acted = breached.is_empty();
        if let (Some(guard), Some(backfill)) = (breached.first(), &mut backfill)
            && backfill.state != Standing::Reset
        {
            let said = Said {
                at: work.now,
                by: Actor::guard(&guard.name).subject,
                reason: format!("{}: it has to be run again", seen.told()),
            };
            backfill::order(work, backfill, Act::Reset, said)?;
        }
    }
    work.tx.put_consistency_run(&run)?;
    work.tx.forget_consistency_runs(place)?;
    work.tx.put_stores(place.0, place.1, &record)?;
    Ok(Some(run))
}

/// The run that a result is of; `None` where the same was taken before.
fn run_of(
    work: &mut Work<'_, '_>,
    target: &Target,
    result: &ConsistencyResult,
) -> Result<Option<Run>, Failure> {
    let place = (&target.route, &target.environment);
    if let Some(id) = &result.order {
        let run = work.tx.consistency_run(id)?;
        let run =
            run.filter(|run| run.route == target.route && run.environment == target.environment);
        if let Some(run) = run {
            return Ok(Some(run));
        }
    }
    let again = |run: &Run| {
        run.findings().is_some_and(|known| {
            known.instance == result.instance
                && known.generation == result.generation
                && known.duration_ms == result.duration_ms
                && known.compared.compared == result.compared
                && known.compared.differing == result.differing
        })
    };
    if work.tx.consistency_runs(place, None, 20)?.iter().any(again) {
        return Ok(None);
    }
    let by = (Origin::Process, result.instance.as_str());
    Ok(Some(asked(target, (result.kind, 0), by, work.now)))
}

/// Draws evidence from a run.
fn draw(work: &mut Work<'_, '_>, target: &Target, findings: &Findings) -> Result<(), Failure> {
    let place = (&target.route, &target.environment);
    work.tx
        .forget_drawn_evidence(place.0, place.1, MOST_DRAWN - 1)?;
    if work.tx.evidence(&target.route)?.len() >= MOST_EVIDENCE {
        tracing::warn!(route = %target.route, "there is no room for evidence of a consistency run");
        return Ok(());
    }
    let seen = &findings.compared;
    let evidence = Evidence {
        id: uuid::Uuid::now_v7().to_string(),
        route: target.route.clone(),
        environment: target.environment.clone(),
        kind: EvidenceKind::Consistency,
        verdict: findings.verdict,
        url: None,
        summary: format!("{} run: {}", seen.kind, seen.told()),
        by: BY_SERVER.to_owned(),
        at: work.now,
    };
    work.tx.add_evidence(&evidence)?;
    let record = from_nothing(json!(evidence));
    let summary = evidence.summary.clone();
    work.record("evidence", Some(place.0), Some(place.1), &summary, record);
    Ok(())
}

/// The guards whose limit a run passes.
fn beyond<'a>(guards: &'a [Guard], findings: &Findings) -> Vec<&'a Guard> {
    let seen = &findings.compared;
    guards
        .iter()
        .filter(|guard| guard.measure == Measure::Inconsistency)
        .filter(|guard| seen.suffices(guard) && seen.share() > guard.limit)
        .collect()
}

fn is_to_be_acted_on(run: &Run) -> bool {
    run.findings().is_some_and(|findings| !findings.acted)
}

fn asked(
    target: &Target,
    (kind, sample): (ConsistencyKind, u64),
    (origin, by): (Origin, &str),
    now: DateTime<Utc>,
) -> Run {
    Run {
        id: uuid::Uuid::now_v7().to_string(),
        route: target.route.clone(),
        environment: target.environment.clone(),
        kind,
        sample,
        origin,
        by: by.to_owned(),
        reason: String::new(),
        asked_at: now,
        state: RunState::Waiting,
    }
}

fn read_sample(sample: Option<u64>) -> Result<u64, Failure> {
    let sample = sample.unwrap_or(SAMPLE);
    if SAMPLES.contains(&sample) {
        Ok(sample)
    } else {
        let detail = format!("must be {} to {}", SAMPLES.start(), SAMPLES.end());
        Err(Failure::invalid("sample", detail))
    }
}

fn check(result: &ConsistencyResult) -> Result<(), Failure> {
    if result.differing > result.compared {
        return Err(Failure::invalid("differing", "are among those compared"));
    }
    if !result.keys.iter().all(|key| is_key(key)) {
        return Err(Failure::invalid("keys", "a key has 1 to 256 bytes"));
    }
    let checksums = result.checksums.iter().flatten();
    if checksums.into_iter().any(|sum| sum.len() > 200) {
        return Err(Failure::invalid("checksums", "have at most 200 bytes"));
    }
    Ok(())
}

fn told(target: &Target, done: Result<(), Failure>) {
    if let Err(failure) = done {
        let (route, environment) = (&target.route, &target.environment);
        tracing::warn!(%route, %environment, %failure, "comparisons are looked at again later");
    }
}
