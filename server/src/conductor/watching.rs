//! The guards of all rollouts, fed with what callers report.

use std::collections::{BTreeMap, BTreeSet};

use switchover::RouteKey;

use crate::conductor::asking::Answered;
use crate::domain::environment::EnvironmentKey;
use crate::domain::guard::{GuardReport, Watched};
use crate::domain::telemetry::Reported;
use crate::service::{Guarded, Services, Target};
use crate::store::StoreError;

/// Reports that are read at once.
const MOST: u32 = 20_000;

type Key = (EnvironmentKey, RouteKey);

/// What the guards know, and how far they have read.
pub(super) struct Watching {
    position: u64,
    states: BTreeMap<Key, Watched>,
    /// What they watch, as of a revision of the environment.
    guarded: BTreeMap<Target, (u64, Guarded)>,
}

impl Watching {
    /// What is on record: another node may have brought it this far.
    pub(super) fn load(services: &Services) -> Result<Watching, StoreError> {
        let (position, states) = services
            .telemetry()
            .read_first::<_, StoreError>(|tx| tx.all_guards())?;
        Ok(Watching {
            position,
            states: states.into_iter().collect(),
            guarded: BTreeMap::new(),
        })
    }

    /// Reads a page of what has been reported since; whether that was all. What was gathered and how
    /// far it was read are kept in one transaction, so that nothing is lost or goes in twice.
    pub(super) fn read(&mut self, services: &Services) -> Result<bool, StoreError> {
        let position = self.position;
        let reports = services
            .telemetry()
            .read_first::<_, StoreError>(|tx| tx.reports_after(position, MOST))?;
        let Some(last) = reports.last().map(|report| report.position) else {
            return Ok(true);
        };
        let touched = self.take(services, &reports)?;
        let states: Vec<(&Key, &Watched)> = self
            .states
            .iter()
            .filter(|(key, _)| touched.contains(*key))
            .collect();
        services
            .telemetry()
            .write::<_, StoreError>(|tx| tx.keep_guards((position, last), &states))?;
        self.position = last;
        Ok(reports.len() < usize::try_from(MOST).unwrap_or(usize::MAX))
    }

    /// Gives every rollout's guards their reports; the rollouts that had some.
    fn take(
        &mut self,
        services: &Services,
        reports: &[Reported],
    ) -> Result<BTreeSet<Key>, StoreError> {
        let mut by_rollout = BTreeMap::<Key, Vec<&Reported>>::new();
        for report in reports {
            let key = (report.environment.clone(), report.counts.route.clone());
            by_rollout.entry(key).or_default().push(report);
        }
        // Read after the reports: no report is of a later form than this.
        self.refresh(services, by_rollout.keys())?;
        let second = services.now().timestamp();
        let mut touched = BTreeSet::new();
        for (key, reports) in by_rollout {
            let Some((_, guarded)) = self.guarded.get(&target(&key)) else {
                continue;
            };
            if guarded.guards.is_empty() {
                continue;
            }
            let state = self.states.entry(key.clone()).or_default();
            state.take(guarded.published, &guarded.guards, &reports, second);
            touched.insert(key);
        }
        Ok(touched)
    }

    /// Gives guards what Prometheus has answered to them, and keeps what they know then.
    pub(super) fn hear(
        &mut self,
        services: &Services,
        answered: Vec<Answered>,
    ) -> Result<(), StoreError> {
        let second = services.now().timestamp();
        let mut touched = BTreeSet::new();
        for (asking, answers) in answered {
            let key = (asking.target.environment, asking.target.route);
            let state = self.states.entry(key.clone()).or_default();
            // The rollout may have changed since they were asked, and act under the new form.
            if state.is_later_than(asking.published) {
                continue;
            }
            state.hear(asking.published, &asking.guards, &answers, second);
            touched.insert(key);
        }
        let states: Vec<(&Key, &Watched)> = self
            .states
            .iter()
            .filter(|(key, _)| touched.contains(*key))
            .collect();
        let position = self.position;
        services
            .telemetry()
            .write::<_, StoreError>(|tx| tx.keep_guards((position, position), &states))
    }

    /// Does what is due. What cannot be done now is tried again at the next tick.
    pub(super) fn act(&mut self, services: &Services) {
        let due = self.states.iter().filter(|(_, state)| state.is_due());
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        if due.is_empty() {
            return;
        }
        if let Err(error) = self.refresh(services, due.iter()) {
            tracing::error!(%error, "guards cannot act");
            return;
        }
        let mut done = Vec::new();
        for (key, state) in self.states.iter_mut().filter(|(key, _)| due.contains(key)) {
            let target = target(key);
            let Some((_, guarded)) = self.guarded.get(&target) else {
                continue;
            };
            for due in state.due(&guarded.guards) {
                let (route, environment) = (&target.route, &target.environment);
                let guard = &due.guard.name;
                match services.carry_out(&target, &due) {
                    Ok(acted) => {
                        let detail = &due.detail;
                        tracing::warn!(
                            %route, %environment, guard, acted, detail,
                            "a guard's limit is passed"
                        );
                        state.done(&due);
                        done.push(key.clone());
                    }
                    Err(failure) => {
                        tracing::error!(%route, %environment, guard, %failure, "a guard cannot act");
                    }
                }
            }
        }
        if done.is_empty() {
            return;
        }
        let states: Vec<(&Key, &Watched)> = self
            .states
            .iter()
            .filter(|(key, _)| done.contains(key))
            .collect();
        let position = self.position;
        let kept = services
            .telemetry()
            .write::<_, StoreError>(|tx| tx.keep_guards((position, position), &states));
        if let Err(error) = kept {
            // It would be tried again, and found to be done.
            tracing::warn!(%error, "what guards did is not kept with what they know");
        }
    }

    /// What the guards of a rollout answer now.
    pub(super) fn answers(&self, services: &Services, target: &Target) -> Vec<GuardReport> {
        let found = services.guarded(&BTreeSet::from([target.clone()]));
        let Some(guarded) = found.ok().and_then(|mut found| found.remove(target)) else {
            return Vec::new();
        };
        let key = (target.environment.clone(), target.route.clone());
        let silent = Watched::default();
        let state = self.states.get(&key).unwrap_or(&silent);
        let second = services.now().timestamp();
        let answers = state.answers(guarded.published, &guarded.guards, second);
        services.with_record(target, answers)
    }

    /// Reads what these rollouts' guards watch, where something has changed in the environment.
    fn refresh<'a>(
        &mut self,
        services: &Services,
        keys: impl Iterator<Item = &'a Key>,
    ) -> Result<(), StoreError> {
        let revisions = services.revisions()?;
        let mut stale = BTreeSet::new();
        for key in keys {
            let target = target(key);
            let now = revisions.get(&key.0).copied();
            let known = self.guarded.get(&target).map(|(revision, _)| *revision);
            if known.is_none() || known != now {
                self.guarded.remove(&target);
                stale.insert(target);
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        for (target, guarded) in services.guarded(&stale)? {
            if let Some(revision) = revisions.get(&target.environment) {
                self.guarded.insert(target, (*revision, guarded));
            }
        }
        Ok(())
    }
}

fn target((environment, route): &Key) -> Target {
    Target {
        route: route.clone(),
        environment: environment.clone(),
    }
}
