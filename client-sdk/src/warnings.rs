//! What somebody has set for a route in vain, or against advice.

use std::fmt;

use crate::decide::Case;
use crate::overrides::{FlagOverride, Overrides};
use crate::stage::{EnvironmentKind, Stage};
use crate::table::Table;

/// Something set that does not do what whoever set it may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The variable is neither `0` nor `1` and is ignored.
    IllegalOverride {
        /// Its name.
        variable: Box<str>,
    },
    /// The variable is ignored because the stage is mandatory.
    OverrideOfMandatory {
        /// Its name.
        variable: Box<str>,
    },
    /// The rollout is halted, which is ignored because the stage is mandatory.
    HaltOfMandatory,
    /// The variable turns on, on premises, what has not been accepted yet.
    NotAcceptedYet {
        /// Its name.
        variable: Box<str>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::IllegalOverride { variable } => write!(
                f,
                "{variable} is ignored: the legal values are exactly 1 (new path) and 0 (old path)"
            ),
            Warning::OverrideOfMandatory { variable } => write!(
                f,
                "{variable} is ignored: the route is mandatory; remove the variable"
            ),
            Warning::HaltOfMandatory => f.write_str("the halt is ignored: the route is mandatory"),
            Warning::NotAcceptedYet { variable } => write!(
                f,
                "{variable}=1 turns on a route that is ready for testing only: it has not been \
                 accepted yet"
            ),
        }
    }
}

/// What somebody has set for a route in vain, or against advice.
#[must_use]
pub fn warnings(table: &Table, route: &str, overrides: &Overrides) -> Vec<Warning> {
    Case::new(table, route, overrides, None).warnings()
}

impl Case<'_> {
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let Some(rollout) = self.rollout else {
            return Vec::new();
        };
        let mandatory = rollout.stage == Stage::Mandatory;
        let variable = || Box::from(rollout.flag.as_str());
        let mut warnings = Vec::new();
        match self.overrides.flag(&rollout.flag) {
            FlagOverride::Unset => {}
            FlagOverride::Ignored(_) => warnings.push(Warning::IllegalOverride {
                variable: variable(),
            }),
            FlagOverride::On | FlagOverride::Off if mandatory => {
                warnings.push(Warning::OverrideOfMandatory {
                    variable: variable(),
                });
            }
            FlagOverride::On
                if rollout.stage == Stage::ReadyForTesting
                    && self.kind == EnvironmentKind::OnPrem =>
            {
                warnings.push(Warning::NotAcceptedYet {
                    variable: variable(),
                });
            }
            FlagOverride::On | FlagOverride::Off => {}
        }
        if rollout.halted && mandatory {
            warnings.push(Warning::HaltOfMandatory);
        }
        warnings
    }
}
