//! Flips that are under way: made when every process has let go of the keys that move, else given up
//! at their deadline. Any node may end one; the rollout's lock and the generation have it ended once.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::json;

use crate::domain::actor::Actor;
use crate::domain::doubling::Hold;
use crate::domain::flip::{Known, Verdict, verdict};
use crate::domain::lifecycle::{Command, abandon, finish};
use crate::domain::text::Reason;
use crate::domain::writer::{MOST_WRITERS, Writer};
use crate::service::rollout::{Change, load, unanswered};
use crate::service::work::{Work, frozen};
use crate::service::{Ctx, Failure, Services, Target};
use crate::store::{StoreError, Tx};

/// A flip under way, as somebody found it.
struct UnderWay {
    hold: Hold,
    generation: u64,
    verdict: Verdict,
}

impl Services {
    /// Looks after flips that this node has announced.
    pub(super) fn watch_over(&self, holds: BTreeSet<Target>) {
        if !holds.is_empty() {
            self.announced().extend(holds);
        }
    }

    /// Ends what this node has announced and whose time is over; whether all of it could be looked at.
    /// Cheap when it has announced nothing.
    pub fn settle_announced(&self) -> bool {
        let mut is_well = true;
        let announced: Vec<Target> = self.announced().iter().cloned().collect();
        for target in announced {
            match self.settle(&target) {
                Ok(false) => {}
                Ok(true) => {
                    self.announced().remove(&target);
                }
                Err(failure) => {
                    is_well = false;
                    told(&target, &failure);
                }
            }
        }
        is_well
    }

    /// Ends every flip whose time is over, whichever node has announced it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn settle_due(&self) -> Result<(), StoreError> {
        let now = self.now();
        let due = self
            .store
            .read_first::<_, StoreError>(|tx| tx.flips_due(now))?;
        for (route, environment) in due {
            let (Ok(key), Ok(place)) = (route.parse(), environment.parse()) else {
                tracing::warn!(%route, %environment, "a flip of a rollout that cannot be");
                continue;
            };
            let target = Target {
                route: key,
                environment: place,
            };
            if let Err(failure) = self.settle(&target) {
                told(&target, &failure);
            }
        }
        Ok(())
    }

    /// Makes the flip of a rollout if every process has let go, or gives it up if its time is over.
    /// Whether none is under way any more.
    ///
    /// # Errors
    /// When the database cannot be used: then it is still under way, and the next look tries again.
    pub fn settle(&self, target: &Target) -> Result<bool, Failure> {
        let now = self.now();
        let Some(found) = self
            .store
            .read_first::<_, Failure>(|tx| under_way(tx, target, now))?
        else {
            return Ok(true);
        };
        let why = match &found.verdict {
            Verdict::Wait(_) => return Ok(false),
            Verdict::Go => match self.make(target, &found) {
                Ok(is_over) => return Ok(is_over),
                Err(Failure::Store(error)) => return Err(Failure::Store(error)),
                // What was allowed when it was announced is not any more.
                Err(refused) => refused.to_string(),
            },
            Verdict::Abandon(lacking) => late(lacking),
        };
        self.give_up(target, found.generation, &why)?;
        Ok(true)
    }

    /// Makes a flip as whoever ordered it, judged anew by what is known now. Whether it is over: where a
    /// process has joined meanwhile, it is not.
    fn make(&self, target: &Target, found: &UnderWay) -> Result<bool, Failure> {
        let hold = &found.hold;
        let ctx = Ctx::of(hold.actor.clone());
        let change = Change {
            target: target.clone(),
            command: hold.command.clone(),
            reason: Reason::new(&hold.reason)
                .map_err(|detail| Failure::invalid("reason", detail))?,
            cascade: false,
        };
        let observed = self.observe_change(&ctx, &change)?;
        let is_over = Cell::new(true);
        self.change(&ctx, &unanswered, |work| {
            work.observed = observed;
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let now = work.now;
            // Somebody may have been faster.
            let again = under_way(work.tx, target, now)?;
            let Some(again) = again.filter(|again| again.generation == found.generation) else {
                return Ok(());
            };
            if again.verdict == Verdict::Go {
                return finish_held(work, target);
            }
            is_over.set(false);
            Ok(())
        })?;
        Ok(is_over.get())
    }

    /// Gives a flip up, unless it has ended.
    fn give_up(&self, target: &Target, generation: u64, why: &str) -> Result<(), Failure> {
        let ctx = Ctx::of(Actor::system());
        self.change(&ctx, &unanswered, |work| {
            work.lock(&BTreeSet::from([target.route.clone()]), &target.environment)?;
            let (route, environment, rollout) = load(work.tx, target)?;
            let is_it = rollout.data.generation == generation;
            let Some(transition) = abandon(&rollout, why, work.now).filter(|_| is_it) else {
                return Ok(());
            };
            work.write_plainly(&transition, (&route, &environment), why)
        })
        .map(drop)
    }

    fn announced(&self) -> std::sync::MutexGuard<'_, BTreeSet<Target>> {
        // Nothing panics while it holds this; and a set is whole in any case.
        self.announced
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The flip of a rollout, and what becomes of it by what its processes have reported.
fn under_way(
    tx: &mut Tx<'_>,
    target: &Target,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Option<UnderWay>, Failure> {
    let Some(rollout) = tx.rollout(&target.route, &target.environment)? else {
        return Ok(None);
    };
    let Some(hold) = rollout.data.hold else {
        return Ok(None);
    };
    let place = (&target.route, &target.environment);
    let writers = tx.writers_of(place, "", MOST_WRITERS)?;
    let known: Vec<Known> = writers.iter().filter_map(Writer::known).collect();
    let generation = rollout.data.generation;
    Ok(Some(UnderWay {
        verdict: verdict(&known, generation, now, hold.until),
        hold: *hold,
        generation,
    }))
}

fn finish_held(work: &mut Work<'_, '_>, target: &Target) -> Result<(), Failure> {
    let (route, environment, rollout) = load(work.tx, target)?;
    let Some(hold) = rollout.data.hold.as_deref() else {
        return Ok(());
    };
    let mut facts = work.facts(&route, &environment, &hold.command, &hold.reason)?;
    work.tell_of_stores(&mut facts, &rollout)?;
    if !hold.command.is_safe() {
        facts.frozen = frozen(work.tx, &rollout, &environment, work.now)?;
    }
    if hold.command == Command::AdvanceRamp {
        let guards = ("guards".to_owned(), json!(facts.guards));
        work.grounds.extend([guards]);
    }
    let transition = finish(&rollout, &facts)?;
    work.write(&transition, &hold.command, &facts)
}

/// Why a flip is given up that these processes have not done their part for.
fn late(lacking: &[String]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = lacking.iter().take(NAMED).map(String::as_str).collect();
    let more = match lacking.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "not let go of in time by {}{more}: its writes or copies took too long, or it did not hear \
         of the flip",
        named.join(", ")
    )
}

fn told(target: &Target, failure: &Failure) {
    let (route, environment) = (&target.route, &target.environment);
    tracing::warn!(%route, %environment, %failure, "a flip is still under way");
}
