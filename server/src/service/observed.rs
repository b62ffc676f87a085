//! What callers report, and what Prometheus answers, as gates ask for it: beside every transaction.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use switchover::{RouteKey, Stage};

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::{Deployed, Facts, Traffic};
use crate::domain::gate::{Asked, answering};
use crate::domain::lifecycle::Command;
use crate::domain::policy::Sampled;
use crate::domain::route::Operation;
use crate::domain::telemetry::{SEEN_WITHIN_MINUTES, Tallies, deployed};
use crate::service::proof::proof;
use crate::service::queried::sampled;
use crate::service::rollout::Change;
use crate::service::shared::Shared;
use crate::service::work::facts;
use crate::service::{Ctx, Failure, Services};
use crate::store::StoreError;
use crate::telemetry::{Length, Which};

/// More instances of an environment than are ever kept.
const ALL_INSTANCES: usize = 100_000;

/// What callers report, as gates ask for it.
#[derive(Clone, Default)]
pub(super) struct Observed(BTreeMap<RouteKey, (Asked, Answers)>);

#[derive(Clone, Default)]
struct Answers {
    traffic: BTreeMap<EnvironmentKey, Traffic>,
    deployed: BTreeMap<EnvironmentKey, Deployed>,
    sampled: BTreeMap<(EnvironmentKey, String), Sampled>,
    unreadable: bool,
}

impl Observed {
    /// Puts what was read of a route to the facts. What was not asked before, or otherwise, because
    /// the policy has just changed, is not known.
    pub(super) fn tell(&self, facts: &mut Facts, to: Stage) {
        let asked = Asked::of(facts, to);
        if asked == Asked::default() {
            return;
        }
        let answers = match self.0.get(&facts.route.spec.key) {
            Some((answered, answers)) if *answered == asked => answers.clone(),
            _ => Answers {
                unreadable: true,
                ..Answers::default()
            },
        };
        facts.proof.traffic = answers.traffic;
        facts.proof.deployed = answers.deployed;
        facts.proof.sampled = answers.sampled;
        facts.proof.unreadable = answers.unreadable;
    }
}

impl Services {
    /// What callers report of the routes that a change promotes; nothing of other changes.
    pub(super) fn observe_change(&self, ctx: &Ctx, change: &Change) -> Result<Observed, Failure> {
        match &change.command {
            Command::Promote { to, .. } => Ok(self.observe(&self.promotions(ctx, change)?, *to)),
            _ => Ok(Observed::default()),
        }
    }

    /// What a promotion and those in its way are judged by, as far as this can be known before
    /// anything is locked. Nothing where there is no such rollout: the change itself says so.
    fn promotions(&self, ctx: &Ctx, change: &Change) -> Result<Vec<Facts>, Failure> {
        let (now, reason) = (self.now(), change.reason.as_str());
        self.store.read(|tx| {
            let (mut found, mut shared) = (Vec::new(), Shared::new(&self.telemetry));
            let Some(environment) = tx.environment(&change.target.environment)? else {
                return Ok(found);
            };
            let mut seen = BTreeSet::new();
            let mut open = vec![change.target.route.clone()];
            while let Some(key) = open.pop() {
                let Some(route) = tx.route(&key)?.filter(|_| seen.insert(key)) else {
                    continue;
                };
                if change.cascade {
                    open.extend(route.spec.requires.iter().cloned());
                }
                let proof = proof(tx, (&route, &environment), now)?;
                let place = (&route, &environment);
                found.push(facts(tx, &mut shared, place, (ctx, reason, now), proof)?);
            }
            Ok(found)
        })
    }

    /// What callers report of these promotions. It is read beside every transaction, and what cannot
    /// be read is not known: that holds a promotion back, and nothing else.
    pub(super) fn observe(&self, promotions: &[Facts], to: Stage) -> Observed {
        let mut observed = Observed::default();
        let all = promotions.iter().map(|facts| (facts, to));
        let answered = self.ask_ahead(all);
        for facts in promotions {
            let asked = Asked::of(facts, to);
            let mut answers = self.ask(facts, &asked).unwrap_or_else(|error| {
                tracing::warn!(%error, "what callers report cannot be read");
                Answers {
                    unreadable: true,
                    ..Answers::default()
                }
            });
            answers.sampled = sampled(facts, &asked, &answered);
            let route = facts.route.spec.key.clone();
            observed.0.insert(route, (asked, answers));
        }
        observed
    }

    fn ask(&self, facts: &Facts, asked: &Asked) -> Result<Answers, StoreError> {
        let mut answers = Answers::default();
        if asked.traffic.is_none() && !asked.instances {
            return Ok(answers);
        }
        let (route, now) = (&facts.route.spec.key, facts.now);
        let writes = facts.route.spec.operation == Operation::Write;
        self.telemetry.read::<_, StoreError>(|tx| {
            for environment in answering(facts) {
                if let Some((minutes, slower_than_ms)) = asked.traffic {
                    let (length, from) = looking_back(minutes, now);
                    let mut tallies = Tallies::default();
                    let place = (route, &environment);
                    let span = (from, now + Duration::seconds(1));
                    tx.each_window(place, length, span, |_, path, role, tally| {
                        tallies.of_mut(path, role).merge(tally);
                    })?;
                    if !tallies.is_empty() {
                        let traffic = tallies.traffic(slower_than_ms, writes);
                        answers.traffic.insert(environment.clone(), traffic);
                    }
                }
                if asked.instances {
                    let which = Which::running_since(now - Duration::minutes(SEEN_WITHIN_MINUTES));
                    let processes = tx.processes(&environment, which, "", ALL_INSTANCES)?;
                    let deployed = deployed(&processes, route, now);
                    answers.deployed.insert(environment, deployed);
                }
            }
            Ok(answers)
        })
    }
}

/// The windows that cover so many minutes until now, and from when on.
fn looking_back(minutes: f64, now: DateTime<Utc>) -> (Length, DateTime<Utc>) {
    #[expect(
        clippy::as_conversions,
        reason = "at most 30 days in seconds, checked when the policy was read"
    )]
    let seconds = (minutes * 60.0) as i64;
    let length = if seconds <= Length::TenSeconds.kept_seconds() {
        Length::TenSeconds
    } else {
        Length::Minute
    };
    (length, now - Duration::seconds(seconds))
}
