//! What a route goes through before it is ready to be tested.
//!
//! `analysis` ends with the decision to move ahead. `rpc_design` follows, and then the server's and
//! the client's implementation, in any order. Where an existing endpoint serves, only the client's is
//! left to do. A route may be shelved until it is ready, and taken up again: then it is decided anew,
//! and what was completed stays so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::RouteKey;

use crate::domain::estimate::{Estimate, checked};
use crate::domain::field::FieldError;
use crate::domain::refusal::Refusal;

/// A step of the preparation, in the order of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What it would take, and whether it is worth it.
    Analysis,
    /// The new endpoint's interface.
    RpcDesign,
    /// The new endpoint, with its tests.
    ServerImplementation,
    /// The flag and both paths in the caller.
    ClientImplementation,
}

impl Phase {
    /// Every phase, first to last.
    pub const ALL: [Phase; 4] = [
        Phase::Analysis,
        Phase::RpcDesign,
        Phase::ServerImplementation,
        Phase::ClientImplementation,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Analysis => "analysis",
            Phase::RpcDesign => "rpc_design",
            Phase::ServerImplementation => "server_implementation",
            Phase::ClientImplementation => "client_implementation",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Phase::ALL
            .into_iter()
            .find(|phase| phase.name() == text)
            .ok_or_else(|| {
                format!(
                    "`{text}` is no phase; the phases are analysis, rpc_design, \
                     server_implementation and client_implementation"
                )
            })
    }
}

/// Which routes a list has, by their preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At this phase.
    Phase(Phase),
    /// Shelved.
    Shelved,
    /// Ready, and published.
    Ready,
    /// Not ready: at any phase, or shelved.
    Unready,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "shelved" => Ok(At::Shelved),
            "ready" => Ok(At::Ready),
            "unready" => Ok(At::Unready),
            phase => phase
                .parse()
                .map(At::Phase)
                .map_err(|error: String| format!("{error}; also shelved, ready and unready")),
        }
    }
}

/// Who did something, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is worth it.
    Ahead(Mark),
    /// Not now.
    Shelved(Mark),
}

/// How far the preparation of a route is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// Roughly how much work it is.
    pub estimate: Option<Estimate>,
    /// Its place in the backlog: 1 comes first, none comes last.
    pub priority: Option<u32>,
    /// Whether an endpoint that exists serves, so that only the client is left to do.
    pub existing_endpoint: bool,
    /// What was decided; nothing during the analysis.
    pub decision: Option<Decision>,
    /// Who completed which phase; the analysis is completed by the decision.
    pub completed: BTreeMap<Phase, Mark>,
}

/// What somebody does to a preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Says how much work it is, how urgent, and whether an endpoint exists; what is left out stays.
    Estimate {
        /// Roughly how much work.
        estimate: Option<Estimate>,
        /// Its place in the backlog.
        priority: Option<u32>,
        /// Whether an existing endpoint serves.
        existing_endpoint: Option<bool>,
    },
    /// Decides to do it.
    MoveAhead,
    /// Completes a phase.
    Complete(Phase),
    /// Decides not to, for now.
    Shelve,
    /// Goes back to the analysis of what was shelved.
    TakeUp,
}

impl Command {
    /// The name of the action, for the record.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Command::Estimate { .. } => "estimate",
            Command::MoveAhead => "move_ahead",
            Command::Complete(_) => "complete_phase",
            Command::Shelve => "shelve",
            Command::TakeUp => "take_up",
        }
    }
}

