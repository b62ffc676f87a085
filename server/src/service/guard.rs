//! What guards watch, what they answer, and what they do.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::domain::actor::Actor;
use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::{Due, GuardReport};
use crate::domain::lifecycle::Command;
use crate::domain::policy::{Guard, GuardAction};
use crate::domain::refusal::Refusal;
use crate::domain::text::{Reason, misleads};
use crate::service::consistency::answer_by_record;
use crate::service::rollout::{load, unanswered};
use crate::service::shared::Shared;
use crate::service::work::Work;
use crate::service::{Ctx, Failure, Services, Target};
use crate::store::{IdempotencyKey, StoreError};

/// What the guards of a rollout watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Guarded {
    /// The revision with which the rollout came to be published as it is.
    pub published: u64,
    /// The guards of its policy, with the route's own limits.
    pub guards: Vec<Guard>,
}

impl Services {
    /// The revision of every environment: whoever remembers what is watched asks whether it still is.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn revisions(&self) -> Result<BTreeMap<EnvironmentKey, u64>, StoreError> {
        let revisions = self
            .store
            .read_first::<_, StoreError>(|tx| tx.revisions())?;
        revisions
            .into_iter()
            .map(|(key, revision)| Ok((super::parse_environment(&key)?, revision)))
            .collect()
    }

    /// What the guards of these rollouts watch. Left out is what is no rollout.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn guarded(
        &self,
        targets: &BTreeSet<Target>,
    ) -> Result<BTreeMap<Target, Guarded>, StoreError> {
        let mut shared = Shared::new(&self.telemetry);
        self.store.read_first(|tx| {
            let mut found = BTreeMap::new();
            for target in targets {
                let Some(published) = tx.counted_since(&target.route, &target.environment)? else {
                    continue;
                };
                let Some(route) = tx.route(&target.route)? else {
                    continue;
                };
                let guards = shared.policy(tx, &route)?.guards;
                found.insert(target.clone(), Guarded { published, guards });
            }
            Ok(found)
        })
    }

    /// What the guards of a rollout answer, in which epoch of theirs: 0 before the first report.
    ///
    /// # Errors
    /// When there is no such rollout, or a database cannot be used.
    pub fn guard_answers(&self, target: &Target) -> Result<(u64, Vec<GuardReport>), Failure> {
        let found = self.guarded(&BTreeSet::from([target.clone()]))?;
        let Some(guarded) = found.get(target) else {
            // Says what of it there is not.
            self.rollout(target)?;
            return Err(Failure::missing("rollout", &target.route));
        };
        let watched = self
            .telemetry
            .read::<_, StoreError>(|tx| tx.guards_of(&target.environment, &target.route))?
            .unwrap_or_default();
        let now = self.now();
        let mut answers = watched.answers(guarded.published, &guarded.guards, now.timestamp());
        self.store
            .read_first(|tx| answer_by_record(tx, target, &mut answers, now))?;
        let epoch = watched.epoch_of(guarded.published, &guarded.guards);
        Ok((epoch, answers))
    }

    /// What guards answer, with the answers of those that go by what is on record: no caller reports
    /// call by call whether rows are equal. Those stay `insufficient` where that cannot be read.
    #[must_use]
    pub fn with_record(&self, target: &Target, answers: Vec<GuardReport>) -> Vec<GuardReport> {
        let mut asked = [(target.clone(), answers)];
        self.all_with_record(&mut asked);
        let [(_, answers)] = asked;
        answers
    }

    /// [`Services::with_record`] of many rollouts, in one look at the record.
    pub(super) fn all_with_record(&self, asked: &mut [(Target, Vec<GuardReport>)]) {
        let now = self.now();
        let read = self.store.read_first::<_, StoreError>(|tx| {
            for (target, answers) in asked.iter_mut() {
                answer_by_record(tx, target, answers, now)?;
            }
            Ok(())
        });
        if let Err(error) = read {
            tracing::warn!(%error, "guards cannot be asked what is on record");
        }
    }

    /// Does what a guard is there for, as `guard:NAME`, once in an epoch, with the numbers on record.
    /// It is tried again at the next tick where the database is busy: one rollout that somebody has
    /// locked holds up no other. Nothing is done any more where the rollout has changed
    /// since, so a node that acts late acts in vain; `false` then.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn carry_out(&self, target: &Target, due: &Due) -> Result<bool, Failure> {
        let ctx = Ctx {
            actor: Actor::guard(&due.guard.name),
            if_match: None,
            idempotency: Some(once(target, due)),
            accepts_loss: false,
        };
        let reason = Reason::new(&legible(&told(due)))
            .map_err(|detail| Failure::invalid("reason", detail))?;
        let acted = Cell::new(false);
        let answer = self.change(&ctx, &unanswered, |work| {
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let published = work.tx.counted_since(&target.route, &target.environment)?;
            acted.set(published == Some(due.published));
            if acted.get() {
                act(work, target, due, reason.as_str())?;
            }
            Ok(())
        })?;
        Ok(acted.get() && !answer.replayed)
    }
}

