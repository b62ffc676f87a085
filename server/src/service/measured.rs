//! What metrics tell of rollouts: what is published, which takes no database, and what is read from
//! the databases now and then, however often somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use switchover::{EnvironmentKind, Mirror, Percent, Stage};

use crate::domain::actor::Actor;
use crate::domain::exposure::{Cohort, Exposure};
use crate::domain::guard::Watched;
use crate::domain::policy::Guard;
use crate::domain::telemetry::SEEN_WITHIN_MINUTES;
use crate::metrics::{
    EnvironmentReading, GuardReading, HereReading, Kept, MOST_ROLLOUTS, Reading, RolloutReading,
    Running,
};
use crate::service::{Services, Target};
use crate::store::{RouteFilter, StoreError};
use crate::telemetry::Place;

/// What was read is shown for so long at least.
const KEPT: Duration = Duration::from_secs(1);
/// Reading takes this part of the time at most.
const SHARE: u32 = 20;
/// But it is not older than that, where it can be read.
const OLDEST: Duration = Duration::from_secs(15);

/// What was last read, and when it is read again.
#[derive(Default)]
pub(super) struct Measuring {
    kept: Mutex<Arc<Kept>>,
    /// Whoever holds it reads; the others are shown what is known.
    next: Mutex<Option<Instant>>,
}