impl Preparation {
    /// The first state of a preparation.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn begin(
        estimate: Option<Estimate>,
        priority: Option<u32>,
        existing_endpoint: bool,
    ) -> Result<Preparation, Vec<FieldError>> {
        let (estimate, priority) = checked(estimate, priority)?;
        Ok(Preparation {
            estimate,
            priority,
            existing_endpoint,
            ..Preparation::default()
        })
    }

    /// Whether nothing is left to prepare.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.decision, Some(Decision::Ahead(_))) && self.open().is_empty()
    }

    /// Whether it was decided not to go on, for now.
    #[must_use]
    pub fn is_shelved(&self) -> bool {
        matches!(self.decision, Some(Decision::Shelved(_)))
    }

    /// The phases that can be worked on now: none when it is shelved or ready.
    #[must_use]
    pub fn open(&self) -> Vec<Phase> {
        match &self.decision {
            None => vec![Phase::Analysis],
            Some(Decision::Shelved(_)) => Vec::new(),
            Some(Decision::Ahead(_)) => {
                let missing = |phase: &Phase| !self.completed.contains_key(phase);
                let designed = self.existing_endpoint || !missing(&Phase::RpcDesign);
                let next: &[Phase] = match (designed, self.existing_endpoint) {
                    (false, _) => &[Phase::RpcDesign],
                    (true, true) => &[Phase::ClientImplementation],
                    (true, false) => &[Phase::ServerImplementation, Phase::ClientImplementation],
                };
                next.iter().copied().filter(missing).collect()
            }
        }
    }

    /// What it is at, by name: its open phases, or `shelved`, or `ready`.
    #[must_use]
    pub fn at(&self) -> Vec<&'static str> {
        if self.is_shelved() {
            return vec!["shelved"];
        }
        match self.open().as_slice() {
            [] => vec!["ready"],
            open => open.iter().map(|phase| phase.name()).collect(),
        }
    }

    /// What is to be done next, as the command that does it; empty when it is ready.
    #[must_use]
    pub fn next_step(&self, route: &RouteKey) -> String {
        if self.is_shelved() {
            return format!("take it up again (switchover prepare {route} take-up --reason …)");
        }
        match self.open().as_slice() {
            [] => String::new(),
            [Phase::Analysis] if self.estimate.is_none() => format!(
                "estimate the work (switchover prepare {route} estimate --estimate … --reason …), \
                 then decide to move ahead or to shelve it"
            ),
            [Phase::Analysis] => format!(
                "decide to move ahead (switchover prepare {route} move-ahead --reason …) or to \
                 shelve it"
            ),
            [phase, rest @ ..] => {
                let and = match rest {
                    [] => String::new(),
                    [other, ..] => format!(", and {other}"),
                };
                format!(
                    "complete {phase}{and} (switchover prepare {route} complete {phase} --reason …)"
                )
            }
        }
    }

    /// What it is after a command.
    ///
    /// # Errors
    /// When the process has no such step from here; the text says which it has.
    pub fn after(
        &self,
        route: &RouteKey,
        command: &Command,
        mark: Mark,
    ) -> Result<Preparation, Refusal> {
        if self.is_ready() {
            return Err(refused(format!(
                "`{route}` is ready and published: its preparation is over, and it can no longer be \
                 shelved"
            )));
        }
        let mut after = self.clone();
        match command {
            Command::Estimate {
                estimate,
                priority,
                existing_endpoint,
            } => {
                let changes = existing_endpoint.is_some_and(|it| it != self.existing_endpoint);
                if changes && self.decision.is_some() {
                    return Err(refused(format!(
                        "whether an existing endpoint serves `{route}` is found out in its analysis, \
                         which is over: shelve it and take it up again to change that"
                    )));
                }
                after.estimate = estimate.clone().or(after.estimate);
                after.priority = priority.or(after.priority);
                after.existing_endpoint = existing_endpoint.unwrap_or(after.existing_endpoint);
            }
            Command::MoveAhead => {
                self.in_analysis(route, "to be decided")?;
                if self.estimate.is_none() {
                    return Err(refused(format!(
                        "the decision about `{route}` needs an estimate: {}",
                        self.next_step(route)
                    )));
                }
                after.decision = Some(Decision::Ahead(mark));
            }
            Command::Complete(phase) => {
                self.may_complete(route, *phase)?;
                after.completed.insert(*phase, mark);
            }
            Command::Shelve => {
                if self.is_shelved() {
                    return Err(refused(format!("`{route}` is shelved already")));
                }
                after.decision = Some(Decision::Shelved(mark));
            }
            Command::TakeUp => {
                if !self.is_shelved() {
                    return Err(refused(format!(
                        "`{route}` is not shelved: {}",
                        self.next_step(route)
                    )));
                }
                after.decision = None;
            }
        }
        Ok(after)
    }

    fn in_analysis(&self, route: &RouteKey, what: &str) -> Result<(), Refusal> {
        if self.decision.is_none() {
            return Ok(());
        }
        Err(refused(format!(
            "`{route}` is not in analysis any more, so nothing is {what}: {}",
            self.next_step(route)
        )))
    }

    fn may_complete(&self, route: &RouteKey, phase: Phase) -> Result<(), Refusal> {
        if self.open().contains(&phase) && phase != Phase::Analysis {
            return Ok(());
        }
        let next = self.next_step(route);
        let why = if phase == Phase::Analysis {
            "analysis is completed by the decision".to_owned()
        } else if let Some(done) = self.completed.get(&phase) {
            format!("{phase} of `{route}` was completed by {}", done.by)
        } else if self.is_shelved() {
            format!("`{route}` is shelved")
        } else if self.existing_endpoint && phase != Phase::ClientImplementation {
            format!("`{route}` uses an existing endpoint, so that it has no {phase}")
        } else {
            format!(
                "`{route}` is at {}, before {phase}",
                self.at().join(" and ")
            )
        };
        Err(refused(format!("{why}; next: {next}")))
    }
}

fn refused(detail: String) -> Refusal {
    Refusal::InvalidTransition(detail)
}

#[cfg(test)]
mod tests;
