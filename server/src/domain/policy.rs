//! Which gates a promotion needs.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use switchover::Stage;

use crate::domain::environment::Environment;

/// A policy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// Order and requirements alone.
    Open,
    /// The process by which Gitaly's team migrated its routes.
    Gitaly,
}

impl PolicyName {
    /// Every policy.
    pub const ALL: [PolicyName; 2] = [PolicyName::Open, PolicyName::Gitaly];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PolicyName::Open => "open",
            PolicyName::Gitaly => "gitaly",
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        PolicyName::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| format!("`{text}` is no policy; the policies are open and gitaly"))
    }
}

/// A condition that a promotion needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The stage is the next one, and every earlier environment has it.
    Order,
    /// Required routes have at least this stage here.
    Requires,
    /// So many maintainers other than the promoter have approved exactly this.
    Approval {
        /// How many.
        count: usize,
    },
}

impl PolicyName {
    /// The gates of a promotion to this stage in this environment.
    #[must_use]
    pub fn gates(self, to: Stage, environment: &Environment) -> Vec<Gate> {
        let approval = match self {
            PolicyName::Open => false,
            PolicyName::Gitaly => match to {
                Stage::ReadyForTesting => false,
                Stage::OptIn => environment.is_guarded(),
                Stage::OptOut | Stage::Mandatory => true,
            },
        };
        let mut gates = vec![Gate::Order, Gate::Requires];
        gates.extend(approval.then_some(Gate::Approval { count: 1 }));
        gates
    }
}
