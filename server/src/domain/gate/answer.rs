//! What a gate answers.

use serde::Serialize;
use serde_json::{Map, Value};

/// A gate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Satisfied.
    Pass,
    /// Not satisfied.
    Fail,
    /// Too little is known; counts as not satisfied.
    Insufficient,
}

/// A gate's answer with its grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateReport {
    /// Which gate.
    pub gate: &'static str,
    /// Its answer.
    pub state: GateState,
    /// The facts it answered from.
    pub detail: String,
    /// The numbers among them, and the limits; their names say the units.
    pub numbers: Map<String, Value>,
    /// What would satisfy it; empty when it passes.
    pub remedy: String,
}

impl GateReport {
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> GateReport {
        self.numbers.insert(name.to_owned(), value.into());
        self
    }
}

fn report(gate: &'static str, state: GateState, detail: String, remedy: String) -> GateReport {
    GateReport {
        gate,
        state,
        detail,
        numbers: Map::new(),
        remedy,
    }
}

pub(super) fn pass(gate: &'static str, detail: impl Into<String>) -> GateReport {
    report(gate, GateState::Pass, detail.into(), String::new())
}

pub(super) fn fail(
    gate: &'static str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
) -> GateReport {
    report(gate, GateState::Fail, detail.into(), remedy.into())
}

pub(super) fn insufficient(
    gate: &'static str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
) -> GateReport {
    report(gate, GateState::Insufficient, detail.into(), remedy.into())
}

/// Installations of others are judged by what hosted environments show.
pub(super) fn no_hosted(gate: &'static str) -> GateReport {
    insufficient(
        gate,
        "there is no hosted environment that could answer",
        "add one and test the route there: switchover environment add --help",
    )
}

/// What callers report is kept apart, and may be out of reach while everything else is not.
pub(super) fn unreadable(gate: &'static str) -> GateReport {
    insufficient(
        gate,
        "what callers report cannot be read now",
        "try again; if it stays so, the server's log says what is wrong with its telemetry database",
    )
}

/// The first of many names, and how many there are besides.
pub(super) fn some(names: &[impl ToString]) -> String {
    const MOST: usize = 10;
    let shown = list(names.iter().take(MOST).map(ToString::to_string));
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(super) fn list(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    names.join(", ")
}
