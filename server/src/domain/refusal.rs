//! Why the rules do not allow something, with what a person needs to go on.

use std::fmt;

use switchover::{RouteKey, Stage};

use crate::domain::actor::Role;
use crate::domain::gate::answer::GateReport;
use crate::domain::loss::LossRisk;
use crate::domain::plan::OpenStep;

/// Why something may not happen. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The lifecycle has no such step from here.
    InvalidTransition(String),
    /// Gates that do not pass; all of them.
    GatesNotMet {
        /// The stage wanted.
        to: Stage,
        /// Every gate that does not pass.
        gates: Vec<GateReport>,
    },
    /// The role does not suffice.
    Forbidden {
        /// The role that would.
        needs: Role,
        /// For what.
        to_do: String,
    },
    /// The rollout is halted.
    Halted(String),
    /// The stage is mandatory, and nothing but a demotion changes that.
    Mandatory(String),
    /// The route is not ready, so that it is in no environment yet.
    NotReady(String),
    /// The route is retired, which is final.
    Retired(RouteKey),
    /// It would raise exposure before opt-in outside an acceptance window.
    WindowNeeded(String),
    /// A change freeze is open.
    Frozen(String),
    /// A guard is in breach.
    GuardBreach(String),
    /// A flip is under way: keys of the route are about to move.
    FlipUnderWay(String),
    /// Keys of the route cannot move between its stores now.
    FlipBlocked(String),
    /// The two stores of a data route do not hold the same.
    StoresDiffer {
        /// What they answer.
        gates: Vec<GateReport>,
        /// What would be right.
        detail: String,
    },
    /// Writes would be lost, and nobody has accepted that.
    LossRisk {
        /// Which.
        risk: LossRisk,
        /// What would be right.
        detail: String,
    },
    /// The old store must not go out of use yet.
    OldStoreNeeded {
        /// Everything that is lacking.
        lacking: Vec<String>,
        /// What would be right.
        detail: String,
    },
    /// Nothing shows that no code asks for the route any more.
    StillReferenced {
        /// What is lacking, repository by repository.
        lacking: Vec<String>,
        /// All of it.
        detail: String,
    },
    /// Routes that require this one would be ahead of it.
    Dependents {
        /// Those routes and their stage here.
        ahead: Vec<(RouteKey, Stage)>,
        /// What would be right.
        detail: String,
    },
    /// Steps of a plan that have to be done before.
    OutOfOrder {
        /// The step that was to be ticked.
        step: String,
        /// Those that are not done.
        missing: Vec<OpenStep>,
    },
    /// A value that cannot be.
    Invalid {
        /// Which field.
        field: &'static str,
        /// What would be right.
        detail: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::InvalidTransition(detail)
            | Refusal::Halted(detail)
            | Refusal::Mandatory(detail)
            | Refusal::WindowNeeded(detail)
            | Refusal::NotReady(detail)
            | Refusal::Frozen(detail)
            | Refusal::GuardBreach(detail)
            | Refusal::FlipUnderWay(detail)
            | Refusal::FlipBlocked(detail)
            | Refusal::StoresDiffer { detail, .. }
            | Refusal::LossRisk { detail, .. }
            | Refusal::OldStoreNeeded { detail, .. }
            | Refusal::StillReferenced { detail, .. }
            | Refusal::Dependents { detail, .. } => f.write_str(detail),
            Refusal::GatesNotMet { to, gates } => {
                let names: Vec<&str> = gates.iter().map(|report| report.gate).collect();
                write!(f, "promotion to {to} needs: {}", names.join(", "))
            }
            Refusal::Forbidden { needs, to_do } => {
                write!(f, "{to_do} needs the role {needs} or above")
            }
            Refusal::Retired(route) => write!(
                f,
                "`{route}` is retired, which is final: it stays mandatory for ever"
            ),
            Refusal::OutOfOrder { step, missing } => {
                let named: Vec<String> = missing.iter().take(3).map(OpenStep::brief).collect();
                write!(f, "before `{step}`, do: {}", named.join("; "))?;
                match missing.len().saturating_sub(named.len()) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            Refusal::Invalid { field, detail } => write!(f, "{field}: {detail}"),
        }
    }
}

impl std::error::Error for Refusal {}
