//! Environment variables that override a route, as the decision sees them.
//!
//! The only place in the SDK that reads the process's environment.

use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "client")]
use std::sync::{Arc, OnceLock};

use crate::rollout::FlagName;

/// A process's environment variables, as they were when they were read.
#[derive(Clone, Default)]
pub struct Overrides {
    variables: HashMap<Box<str>, Box<str>>,
}

/// What a route's environment variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOverride<'a> {
    /// It is not set.
    Unset,
    /// It is exactly `1`.
    On,
    /// It is exactly `0`.
    Off,
    /// It is anything else, which counts as not set.
    Ignored(&'a str),
}

impl Overrides {
    /// No variable is set.
    #[must_use]
    pub fn none() -> Overrides {
        Overrides::default()
    }

    /// The variables of this process, now. A value that is not UTF-8 counts as an illegal one.
    #[must_use]
    pub fn from_process() -> Overrides {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect()
    }

    /// The variables as they were when they were first asked for: a process reads them once.
    #[cfg(feature = "client")]
    pub(crate) fn once_per_process() -> Arc<Overrides> {
        static READ: OnceLock<Arc<Overrides>> = OnceLock::new();
        Arc::clone(READ.get_or_init(|| Arc::new(Overrides::from_process())))
    }

    /// What the variable of this flag says.
    #[must_use]
    pub fn flag(&self, flag: &FlagName) -> FlagOverride<'_> {
        match self.variables.get(flag.as_str()).map(|value| &**value) {
            None => FlagOverride::Unset,
            Some("1") => FlagOverride::On,
            Some("0") => FlagOverride::Off,
            Some(other) => FlagOverride::Ignored(other),
        }
    }

    /// Whether `<PREFIX>_FEATURE_DEFAULT_ON` is exactly `1` for this flag's prefix.
    #[must_use]
    pub fn default_on(&self, flag: &FlagName) -> bool {
        self.variables
            .get(format!("{}_FEATURE_DEFAULT_ON", flag.prefix()).as_str())
            .is_some_and(|value| &**value == "1")
    }
}

/// `SWITCHOVER_URL` and `SWITCHOVER_SDK_KEY`, as they are now.
#[cfg(feature = "client")]
pub(crate) fn server_variables() -> (Option<String>, Option<String>) {
    let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    (read("SWITCHOVER_URL"), read("SWITCHOVER_SDK_KEY"))
}

impl fmt::Debug for Overrides {
    /// Without the variables: among a process's there are its secrets, the SDK key for one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("variables", &self.variables.len())
            .finish()
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for Overrides {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Overrides {
        Overrides {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}
