//! Ramps that go on without a person.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use crate::domain::actor::Actor;
use crate::domain::environment::Environment;
use crate::domain::facts::{Facts, Proof};
use crate::domain::guard::GuardReport;
use crate::domain::lifecycle::Command;
use crate::domain::ramp::{Move, Outlook};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::service::rollout::{load, unanswered};
use crate::service::shared::Shared;
use crate::service::work::{facts, frozen};
use crate::service::{Ctx, Failure, Services, Target};
use crate::store::{StoreError, Tx};

/// Asks what the guards of a rollout answer now.
pub type Guards<'a> = &'a dyn Fn(&Target) -> Vec<GuardReport>;

/// A ramp that has moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// As it was.
    pub before: Rollout,
    /// As it is.
    pub after: Rollout,
}

impl Services {
    /// Moves every ramp that is due and that nothing holds back, each by one step in a transaction
    /// of its own. Several nodes may try, and one does; a ramp that cannot be moved now does not
    /// keep others from it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn advance_ramps(&self, guards: Guards<'_>) -> Result<Vec<Moved>, StoreError> {
        let now = self.now();
        let due = self
            .store
            .read_first::<_, StoreError>(|tx| tx.ramps_due(now))?;
        let mut moved = Vec::new();
        for (route, environment, revision) in due {
            let (Ok(key), Ok(place)) = (route.parse(), environment.parse()) else {
                tracing::warn!(%route, %environment, "a ramp of a rollout that cannot be");
                continue;
            };
            let target = Target {
                route: key,
                environment: place,
            };
            match self.advance_ramp(&target, revision, now, guards) {
                Ok(found) => moved.extend(found),
                // The next look tries again.
                Err(failure) => {
                    tracing::warn!(%route, %environment, %failure, "a ramp stays where it is");
                }
            }
        }
        Ok(moved)
    }

    fn advance_ramp(
        &self,
        target: &Target,
        revision: u64,
        now: DateTime<Utc>,
        guards: Guards<'_>,
    ) -> Result<Option<Moved>, Failure> {
        let answers = guards(target);
        let ctx = Ctx::of(Actor::system());
        // A ramp may wait for hours: it is only locked when it moves.
        let waits = self.store.read_first::<_, Failure>(|tx| {
            let (route, environment, rollout) = load(tx, target)?;
            let mut shared = Shared::new(&self.telemetry);
            shared.answers = Some(answers.clone());
            let facts = seen(tx, &mut shared, (&route, &environment), &rollout, now)?;
            let outlook = Outlook::of(&rollout, &facts);
            Ok(rollout.revision != revision || outlook.and_then(|it| it.now(now)).is_none())
        })?;
        if waits {
            return Ok(None);
        }
        let mut moved = None;
        self.change(&ctx, &unanswered, |work| {
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let (route, environment, rollout) = load(work.tx, target)?;
            // The guards answered about another state, or another node was faster.
            if rollout.revision != revision {
                return Ok(());
            }
            work.grounds = Map::from_iter([("guards".to_owned(), json!(answers))]);
            work.shared.answers = Some(answers);
            let reason = reason(&rollout);
            let (before, after) = work.run(&route, &environment, &Command::AdvanceRamp, &reason)?;
            if before != after {
                moved = Some(Moved { before, after });
            }
            Ok(())
        })?;
        Ok(moved)
    }
}

/// What the ramp of a rollout does next; `None` where it has none.
pub(super) fn outlook(
    tx: &mut Tx<'_>,
    shared: &mut Shared,
    place: (&Route, &Environment),
    rollout: &Rollout,
    now: DateTime<Utc>,
) -> Result<Option<Outlook>, StoreError> {
    if rollout.ramp.is_none() {
        return Ok(None);
    }
    let facts = seen(tx, shared, place, rollout, now)?;
    Ok(Outlook::of(rollout, &facts))
}

/// What a ramp is seen by.
fn seen(
    tx: &mut Tx<'_>,
    shared: &mut Shared,
    (route, environment): (&Route, &Environment),
    rollout: &Rollout,
    now: DateTime<Utc>,
) -> Result<Facts, StoreError> {
    let (ctx, place) = (Ctx::of(Actor::system()), (route, environment));
    let mut facts = facts(tx, shared, place, (&ctx, "", now), Proof::default())?;
    facts.frozen = frozen(tx, rollout, environment, now)?;
    Ok(facts)
}

fn reason(rollout: &Rollout) -> String {
    let Some(ramp) = &rollout.ramp else {
        return String::new();
    };
    let steps = ramp.steps.len();
    let held = ramp.step().and_then(|step| ramp.steps.get(step));
    let held = held.map_or_else(
        || "promoted, and the policy starts its ramp then".to_owned(),
        |step| format!("{} was held for {}", step.percent, step.hold),
    );
    match ramp.next() {
        Some(Move::Enter(step)) => format!("{held}: step {} of {steps}", step + 1),
        _ => format!("{held}, the last of {steps} steps"),
    }
}
