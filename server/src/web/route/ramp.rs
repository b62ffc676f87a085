//! A ramp, as it is shown.

use chrono::{DateTime, Utc};

use crate::domain::next_action::wait;
use crate::domain::ramp::{Move, RampState};
use crate::service::RolloutOverview;
use crate::web::route::Badge;
use crate::web::words::{When, span};

/// A ramp with its steps.
pub(super) struct RampView {
    pub(super) badge: Badge,
    pub(super) steps: Vec<StepView>,
    /// What it does next, in a sentence; empty when nothing is left.
    pub(super) next: String,
    /// When, if nothing holds it back then.
    pub(super) due: Option<When>,
    /// What holds it back.
    pub(super) waits: Vec<String>,
    /// How long its present step has been held, and for how long it is to be.
    pub(super) held: Option<String>,
}

/// One step.
pub(super) struct StepView {
    pub(super) number: usize,
    pub(super) percent: String,
    pub(super) hold: String,
    /// `is-done`, `is-here` or `is-ahead`.
    pub(super) class: &'static str,
    pub(super) told: &'static str,
}

/// Its state in one badge; `None` where there is no ramp.
pub(super) fn at_a_glance(seen: &RolloutOverview) -> Option<Badge> {
    let ramp = seen.rollout.ramp.as_ref()?;
    let step = match ramp.step() {
        Some(step) => format!("step {} of {}", step + 1, ramp.steps.len()),
        None => format!("before step 1 of {}", ramp.steps.len()),
    };
    let is_held = seen.outlook.as_ref().is_some_and(|it| !it.waits.is_empty());
    Some(match &ramp.state {
        RampState::Ready { by_itself: false } => Badge::new("is-off", "ramp not started"),
        RampState::Ready { by_itself: true } => Badge::new("is-wait", "ramp starts by itself"),
        RampState::Running { .. } if is_held => {
            Badge::new("is-wait", format!("ramp waits: {step}"))
        }
        RampState::Running { .. } => Badge::new("is-new", format!("ramp runs: {step}")),
        RampState::Paused { .. } => Badge::new("is-wait", format!("ramp paused: {step}")),
        RampState::Finished { .. } => Badge::new("is-good", "ramp finished"),
    })
}

impl RampView {
    /// `None` where there is no ramp.
    pub(super) fn of(seen: &RolloutOverview, now: DateTime<Utc>) -> Option<RampView> {
        let ramp = seen.rollout.ramp.as_ref()?;
        let outlook = seen.outlook.as_ref();
        let is_over = matches!(ramp.state, RampState::Finished { .. });
        let (at, completed) = (ramp.step(), ramp.completed());
        let steps = ramp.steps.iter().enumerate().map(|(index, step)| {
            let is_done = is_over || completed.is_some_and(|last| index <= last);
            let (class, told) = match (Some(index) == at && !is_over, is_done) {
                (true, _) => ("is-here", "current"),
                (false, true) => ("is-done", "held to its end"),
                (false, false) => ("is-ahead", "to come"),
            };
            StepView {
                number: index + 1,
                percent: step.percent.to_string(),
                hold: step.hold.to_string(),
                class,
                told,
            }
        });
        let next = outlook.and_then(|outlook| outlook.next);
        let next = match next {
            Some(Move::Enter(step)) => ramp.steps.get(step).map_or_else(String::new, |step| {
                format!("It goes on to {}", step.percent)
            }),
            Some(Move::Finish) => "It ends: every step will have been held".to_owned(),
            None => String::new(),
        };
        let present = at
            .and_then(|step| ramp.steps.get(step))
            .filter(|_| !is_over);
        let held = outlook.and_then(|outlook| outlook.held);
        Some(RampView {
            badge: at_a_glance(seen)?,
            steps: steps.collect(),
            next,
            due: outlook
                .and_then(|outlook| outlook.due)
                .map(|due| When::of(due, now)),
            waits: outlook
                .iter()
                .flat_map(|outlook| outlook.waits.iter().map(wait))
                .collect(),
            held: present
                .zip(held)
                .map(|(step, held)| format!("held for {} of {}", span(held), step.hold)),
        })
    }
}
