//! Guards: limits on what callers report, and what they answer (DESIGN, section 5).

mod answer;
mod fleet;
mod hourly;
mod reading;
mod recent;
mod sequential;
mod watched;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::policy::Guard;

pub use reading::{OF_CALLS, OF_ERRORS};
pub use sequential::{Finding, Hypothesis, Sample, Sequential, bound};
pub use watched::{Due, Watched};

/// A guard's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardState {
    /// Enough is reported, and it does not speak against the new path.
    Pass,
    /// The limit is passed, beyond chance.
    Breach,
    /// Too little is known: exposes no more, and halts nothing.
    Insufficient,
}

impl GuardState {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            GuardState::Pass => "pass",
            GuardState::Breach => "breach",
            GuardState::Insufficient => "insufficient",
        }
    }
}

/// A guard's answer with its grounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GuardReport {
    /// The guard, as the route's policy has it.
    pub guard: Guard,
    /// Its answer.
    pub state: GuardState,
    /// The facts it answered from.
    pub detail: String,
    /// The numbers among them; their names say the units.
    pub numbers: Map<String, Value>,
    /// The one instance that carries what was seen, where one does: then the ramp pauses, and
    /// nothing is halted.
    pub instance: Option<String>,
}
