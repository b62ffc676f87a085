//! Ramps: exposure raised step by step, each held for a while, and when the next one is due. Who
//! may move one, and what else a move changes, is said in `ramping`.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::Percent;

use crate::domain::frozen::Frozen;
use crate::domain::policy::Policy;

pub use crate::domain::hold::Hold;
pub use crate::domain::outlook::{Outlook, Wait};

/// The most steps of a plan.
pub const MOST_STEPS: usize = 50;

/// One step: a share, and how long it is held before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The share of the keys.
    pub percent: Percent,
    /// How long it is held.
    pub hold: Hold,
}

/// The ramp of a rollout, on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// Its steps, rising.
    pub steps: Vec<Step>,
    /// How far it has come.
    #[serde(flatten)]
    pub state: RampState,
}

/// How far a ramp has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RampState {
    /// Nothing has been exposed yet.
    Ready {
        /// Whether it starts without anybody saying so.
        by_itself: bool,
    },
    /// It goes on by itself when its step has been held.
    Running {
        /// Where.
        at: Position,
    },
    /// It goes on when somebody resumes it.
    Paused {
        /// Where; before the first step when there is none.
        at: Option<Position>,
        /// Since when.
        since: DateTime<Utc>,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Every step has been held.
    Finished {
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// A step that was entered, and how long it has been held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The step, from 0.
    pub step: usize,
    /// When it was entered.
    pub since: DateTime<Utc>,
    /// The last step that was held to its end, from 0.
    pub completed: Option<usize>,
    /// How long it was held before `span`, in microseconds.
    held_us: i64,
    /// The time that counts besides, freezes within it included: a halt, which ends it, looks at no
    /// freezes. Without an end it still counts.
    span: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// What a ramp does when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It enters this step, from 0.
    Enter(usize),
    /// Its last step has been held.
    Finish,
}

impl Position {
    fn enter(step: usize, completed: Option<usize>, now: DateTime<Utc>) -> Position {
        Position {
            step,
            since: now,
            completed,
            held_us: 0,
            span: Some((now, None)),
        }
    }

    /// How long the step has been held: neither paused nor halted, and no freeze open.
    #[must_use]
    pub fn held(&self, now: DateTime<Utc>, frozen: &Frozen) -> Duration {
        let counted = self.span.map_or(Duration::zero(), |(from, to)| {
            frozen.running(from, to.unwrap_or(now))
        });
        Duration::microseconds(self.held_us) + counted
    }

    /// When what is counted now began, where it is.
    #[must_use]
    pub fn counting_since(&self) -> Option<DateTime<Utc>> {
        self.span
            .and_then(|(from, to)| to.is_none().then_some(from))
    }

    /// Since when freezes matter to what is counted.
    #[must_use]
    pub fn clock_since(&self) -> Option<DateTime<Utc>> {
        self.span.map(|(from, _)| from)
    }

    fn stop(&mut self, now: DateTime<Utc>) {
        if let Some((_, to @ None)) = &mut self.span {
            *to = Some(now);
        }
    }

    fn go_on(&mut self, now: DateTime<Utc>, frozen: &Frozen) {
        if self.counting_since().is_none() {
            let held = self.held(now, frozen).num_microseconds();
            self.held_us = held.unwrap_or(i64::MAX);
            self.span = Some((now, None));
        }
    }

    fn anew(&mut self) {
        self.held_us = 0;
        self.span = None;
    }
}

impl Ramp {
    /// A plan that nobody has started.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Ramp {
        Ramp {
            steps,
            state: RampState::Ready { by_itself: false },
        }
    }

    /// The plan that a policy has; `None` where it has none.
    #[must_use]
    pub fn of_policy(policy: &Policy) -> Option<Ramp> {
        policy.has_ramp().then(|| Ramp {
            steps: policy.ramp_steps(),
            state: RampState::Ready {
                by_itself: policy.starts_ramps(),
            },
        })
    }

    /// Checks the steps of a plan that somebody writes.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(steps: &[Step]) -> Result<(), String> {
        if steps.is_empty() || steps.len() > MOST_STEPS {
            return Err(format!("must be 1 to {MOST_STEPS} steps"));
        }
        let mut last = Percent::ZERO;
        for (number, step) in (1..).zip(steps) {
            if step.percent <= last {
                return Err(format!(
                    "step {number} must be above the one before it, and above 0"
                ));
            }
            if step.hold > Hold::LONGEST {
                return Err(format!("step {number} may hold {} at most", Hold::LONGEST));
            }
            last = step.percent;
        }
        Ok(())
    }

    /// The name of its state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.state {
            RampState::Ready { .. } => "ready",
            RampState::Running { .. } => "running",
            RampState::Paused { .. } => "paused",
            RampState::Finished { .. } => "finished",
        }
    }

    /// The step that was entered last.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match &self.state {
            RampState::Running { at } => Some(at),
            RampState::Paused { at, .. } => at.as_ref(),
            RampState::Ready { .. } | RampState::Finished { .. } => None,
        }
    }

    /// The present step, from 0; `None` before the first.
    #[must_use]
    pub fn step(&self) -> Option<usize> {
        match &self.state {
            RampState::Finished { .. } => self.steps.len().checked_sub(1),
            _ => self.position().map(|at| at.step),
        }
    }

    /// The share that the present step has; none before the first.
    #[must_use]
    pub fn share(&self) -> Percent {
        self.share_of(self.step())
    }

    pub(super) fn share_of(&self, step: Option<usize>) -> Percent {
        step.and_then(|step| self.steps.get(step))
            .map_or(Percent::ZERO, |step| step.percent)
    }

    /// Whether it goes on by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, RampState::Running { .. })
    }

    /// The last step that was held to its end with nothing against it, from 0. One that has had its
    /// time, and was not left because its guards did not pass, is none.
    #[must_use]
    pub fn completed(&self) -> Option<usize> {
        if let RampState::Finished { .. } = self.state {
            return self.step();
        }
        self.position()?.completed
    }

    /// When it may move at the earliest, were no freeze open in the meantime; `None` while it does
    /// not move by itself.
    #[must_use]
    pub fn may_move_at(&self, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.state {
            RampState::Ready { by_itself: true } => Some(since),
            RampState::Running { at } => {
                let from = at.counting_since()?;
                let hold = self.steps.get(at.step)?.hold.duration();
                from.checked_add_signed(hold - Duration::microseconds(at.held_us))
            }
            _ => None,
        }
    }

    /// When it moves, by the freezes that are known; `None` when somebody has to do something
    /// first.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>, frozen: &Frozen) -> Option<DateTime<Utc>> {
        match &self.state {
            RampState::Ready { by_itself: true } => frozen.after(now, Duration::zero()),
            RampState::Running { at } => {
                let from = at.counting_since()?;
                let hold = self.steps.get(at.step)?.hold.duration();
                frozen.after(from, hold - Duration::microseconds(at.held_us))
            }
            _ => None,
        }
    }

    /// What it does once it is due.
    #[must_use]
    pub fn next(&self) -> Option<Move> {
        match &self.state {
            RampState::Ready { by_itself: true } => Some(Move::Enter(0)),
            RampState::Running { at } if at.step + 1 < self.steps.len() => {
                Some(Move::Enter(at.step + 1))
            }
            RampState::Running { .. } => Some(Move::Finish),
            _ => None,
        }
    }

    pub(super) fn make(&mut self, it: Move, now: DateTime<Utc>) {
        self.state = match it {
            Move::Enter(step) => RampState::Running {
                at: Position::enter(step, step.checked_sub(1), now),
            },
            Move::Finish => RampState::Finished { since: now },
        };
    }

    pub(super) fn pause(&mut self, now: DateTime<Utc>, by: &str, reason: &str) {
        let at = match &self.state {
            RampState::Running { at } => {
                let mut at = at.clone();
                at.stop(now);
                Some(at)
            }
            RampState::Ready { by_itself: true } => None,
            _ => return,
        };
        self.state = RampState::Paused {
            at,
            since: now,
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
    }

    /// Pauses it whatever it does: after a guard's halt a person looks at it.
    pub(super) fn stop_for_guard(&mut self, now: DateTime<Utc>, by: &str, reason: &str) {
        if let RampState::Finished { .. } = self.state {
            let last = self.step();
            let at = last.map(|step| Position::enter(step, last, now));
            if let Some(at) = at {
                self.state = RampState::Running { at };
            }
        }
        self.pause(now, by, reason);
    }

    /// Back to the last step that was held to its end, or to nothing, and paused there.
    pub(super) fn go_back(&mut self, now: DateTime<Utc>) {
        let completed = self.completed();
        let (by, reason, since) = match &self.state {
            RampState::Paused {
                by, reason, since, ..
            } => (by.clone(), reason.clone(), *since),
            _ => return,
        };
        let at = completed.map(|step| {
            let mut at = Position::enter(step, completed, now);
            at.anew();
            at
        });
        self.state = RampState::Paused {
            at,
            since,
            by,
            reason,
        };
    }

    /// Goes on where it was; holds its step anew when its share has not been in force since.
    pub(super) fn go_on(&mut self, now: DateTime<Utc>, was_in_force: bool) {
        if let RampState::Paused { at, .. } = &self.state {
            let mut at = match at {
                Some(at) => at.clone(),
                None => Position::enter(0, None, now),
            };
            if !was_in_force {
                at.since = now;
                at.anew();
            }
            self.state = RampState::Running { at };
        }
    }

    /// Counts time, or not, as the rollout is after a change.
    pub(super) fn keep_time(&mut self, halted: bool, now: DateTime<Utc>, frozen: &Frozen) {
        if let RampState::Running { at } = &mut self.state {
            if halted {
                at.stop(now);
            } else {
                at.go_on(now, frozen);
            }
        }
    }
}

/// Steps as a person says them: `10 % for 24h, 50 % for 2d`.
#[must_use]
pub fn described(steps: &[Step]) -> String {
    let steps = steps
        .iter()
        .map(|step| format!("{} for {}", step.percent, step.hold));
    steps.collect::<Vec<_>>().join(", ")
}