impl Services {
    /// What there is to tell, for a node in this state. Waits for no database that is away.
    #[must_use]
    pub fn measured(&self, here: HereReading) -> Reading {
        let (environments, mut rollouts) = self.published();
        // What is done with is the first to be left out.
        rollouts.sort_by_key(|it| it.stage == Stage::Mandatory);
        let left_out = rollouts.len().saturating_sub(MOST_ROLLOUTS);
        rollouts.truncate(MOST_ROLLOUTS);
        if here.has_database {
            self.read_again(&environments, &rollouts);
        }
        let kept = self.measuring.kept.lock();
        Reading {
            here,
            environments,
            rollouts,
            left_out,
            kept: Arc::clone(&kept.unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn published(&self) -> (Vec<EnvironmentReading>, Vec<RolloutReading>) {
        let (mut environments, mut rollouts) = (Vec::new(), Vec::new());
        for (key, published) in self.hub.all() {
            let kind = published.kind();
            let before = rollouts.len();
            rollouts.extend(published.rollouts().map(|(route, rollout)| RolloutReading {
                place: (key.clone(), route.clone()),
                stage: rollout.stage,
                exposure: exposure(rollout, kind),
                halted: rollout.halted,
                is_watched: is_watched(rollout, kind),
                mirror: rollout.mirror,
                slow_ms: rollout.watch.slow_ms.clone(),
            }));
            environments.push(EnvironmentReading {
                routes: rollouts.len() - before,
                version: published.version().clone(),
                key,
            });
        }
        (environments, rollouts)
    }

    /// Reads the databases where that is due, and nobody else is at it.
    fn read_again(&self, environments: &[EnvironmentReading], rollouts: &[RolloutReading]) {
        let Ok(mut next) = self.measuring.next.try_lock() else {
            return;
        };
        let began = Instant::now();
        if next.is_some_and(|next| began < next) {
            return;
        }
        let known = self.measuring.kept.lock();
        let known = Arc::clone(&known.unwrap_or_else(PoisonError::into_inner));
        let kept = match self.read_reports(environments) {
            Ok(kept) => self.read_guards(rollouts, &known, kept),
            Err(error) => {
                // A counter never falls: what cannot be read is told as it was. What guards answer may
                // have changed since, and nobody waits for the other database too.
                tracing::warn!(%error, "metrics tell of reports as they were");
                Kept {
                    totals: Arc::clone(&known.totals),
                    halted_by_guards: known.halted_by_guards.clone(),
                    ..Kept::default()
                }
            }
        };
        let mut shown = self
            .measuring
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shown = Arc::new(kept);
        let pause = (began.elapsed() * SHARE).clamp(KEPT, OLDEST);
        *next = Some(Instant::now() + pause);
    }

    /// What callers have reported.
    fn read_reports(&self, environments: &[EnvironmentReading]) -> Result<Kept, StoreError> {
        let since = self.now() - chrono::Duration::minutes(SEEN_WITHIN_MINUTES);
        self.telemetry.read(|tx| {
            let mut all = BTreeMap::new();
            for environment in environments {
                let mut running = Running::default();
                for (version, instances) in tx.running(&environment.key, since)? {
                    running.all = running.all.saturating_add(instances);
                    if version.is_some_and(|version| version != environment.version) {
                        running.behind = running.behind.saturating_add(instances);
                    }
                }
                all.insert(environment.key.clone(), running);
            }
            Ok(Kept {
                totals: Arc::new(tx.totals()?),
                running: all,
                ..Kept::default()
            })
        })
    }

    fn read_guards(&self, rollouts: &[RolloutReading], known: &Kept, kept: Kept) -> Kept {
        let watched = rollouts.iter().filter(|it| it.is_watched);
        let places: BTreeSet<&Place> = watched.map(|it| &it.place).collect();
        let halted = rollouts.iter().filter(|it| it.halted);
        let halted: BTreeSet<&Place> = halted.map(|it| &it.place).collect();
        let read = self.guarded_places(&places).and_then(|guarded| {
            let guards = self.guard_readings(&guarded)?;
            Ok((guards, self.halted_by_guards(&halted)?))
        });
        match read {
            Ok((guards, halted_by_guards)) => Kept {
                guards,
                halted_by_guards,
                ..kept
            },
            Err(error) => {
                // An answer that may have changed since is none.
                tracing::warn!(%error, "metrics cannot tell what guards answer");
                Kept {
                    halted_by_guards: known.halted_by_guards.clone(),
                    ..kept
                }
            }
        }
    }

    /// The rollouts among these that have guards, since when they are published as they are.
    fn guarded_places(
        &self,
        places: &BTreeSet<&Place>,
    ) -> Result<Vec<(Place, u64, Vec<Guard>)>, StoreError> {
        self.store.read(|tx| {
            let mut found = Vec::new();
            for stored in tx.policies()? {
                let policy = stored.policy;
                if policy.guards.is_empty() {
                    continue;
                }
                let filter = RouteFilter {
                    policy: Some(policy.name.to_string()),
                    ..RouteFilter::default()
                };
                let routes = tx.routes(&filter, MOST_ROLLOUTS)?;
                let keys: Vec<&str> = routes.iter().map(|it| it.spec.key.as_str()).collect();
                let published = tx.all_counted_since(&keys)?;
                let guards: BTreeMap<_, _> = routes
                    .iter()
                    .map(|route| {
                        let numbers = &route.spec.policy_numbers;
                        (&route.spec.key, policy.with_numbers(numbers).guards)
                    })
                    .collect();
                for (place, published) in published {
                    if let (Some(guards), true) = (guards.get(&place.1), places.contains(&place)) {
                        found.push((place, published, guards.clone()));
                    }
                }
            }
            Ok(found)
        })
    }

    fn guard_readings(
        &self,
        guarded: &[(Place, u64, Vec<Guard>)],
    ) -> Result<Vec<GuardReading>, StoreError> {
        let places: Vec<Place> = guarded.iter().map(|(place, ..)| place.clone()).collect();
        let watched = self
            .telemetry
            .read::<_, StoreError>(|tx| tx.guards_at(&places))?;
        let (second, nothing) = (self.now().timestamp(), Watched::default());
        let answers = guarded.iter().map(|(place, published, guards)| {
            let watched = watched.get(place).unwrap_or(&nothing);
            let (environment, route) = place.clone();
            let answers = watched.answers(*published, guards, second);
            (Target { route, environment }, answers)
        });
        let mut answers: Vec<_> = answers.collect();
        self.all_with_record(&mut answers);
        let readings = answers.into_iter().flat_map(|(target, answers)| {
            let place = (target.environment, target.route);
            answers.into_iter().map(move |answer| GuardReading {
                place: place.clone(),
                name: answer.guard.name,
                action: answer.guard.action,
                state: answer.state,
            })
        });
        Ok(readings.collect())
    }

    fn halted_by_guards(&self, halted: &BTreeSet<&Place>) -> Result<BTreeSet<Place>, StoreError> {
        if halted.is_empty() {
            return Ok(BTreeSet::new());
        }
        let routes: BTreeSet<&str> = halted.iter().map(|(_, route)| route.as_str()).collect();
        let routes: Vec<&str> = routes.into_iter().collect();
        let rollouts = self
            .store
            .read::<_, StoreError>(|tx| tx.rollouts_of(&routes))?;
        let by_guards = rollouts.into_iter().filter(|rollout| {
            let halt = rollout.halt.as_ref();
            halt.is_some_and(|halt| Actor::is_guard(&halt.by))
        });
        Ok(by_guards.map(|it| (it.environment, it.route)).collect())
    }
}

/// Whether there is something for guards to see: some calls may take the new path beside the old one,
/// or run on both, or did until it was halted.
fn is_watched(rollout: &switchover::Rollout, kind: EnvironmentKind) -> bool {
    let is_exposed = exposure(rollout, kind) > Percent::ZERO || !rollout.include.is_empty();
    let is_mirrored = rollout.mirror != Mirror::default();
    rollout.stage != Stage::Mandatory && (is_exposed || is_mirrored || rollout.halted)
}

fn exposure(rollout: &switchover::Rollout, kind: EnvironmentKind) -> Percent {
    let nobody = Cohort::new();
    let (stage, setting) = (rollout.stage, rollout.setting);
    Exposure::of(stage, kind, setting, rollout.halted, &nobody, &nobody).share
}
