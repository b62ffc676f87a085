//! Why a caller gets what it gets: answered by what the SDK decides with, from what it is sent.

use switchover::{Explanation, Overrides, RouteKey, Version};

use crate::domain::cohort::{overlap, without_keys};
use crate::domain::environment::EnvironmentKey;
use crate::service::{Failure, Services};
use crate::store::{StoreError, Tx};

/// An explanation, and the state it was made from.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The decision and its chain.
    pub explanation: Explanation,
    /// The environment's version.
    pub version: Version,
    /// What somebody may not have meant: of cohorts, and of the ramp group.
    pub warnings: Vec<String>,
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
        let mut warnings = Vec::new();
        if let Some(rollout) = table.rollout(route) {
            warnings.extend(overlap(&rollout.include, &rollout.exclude));
            let group = rollout.ramp_group.as_deref();
            // What is published is explained with the database away, too.
            match self
                .store
                .read_first(|tx| advice(tx, (route, environment), group, key))
            {
                Ok(more) => warnings.extend(more),
                Err(error) => tracing::debug!(%error, "explained without what is on record"),
            }
        }
        Ok(Explained {
            explanation: switchover::explain(&table, route, overrides, key),
            version: published.version().clone(),
            warnings,
        })
    }
}

/// What somebody may not have meant, by what is on record beside the rollout.
fn advice(
    tx: &mut Tx<'_>,
    (route, environment): (&str, &EnvironmentKey),
    group: Option<&str>,
    key: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut advice = Vec::new();
    let rollout = match route.parse::<RouteKey>() {
        Ok(route) => tx.rollout(&route, environment)?,
        Err(_) => None,
    };
    let used = rollout.map(|rollout| rollout.uses.cohorts());
    for name in used.into_iter().flatten() {
        let cohort = tx.cohort(&name)?;
        if cohort.is_some_and(|cohort| cohort.keys.is_empty()) {
            advice.push(without_keys(&name));
        }
    }
    if let Some(group) = group {
        let mut groups = tx.ramp_groups()?.into_iter();
        match groups.find(|stated| stated.name.as_str() == group) {
            Some(stated) if key.is_none() => advice.push(format!(
                "no key is passed: ramp group {group} moves keys that are a {}; pass one, or a \
                 ramp leaves the caller on the old path",
                stated.keys
            )),
            Some(_) => {}
            None => advice.push(format!(
                "ramp group {group} does not state what its keys are: switchover ramp-group set \
                 {group} --keys … --reason …"
            )),
        }
    }
    Ok(advice)
}
