//! The lifecycle's four stages and the two kinds of environment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a route has moved, per environment. The order is the order of the lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Complete, but off unless somebody turns it on to test it.
    ReadyForTesting,
    /// On where callers talk to the server; on premises only where the installation asks for it.
    OptIn,
    /// On everywhere unless an installation turns it off.
    OptOut,
    /// On everywhere; nothing turns it off.
    Mandatory,
}

impl Stage {
    /// Every stage, first to last.
    pub const ALL: [Stage; 4] = [
        Stage::ReadyForTesting,
        Stage::OptIn,
        Stage::OptOut,
        Stage::Mandatory,
    ];

    /// The name on the wire: `ready_for_testing`, `opt_in`, `opt_out`, `mandatory`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::ReadyForTesting => "ready_for_testing",
            Stage::OptIn => "opt_in",
            Stage::OptOut => "opt_out",
            Stage::Mandatory => "mandatory",
        }
    }

    /// The stage that a promotion from here leads to; `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Stage> {
        match self {
            Stage::ReadyForTesting => Some(Stage::OptIn),
            Stage::OptIn => Some(Stage::OptOut),
            Stage::OptOut => Some(Stage::Mandatory),
            Stage::Mandatory => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStage(pub String);

impl fmt::Display for UnknownStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no stage; the stages are ready_for_testing, opt_in, opt_out and mandatory",
            self.0
        )
    }
}

impl std::error::Error for UnknownStage {}

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, UnknownStage> {
        Stage::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| UnknownStage(text.to_owned()))
    }
}

/// Who runs the callers of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentKind {
    /// Callers talk to the server.
    Hosted,
    /// Installations that the operator of the server does not run.
    OnPrem,
}

impl EnvironmentKind {
    /// The name on the wire: `hosted` or `on_prem`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EnvironmentKind::Hosted => "hosted",
            EnvironmentKind::OnPrem => "on_prem",
        }
    }
}

impl fmt::Display for EnvironmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
