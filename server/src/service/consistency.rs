//! Consistency runs: ordered by people and the schedule, answered by processes, heard by guards.

mod schedule;
mod taken;

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use switchover::{ConsistencyKind, ConsistencyOrder, ConsistencyResult};

use crate::domain::actor::Actor;
use crate::domain::consistency::{self, Origin, Run, RunState, SAMPLE, SAMPLES};
use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::{Due, GuardReport};
use crate::domain::policy::Measure;
use crate::domain::stores::Scheduled;
use crate::domain::text::Reason;
use crate::service::rollout::{Target, unanswered};
use crate::service::stores::{from_nothing, load_data};
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{StoreError, Tx};

use schedule::compare_due;
pub(super) use schedule::first_comparison;
use taken::{beyond, check, take};

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
    /// Orders a consistency run: the next process that writes the route takes it. Where one of this
    /// kind is asked for already, that is the one.
    ///
    /// # Errors
    /// When there is no such data route.
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
            if let Some(waiting) = open.into_iter().find(|run| run.kind == new.kind) {
                return Ok(waiting);
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

fn told(target: &Target, done: Result<(), Failure>) {
    if let Err(failure) = done {
        let (route, environment) = (&target.route, &target.environment);
        tracing::warn!(%route, %environment, %failure, "comparisons are looked at again later");
    }
}
