//! Why a caller gets what it gets: answered by what the SDK decides with, from what it is sent.

use switchover::{Explanation, Overrides, Version};

use crate::domain::environment::EnvironmentKey;
use crate::service::{Failure, Services};

/// An explanation, and the state it was made from.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The decision and its chain.
    pub explanation: Explanation,
    /// The environment's version.
    pub version: Version,
}

impl Services {
    /// What a caller with this key and these environment variables would be told, and why. A route
    /// that is not published is explained too: as the SDK would.
    ///
    /// # Errors
    /// When there is no such environment.
    pub fn explain(
        &self,
        route: &str,
        environment: &EnvironmentKey,
        key: Option<&str>,
        overrides: &Overrides,
    ) -> Result<Explained, Failure> {
        let published = self
            .hub
            .current(environment)
            .ok_or_else(|| Failure::missing("environment", environment))?;
        let table = published.table().map_err(|error| {
            Failure::Conflict(format!("what is published cannot be decided: {error}"))
        })?;
        Ok(Explained {
            explanation: switchover::explain(&table, route, overrides, key),
            version: published.version().clone(),
        })
    }
}
