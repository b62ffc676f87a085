//! What the changes of one transaction have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::freeze::Freeze;
use crate::domain::guard::GuardReport;
use crate::domain::policy::{Policy, PolicyName};
use crate::domain::route::Route;
use crate::service::consistency::answer_by_record;
use crate::service::guard::asked;
use crate::service::{Guarded, Target};
use crate::store::{StoreError, Tx};
use crate::telemetry::TelemetryStore;

/// What the changes of one transaction have in common: read once, however many rollouts change.
pub(super) struct Shared {
    pub(super) telemetry: Arc<TelemetryStore>,
    policies: BTreeMap<PolicyName, Policy>,
    freezes: Option<Vec<Freeze>>,
    /// What the guards of the one rollout answered to whoever asked them: then nobody asks again.
    pub(super) answers: Option<Vec<GuardReport>>,
}

impl Shared {
    /// Nothing is read yet; what guards have gathered will be, from here.
    pub(super) fn new(telemetry: &Arc<TelemetryStore>) -> Shared {
        Shared {
            telemetry: Arc::clone(telemetry),
            policies: BTreeMap::new(),
            freezes: None,
            answers: None,
        }
    }

    pub(super) fn policy(&mut self, tx: &mut Tx<'_>, route: &Route) -> Result<Policy, StoreError> {
        let name = &route.spec.policy;
        let policy = match self.policies.get(name) {
            Some(policy) => policy.clone(),
            None => {
                let found = tx.policy_of_routes(name)?.ok_or_else(|| {
                    StoreError::Corrupt(format!("routes.policy: there is no policy {name}"))
                })?;
                self.policies.insert(name.clone(), found.policy.clone());
                found.policy
            }
        };
        Ok(policy.with_numbers(&route.spec.policy_numbers))
    }

    /// What the guards of a rollout answer; `None` where that cannot be read.
    pub(super) fn guards(
        &mut self,
        tx: &mut Tx<'_>,
        (route, environment): (&Route, &Environment),
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<GuardReport>>, StoreError> {
        if let Some(answers) = &self.answers {
            return Ok(Some(answers.clone()));
        }
        let guards = self.policy(tx, route)?.guards;
        if guards.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (key, place) = (&route.spec.key, &environment.key);
        let Some(published) = tx.counted_since(key, place)? else {
            return Ok(Some(Vec::new()));
        };
        let target = Target {
            route: key.clone(),
            environment: place.clone(),
        };
        let guarded = Guarded { published, guards };
        let mut answers = asked(&self.telemetry, &target, &guarded, now.timestamp());
        if let Some(answers) = &mut answers {
            answer_by_record(tx, &target, answers, now)?;
        }
        Ok(answers)
    }

    pub(super) fn freezes(
        &mut self,
        tx: &mut Tx<'_>,
        environment: &EnvironmentKey,
        now: DateTime<Utc>,
    ) -> Result<Vec<Freeze>, StoreError> {
        let all = match self.freezes.take() {
            Some(all) => all,
            None => tx.freezes(Some(now))?,
        };
        let here = all
            .iter()
            .filter(|freeze| freeze.covers(environment) && freeze.is_open(now))
            .cloned()
            .collect();
        self.freezes = Some(all);
        Ok(here)
    }
}