/// One instance is no reason to halt everybody: the ramp waits until a person has looked.
fn action(due: &Due) -> GuardAction {
    match (due.guard.action, &due.instance) {
        (GuardAction::Notify, _) => GuardAction::Notify,
        (_, Some(_)) => GuardAction::Pause,
        (action, None) => action,
    }
}

fn act(work: &mut Work<'_, '_>, target: &Target, due: &Due, reason: &str) -> Result<(), Failure> {
    let (route, environment, rollout) = load(work.tx, target)?;
    let command = match action(due) {
        GuardAction::Notify => None,
        GuardAction::Pause => Some(Command::PauseRamp),
        GuardAction::StopMirror => Some(Command::StopMirror),
        GuardAction::Halt => Some(Command::Halt),
    };
    let mut grounds = grounds(due);
    if let Some(command) = &command {
        work.grounds.clone_from(&grounds);
        match work.run_on(rollout, &route, &environment, (command, reason)) {
            Ok((before, after)) if before != after => return Ok(()),
            // Halted or stopped it is already, and there is nothing to tell.
            Ok(_) if *command != Command::PauseRamp => return Ok(()),
            // A person decides what may be lost; until then nothing goes further.
            Err(Failure::Refused(Refusal::LossRisk { detail, .. })) => {
                grounds.insert("loss_risk".to_owned(), json!(detail));
                work.grounds.clone_from(&grounds);
                let pause = (&Command::PauseRamp, reason);
                let (before, after) = work.run(&route, &environment, pause.0, pause.1)?;
                if before != after {
                    return Ok(());
                }
            }
            // Where no ramp runs, or the stage has no way back, people are told all the same.
            Ok(_) | Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let place = (Some(&target.route), Some(&target.environment));
    let said = (Value::Null, Value::Object(grounds));
    work.record("guard_notify", place.0, place.1, reason, said);
    Ok(())
}

/// What the record says besides of what the guard saw.
fn grounds(due: &Due) -> Map<String, Value> {
    let mut guard = due.numbers.clone();
    guard.insert("name".to_owned(), json!(due.guard.name));
    guard.insert("measure".to_owned(), json!(due.guard.measure));
    guard.insert("action".to_owned(), json!(due.guard.action));
    guard.insert("instance".to_owned(), json!(due.instance));
    Map::from_iter([("guard".to_owned(), Value::Object(guard))])
}

/// Instances name themselves: whatever a name has in it, a guard acts.
fn legible(text: &str) -> String {
    let legible = text.chars().map(|c| if misleads(c) { ' ' } else { c });
    legible.take(Reason::LONGEST).collect()
}

fn told(due: &Due) -> String {
    match &due.instance {
        None => format!("guard {}: {}", due.guard.name, due.detail),
        Some(instance) => format!(
            "guard {}: {}; `{instance}` alone carries it past the limit",
            due.guard.name, due.detail
        ),
    }
}

/// Names what is due, so that it is done once, whoever dies in the middle of it.
fn once(target: &Target, due: &Due) -> IdempotencyKey {
    let by = if due.instance.is_some() { "one" } else { "all" };
    IdempotencyKey {
        subject: Actor::guard(&due.guard.name).subject,
        method: "GUARD".to_owned(),
        path: format!("{}/{}", target.environment, target.route),
        key: format!("{}.{}.{by}", due.published, due.epoch),
        body_hash: String::new(),
    }
}

/// What the guards of a rollout answer; `None` where that cannot be read.
pub(super) fn asked(
    telemetry: &crate::telemetry::TelemetryStore,
    target: &Target,
    guarded: &Guarded,
    second: i64,
) -> Option<Vec<GuardReport>> {
    let read = telemetry
        .read_first::<_, StoreError>(|tx| tx.guards_of(&target.environment, &target.route));
    match read {
        Ok(watched) => {
            let watched = watched.unwrap_or_default();
            Some(watched.answers(guarded.published, &guarded.guards, second))
        }
        Err(error) => {
            let (route, environment) = (&target.route, &target.environment);
            tracing::warn!(%route, %environment, %error, "guards cannot be asked");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_keeps_a_guard_from_acting() {
        let told = format!("`web\u{202E}3\n{}` alone carries it", "x".repeat(2_000));
        let reason = Reason::new(&legible(&told)).unwrap();
        assert!(reason.as_str().starts_with("`web 3 x"));
    }
}
