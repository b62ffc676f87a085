//! Where callers run.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::EnvironmentKind;

/// The name of an environment: `[a-z][a-z0-9-]{0,31}`. It stands in URLs and snapshots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EnvironmentKey(Box<str>);

impl From<EnvironmentKey> for String {
    fn from(key: EnvironmentKey) -> String {
        key.0.into()
    }
}

impl TryFrom<String> for EnvironmentKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl EnvironmentKey {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for EnvironmentKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if first && text.len() <= 32 && text.bytes().all(legal) {
            Ok(EnvironmentKey(text.into()))
        } else {
            Err(
                "an environment is a lower-case letter, then up to 31 lower-case letters, digits \
                 or hyphens",
            )
        }
    }
}

/// One environment. Positions order them: a route reaches a stage in the lower ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub key: EnvironmentKey,
    /// Who runs its callers.
    pub kind: EnvironmentKind,
    /// Its place in the order; unique.
    pub position: i32,
    /// Whether real users depend on it.
    pub production: bool,
    /// Counts the commits that changed what it publishes.
    pub revision: u64,
    /// Counts the changes of the environment itself.
    pub generation: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Environment {
    /// Whether people who are not in the team feel a change here: then only maintainers promote,
    /// and exposure before opt-in needs an acceptance window.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.production || self.kind == EnvironmentKind::OnPrem
    }
}

/// What an environment is made from.
#[derive(Clone, Debug)]
pub struct NewEnvironment {
    /// Its name.
    pub key: EnvironmentKey,
    /// Who runs its callers.
    pub kind: EnvironmentKind,
    /// Its place in the order.
    pub position: i32,
    /// Whether real users depend on it.
    pub production: bool,
}
