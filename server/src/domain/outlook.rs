//! What a ramp will do next and when, or why it does not.

use chrono::{DateTime, Duration, Utc};

use crate::domain::facts::Facts;
use crate::domain::flipping;
use crate::domain::guard::GuardState;
use crate::domain::ramp::{Move, RampState};
use crate::domain::rollout::Rollout;

/// A ramp, seen at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// What it does next; `None` when nothing is left to do, or nobody has started it.
    pub next: Option<Move>,
    /// How long its present step has been held; `None` without one.
    pub held: Option<Duration>,
    /// When it moves, if nothing holds it back then; `None` when somebody has to do something
    /// first.
    pub due: Option<DateTime<Utc>>,
    /// What holds it back, all of it.
    pub waits: Vec<Wait>,
}

/// What holds a ramp back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nobody has started it.
    NotStarted,
    /// It is paused.
    Paused {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// The rollout is halted.
    Halted,
    /// A change freeze is open.
    Frozen {
        /// Which.
        detail: String,
    },
    /// The setting is not the one of its step.
    SetOtherwise,
    /// Keys of its route cannot move between the stores now.
    Flip {
        /// Why.
        detail: String,
    },
    /// A guard does not pass.
    Guard {
        /// Which.
        name: String,
        /// What it answers; `None` when it has not.
        state: Option<GuardState>,
        /// Why.
        detail: String,
    },
}

impl Outlook {
    /// What the rollout's ramp does next; `None` where it has none.
    #[must_use]
    pub fn of(rollout: &Rollout, facts: &Facts) -> Option<Outlook> {
        let ramp = rollout.ramp.as_ref()?;
        let (now, frozen) = (facts.now, &facts.frozen);
        let mut waits = Vec::new();
        match &ramp.state {
            RampState::Ready { by_itself: false } => waits.push(Wait::NotStarted),
            RampState::Paused { by, reason, .. } => waits.push(Wait::Paused {
                by: by.clone(),
                reason: reason.clone(),
            }),
            _ => {}
        }
        if rollout.halt.is_some() {
            waits.push(Wait::Halted);
        }
        let next = ramp.next();
        if next.is_some() {
            waits.extend(facts.freezes.iter().map(|freeze| Wait::Frozen {
                detail: freeze.described(),
            }));
            if !rollout.is_on_ramp() {
                waits.push(Wait::SetOtherwise);
            }
            waits.extend(guards(facts, ramp.is_running()));
        }
        if let Some(Move::Enter(step)) = next
            && let Some(step) = ramp.steps.get(step)
        {
            let waiting = flipping::waits(rollout, step.percent, facts);
            waits.extend(waiting.map(|detail| Wait::Flip { detail }));
        }
        let stands = rollout.halt.is_some() || !rollout.is_on_ramp();
        Some(Outlook {
            next,
            held: ramp.position().map(|at| at.held(now, frozen)),
            due: ramp.due(now, frozen).filter(|_| !stands),
            waits,
        })
    }

    /// What the ramp does now.
    #[must_use]
    pub fn now(&self, now: DateTime<Utc>) -> Option<Move> {
        let is_due = self.due.is_some_and(|due| due <= now);
        self.next.filter(|_| is_due && self.waits.is_empty())
    }
}

/// The guards that hold it back: every one of the policy has to pass. Before the first step there
/// is nothing to report, so that only a breach does.
fn guards(facts: &Facts, is_exposed: bool) -> Vec<Wait> {
    let wait = |name: &str, state, detail: &str| Wait::Guard {
        name: name.to_owned(),
        state,
        detail: detail.to_owned(),
    };
    let mut waits: Vec<Wait> = facts
        .guards
        .iter()
        .filter(|report| match report.state {
            GuardState::Pass => false,
            GuardState::Breach => true,
            GuardState::Insufficient => is_exposed,
        })
        .map(|report| wait(&report.guard.name, Some(report.state), &report.detail))
        .collect();
    let silent = facts.policy.guards.iter().filter(|guard| {
        let mut answers = facts.guards.iter();
        is_exposed && !answers.any(|report| report.guard == **guard)
    });
    waits.extend(silent.map(|guard| wait(&guard.name, None, "it has not answered yet")));
    waits
}
