//! What comes next, as a person reads it.

use chrono::{DateTime, Utc};
use switchover::Percent;

use crate::domain::actor::Role;
use crate::domain::gate::GateReport;
use crate::domain::next_action::{By, Next};
use crate::domain::ramp::Wait;

/// The most gates whose answers are told.
const MOST_DETAILS: usize = 3;

impl By {
    /// In a few words.
    #[must_use]
    pub fn told(self) -> String {
        match self {
            By::Person(Role::Viewer) => "anybody".to_owned(),
            By::Person(Role::Admin) => "an admin".to_owned(),
            By::Person(role @ Role::Operator) => format!("an {role}"),
            By::Person(role @ Role::Maintainer) => format!("a {role}"),
            By::Itself => "by itself".to_owned(),
            By::Nobody => "nobody".to_owned(),
        }
    }
}

impl Next {
    /// In one sentence, without its end.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Next::Retired { since } => format!("nothing: retired since {}", minute(*since)),
            Next::TakeUp => "take it up again, or leave it: it is shelved".to_owned(),
            Next::Prepare { phases } => {
                let phases: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
                format!("prepare: {}", phases.join(" and "))
            }
            Next::Retire => {
                "take the flag out of the code, then retire it: it is mandatory everywhere"
                    .to_owned()
            }
            Next::Mandatory { since } => format!("nothing: mandatory since {}", minute(*since)),
            Next::Flip { action, by, until } => format!(
                "wait: keys are about to move ({action} by {by}), until {} at the latest",
                until.format("%Y-%m-%d %H:%M:%S UTC")
            ),
            Next::Resume {
                guard, by, frozen, ..
            } => {
                let why = match guard {
                    Some(guard) => format!("after you have looked at why guard {guard} halted it"),
                    None => format!("when what {by} halted it for is mended"),
                };
                match frozen {
                    None => format!("resume, {why}"),
                    Some(freeze) => format!("resume, {why}, and once this is over: {freeze}"),
                }
            }
            Next::Mend { guard, .. } => {
                format!("look at guard {guard}, which is in breach: nothing is exposed further")
            }
            Next::StartRamp { first, frozen } => {
                let start = match first {
                    Some(first) => format!("start the ramp, at {first}"),
                    None => "start the ramp".to_owned(),
                };
                match frozen {
                    None => start,
                    Some(freeze) => format!("{start}, once this is over: {freeze}"),
                }
            }
            Next::ResumeRamp { by, .. } => format!("resume the ramp, which {by} paused"),
            Next::Ramp { to, at, held_back } => ramp_told(*to, *at, held_back),
            Next::SwitchOn { since } => format!(
                "set it to its stage's default or to a ramp: it has been off since {}",
                minute(*since)
            ),
            Next::Gates { to, open } => {
                let names: Vec<&str> = open.iter().map(|report| report.gate).collect();
                let gates = if names.len() == 1 { "gate" } else { "gates" };
                let (count, names) = (names.len(), names.join(", "));
                format!("satisfy {count} {gates} for {to}: {names}")
            }
            Next::Soak { to, until } => {
                format!("wait: soak ends {}, then promote to {to}", minute(*until))
            }
            Next::ExposeAll => {
                "let every key take the new path: mandatory asks for that".to_owned()
            }
            Next::LeaveOldStore => {
                "take the old store out of use, after a backup: mandatory asks for that".to_owned()
            }
            Next::Promote { to } => format!("promote to {to}"),
        }
    }

    /// What is to be read besides: why it is so, or what would satisfy what.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            Next::Resume { reason, .. } | Next::ResumeRamp { reason, .. } => vec![reason.clone()],
            Next::Mend { detail, .. } => vec![detail.clone()],
            Next::Ramp { held_back, .. } => held_back.clone(),
            Next::Gates { open, .. } => open.iter().take(MOST_DETAILS).map(lacks).collect(),
            _ => Vec::new(),
        }
    }

    /// The moment that is waited for, if it is known.
    #[must_use]
    pub fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Next::Flip { until, .. } | Next::Soak { until, .. } => Some(*until),
            Next::Ramp { at, .. } => *at,
            _ => None,
        }
    }
}

/// What holds a ramp back, in a few words.
#[must_use]
pub fn wait(wait: &Wait) -> String {
    match wait {
        Wait::NotStarted => "nobody has started it".to_owned(),
        Wait::Paused { by, reason } => format!("{by} paused it: {reason}"),
        Wait::Halted => "the rollout is halted".to_owned(),
        Wait::Frozen { detail } | Wait::Flip { detail } => detail.clone(),
        Wait::SetOtherwise => "the setting is not the one of its step: resume the ramp".to_owned(),
        Wait::Guard {
            name,
            state,
            detail,
        } => match state {
            Some(state) => format!("guard {name} answers {}: {detail}", state.name()),
            None => format!("guard {name}: {detail}"),
        },
    }
}

fn ramp_told(to: Option<Percent>, at: Option<DateTime<Utc>>, held_back: &[String]) -> String {
    let what = match to {
        Some(to) => format!("ramp goes to {to}"),
        None => "ramp ends".to_owned(),
    };
    match (at, held_back.is_empty()) {
        (_, false) => format!("wait: {what} once nothing holds it back any more"),
        (Some(at), true) => format!("wait: {what} at {}", minute(at)),
        (None, true) => format!("wait: {what}"),
    }
}

fn lacks(report: &GateReport) -> String {
    format!("{}: {}", report.gate, report.detail)
}

fn minute(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%d %H:%M UTC")
}
