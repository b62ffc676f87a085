//! Things that a file can declare, by their names.

use std::fmt;

use serde::{Serialize, Serializer};
use switchover::RouteKey;

use crate::domain::cohort::Name;
use crate::domain::environment::EnvironmentKey;

/// Something that a file can declare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Thing {
    Environment(EnvironmentKey),
    Policy(Name),
    Cohort(Name),
    RampGroup(Name),
    Route(RouteKey),
    Rollout(RouteKey, EnvironmentKey),
    Retirement(RouteKey),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Environment(key) => write!(f, "environment {key}"),
            Thing::Policy(name) => write!(f, "policy {name}"),
            Thing::Cohort(name) => write!(f, "cohort {name}"),
            Thing::RampGroup(name) => write!(f, "ramp group {name}"),
            Thing::Route(key) => write!(f, "route {key}"),
            Thing::Rollout(route, environment) => write!(f, "{route} in {environment}"),
            Thing::Retirement(key) => write!(f, "retirement of {key}"),
        }
    }
}

impl Serialize for Thing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let (kind, key, environment) = match self {
            Thing::Environment(key) => ("environment", key.to_string(), None),
            Thing::Policy(name) => ("policy", name.to_string(), None),
            Thing::Cohort(name) => ("cohort", name.to_string(), None),
            Thing::RampGroup(name) => ("ramp_group", name.to_string(), None),
            Thing::Route(key) => ("route", key.to_string(), None),
            Thing::Rollout(key, environment) => ("rollout", key.to_string(), Some(environment)),
            Thing::Retirement(key) => ("retirement", key.to_string(), None),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", kind)?;
        map.serialize_entry("name", &key)?;
        if let Some(environment) = environment {
            map.serialize_entry("environment", environment)?;
        }
        map.end()
    }
}
