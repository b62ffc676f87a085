//! What gates and guards ask Prometheus. It is asked beside every transaction, and what it does not
//! answer is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use switchover::{EnvironmentKind, Percent, Stage};

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::Facts;
use crate::domain::gate::{Asked, answering};
use crate::domain::policy::{Guard, Sampled};
use crate::domain::rollout::Rollout;
use crate::prometheus::Prometheus;
use crate::service::{Services, Target};
use crate::store::{RouteFilter, StoreError};

/// The guards of a rollout that ask Prometheus.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// The rollout.
    pub target: Target,
    /// The revision with which it came to be published as it is.
    pub published: u64,
    /// All of its guards.
    pub guards: Vec<Guard>,
    /// What those among them ask that ask something, by name.
    pub questions: Vec<(String, String)>,
}

impl Services {
    /// Services that ask this Prometheus.
    #[must_use]
    pub fn with_prometheus(self, prometheus: Prometheus) -> Services {
        Services {
            prometheus: Arc::new(prometheus),
            ..self
        }
    }

    /// The Prometheus that is asked.
    #[must_use]
    pub fn prometheus(&self) -> &Arc<Prometheus> {
        &self.prometheus
    }

    /// What the guards of all rollouts ask on which calls may take the new path, or run on both.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn asking(&self) -> Result<Vec<Asking>, StoreError> {
        self.store.read_first(|tx| {
            let mut all = Vec::new();
            let mut kinds = None;
            for stored in tx.policies()? {
                let policy = stored.policy;
                if policy.guards.iter().all(|guard| guard.query.is_none()) {
                    continue;
                }
                let filter = RouteFilter {
                    policy: Some(policy.name.to_string()),
                    ..RouteFilter::default()
                };
                let routes = tx.routes(&filter, usize::MAX)?;
                let keys: Vec<&str> = routes.iter().map(|it| it.spec.key.as_str()).collect();
                let published = tx.all_counted_since(&keys)?;
                let kinds: &BTreeMap<EnvironmentKey, EnvironmentKind> = match &kinds {
                    Some(kinds) => kinds,
                    None => {
                        let environments = tx.environments()?.into_iter();
                        kinds.insert(environments.map(|it| (it.key, it.kind)).collect())
                    }
                };
                for rollout in tx.rollouts_of(&keys)? {
                    let mut routes = routes.iter();
                    let route = routes.find(|route| route.spec.key == rollout.route);
                    let place = (rollout.environment.clone(), rollout.route.clone());
                    let (Some(route), Some(published)) = (route, published.get(&place)) else {
                        continue;
                    };
                    let kind = kinds.get(&rollout.environment);
                    if !kind.is_some_and(|kind| is_asked_about(&rollout, *kind)) {
                        continue;
                    }
                    let guards = policy.with_numbers(&route.spec.policy_numbers).guards;
                    let questions = guards.iter().filter_map(|guard| {
                        let query = guard.query.as_ref()?;
                        let (environment, key) = &place;
                        let question = query.about(key, environment, &route.spec.flag);
                        Some((guard.name.clone(), question))
                    });
                    let questions = questions.collect();
                    let (environment, route) = place;
                    all.push(Asking {
                        target: Target { route, environment },
                        published: *published,
                        guards,
                        questions,
                    });
                }
            }
            Ok(all)
        })
    }

    /// What Prometheus answers to all of these promotions' questions, by the question. They are asked at
    /// once, so that nobody waits for one after the other; what is answered is remembered for a moment.
    pub(super) fn ask_ahead<'a>(
        &self,
        promotions: impl Iterator<Item = (&'a Facts, Stage)>,
    ) -> BTreeMap<String, Sampled> {
        let all: BTreeSet<String> = promotions
            .flat_map(|(facts, to)| questions(facts, &Asked::of(facts, to)).into_values())
            .collect();
        if all.is_empty() {
            return BTreeMap::new();
        }
        self.prometheus.ask_all(&all)
    }
}

/// What of these answers is for the gates of a promotion.
pub(super) fn sampled(
    facts: &Facts,
    asked: &Asked,
    answers: &BTreeMap<String, Sampled>,
) -> BTreeMap<(EnvironmentKey, String), Sampled> {
    let answered = questions(facts, asked)
        .into_iter()
        .filter_map(|(place, question)| Some((place, answers.get(&question)?.clone())));
    answered.collect()
}

/// What the gates of a promotion ask, by the environment that it is about and the gate's name.
fn questions(facts: &Facts, asked: &Asked) -> BTreeMap<(EnvironmentKey, String), String> {
    let (route, flag) = (&facts.route.spec.key, &facts.route.spec.flag);
    let mut questions = BTreeMap::new();
    for environment in answering(facts) {
        for (name, query) in &asked.queries {
            let question = query.about(route, &environment, flag);
            questions.insert((environment.clone(), name.clone()), question);
        }
    }
    questions
}

/// Guards watch what may happen to callers: nothing does where none may take the new path, or where it
/// is the only one. What happens in installations of others is not known here.
fn is_asked_about(rollout: &Rollout, kind: EnvironmentKind) -> bool {
    let mirror = rollout.mirror.shares;
    let is_exposed = !rollout.exposure(kind).is_nothing()
        || mirror.read > Percent::ZERO
        || mirror.write > Percent::ZERO
        || rollout.ramp.is_some();
    kind == EnvironmentKind::Hosted
        && rollout.halt.is_none()
        && rollout.stage != Stage::Mandatory
        && is_exposed
}
