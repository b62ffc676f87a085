//! What was seen of a thing, to be compared with what is seen of it later.

use serde_json::Value;

use crate::domain::declared::{RampFact, Thing, Whole};

/// What a plan was made by: all that is declared of a thing, but what a ramp moves by itself.
pub(crate) fn content(whole: &Whole, thing: &Thing) -> Value {
    let value = match thing {
        Thing::Environment(key) => serde_json::to_value(whole.environments.get(key)),
        Thing::Policy(name) => {
            serde_json::to_value(whole.policies.get(name).or(whole.built_in.get(name)))
        }
        Thing::Cohort(name) => serde_json::to_value(whole.cohorts.get(name)),
        Thing::RampGroup(name) => serde_json::to_value(whole.ramp_groups.get(name)),
        Thing::Route(key) | Thing::Retirement(key) => {
            let route = whole.routes.get(key).cloned();
            serde_json::to_value(route.map(|mut route| {
                route.rollouts.clear();
                route
            }))
        }
        Thing::Rollout(route, environment) => {
            let found = whole.routes.get(route);
            let rollout = found
                .and_then(|route| route.rollouts.get(environment))
                .cloned();
            let facts = whole.facts.get(&(route.clone(), environment.clone()));
            let moves = facts.is_some_and(|facts| facts.ramp == Some(RampFact::Moving));
            serde_json::to_value(rollout.map(|mut rollout| {
                if moves {
                    rollout.setting = None;
                }
                rollout
            }))
        }
    };
    // Declarations always serialise.
    value.unwrap_or_default()
}

pub(crate) fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
