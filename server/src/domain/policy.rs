//! Which gates a promotion needs, in which steps a ramp goes up, and what guards watch: data, from
//! documents that people may write. The built-in ones are such documents too.

mod document;
mod guards;
mod query;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use switchover::{EnvironmentKind, Percent, Stage, Watch};

use crate::domain::environment::Environment;
use crate::domain::ramp::{Hold, Step};

use guards::GuardDocument;

pub use document::{LARGEST_POLICY, Numbers};
pub use query::{Query, Sampled, Worse};
pub use rule::{Asks, GateKind, Number, Rule, Scope, Strict};

/// A policy's name: `[a-z][a-z0-9_]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    /// The name of the policy that a route has when nobody says another.
    #[must_use]
    pub fn gitaly() -> PolicyName {
        PolicyName("gitaly".into())
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PolicyName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if first && text.len() <= 63 && text.bytes().all(legal) {
            Ok(PolicyName(text.into()))
        } else {
            Err(
                "a policy is named by a lower-case letter, then up to 62 lower-case letters, \
                 digits or underscores",
            )
        }
    }
}

/// One step of a ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampStep {
    /// The share of the keys.
    pub percent: Percent,
    /// How long it holds before the next one, in hours.
    pub hold_hours: f64,
}

/// When a ramp begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RampStart {
    /// When somebody starts it.
    #[default]
    ByHand,
    /// By itself, after the promotion to opt-in.
    AtPromotion,
}

/// What a guard watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Errors of the new path, per call.
    ErrorRate,
    /// Errors per call of the new path, as so many times those of the old one; over calls that the
    /// ramp itself assigned.
    ErrorRatio,
    /// The 99th percentile of the new path's time, in milliseconds.
    P99Ms,
    /// Mismatches found in an hour.
    MismatchesPerHour,
    /// Failed mirror writes, per mirror write.
    MirrorFailureRate,
    /// The 99th percentile of a mirror call's time, in milliseconds.
    MirrorP99Ms,
    /// The share of compared rows that differ.
    Inconsistency,
    /// What Prometheus answers to the guard's query.
    Prometheus,
}

impl Measure {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Measure::ErrorRate => "error_rate",
            Measure::ErrorRatio => "error_ratio",
            Measure::P99Ms => "p99_ms",
            Measure::MismatchesPerHour => "mismatches_per_hour",
            Measure::MirrorFailureRate => "mirror_failure_rate",
            Measure::MirrorP99Ms => "mirror_p99_ms",
            Measure::Inconsistency => "inconsistency",
            Measure::Prometheus => "prometheus",
        }
    }
}

/// What a guard does when its limit is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardAction {
    /// Tells people.
    Notify,
    /// Holds the ramp.
    Pause,
    /// Stops the mirror.
    StopMirror,
    /// Halts the rollout.
    Halt,
}

impl GuardAction {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            GuardAction::Notify => "notify",
            GuardAction::Pause => "pause",
            GuardAction::StopMirror => "stop_mirror",
            GuardAction::Halt => "halt",
        }
    }
}

/// A limit on what callers report, or on what Prometheus answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "GuardDocument")]
pub struct Guard {
    /// Its name, unique in the policy.
    pub name: String,
    /// What it watches.
    pub measure: Measure,
    /// Beyond this it acts.
    pub limit: f64,
    /// What it does then.
    pub action: GuardAction,
    /// With fewer calls, comparisons or writes than this it does not answer.
    pub min_calls: Option<u64>,
    /// What it asks Prometheus, where it watches that, and only there.
    pub query: Option<Query>,
}

impl Guard {
    /// Whether whatever is within this one's limit is within the other's.
    fn is_as_strict_as(&self, other: &Guard) -> bool {
        let limit = match (&self.query, &other.query) {
            (None, None) => self.limit <= other.limit,
            (Some(mine), Some(theirs)) => mine.is_as_strict_as(self.limit, theirs, other.limit),
            _ => false,
        };
        limit
            && self.measure == other.measure
            && self.action == other.action
            && self.min_calls.unwrap_or(1) <= other.min_calls.unwrap_or(1)
    }
}

/// A policy, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    pub description: String,
    /// What a promotion to each stage needs, besides what every promotion needs.
    pub gates: BTreeMap<Stage, Vec<Rule>>,
    /// The steps of a ramp; empty where there is none.
    pub ramp: Vec<RampStep>,
    /// When the ramp begins.
    pub ramp_start: RampStart,
    /// What is watched.
    pub guards: Vec<Guard>,
}

/// A limit of a time as callers count by it: in whole milliseconds, rounded up.
#[expect(
    clippy::as_conversions,
    reason = "there is no other conversion; it saturates, and limits are below ten minutes"
)]
#[must_use]
pub fn whole_ms(limit: f64) -> u32 {
    limit.ceil() as u32
}

/// What every promotion needs, whatever the policy.
const ALWAYS: [GateKind; 3] = [GateKind::Order, GateKind::Requires, GateKind::Incident];

impl Policy {
    /// The policies that come with the product.
    #[must_use]
    pub fn built_in() -> &'static [Policy] {
        static BUILT_IN: LazyLock<Vec<Policy>> = LazyLock::new(|| {
            [
                include_str!("policy/open.json"),
                include_str!("policy/gitaly.json"),
                include_str!("policy/data_migration.json"),
            ]
            .into_iter()
            // A test reads each of them; one that could not be read would leave routes without
            // their policy, which promotes nothing.
            .filter_map(|text| Policy::parse(text.as_bytes()).ok())
            .collect()
        });
        &BUILT_IN
    }

    /// A policy that asks for nothing, for changes that need none of it.
    #[must_use]
    pub fn without_gates(name: PolicyName) -> Policy {
        Policy {
            name,
            description: String::new(),
            gates: BTreeMap::new(),
            ramp: Vec::new(),
            ramp_start: RampStart::default(),
            guards: Vec::new(),
        }
    }

    /// The gates of a promotion to this stage in this environment.
    #[must_use]
    pub fn rules(&self, to: Stage, environment: &Environment) -> Vec<Rule> {
        let own = self.gates.get(&to).into_iter().flatten();
        ALWAYS
            .into_iter()
            .map(Rule::plain)
            .chain(
                own.filter(|rule| rule.applies(environment.kind, environment.is_guarded()))
                    .cloned(),
            )
            .collect()
    }

    /// Whether exposure goes up by the steps of a ramp.
    #[must_use]
    pub fn has_ramp(&self) -> bool {
        !self.ramp.is_empty()
    }

    /// What callers count apart for the guards and gates: the limits of 99th percentiles.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let guards = |measure| {
            let guards = self
                .guards
                .iter()
                .filter(move |guard| guard.measure == measure);
            guards.map(|guard| whole_ms(guard.limit))
        };
        let rules = self.gates.values().flatten();
        let gates = rules.filter_map(|rule| rule.numbers.get("p99_ms").copied().map(whole_ms));
        let slow: BTreeSet<u32> = guards(Measure::P99Ms).chain(gates).collect();
        let mirror_slow: BTreeSet<u32> = guards(Measure::MirrorP99Ms).collect();
        Watch {
            since: 0,
            slow_ms: slow.into_iter().collect(),
            mirror_slow_ms: mirror_slow.into_iter().collect(),
        }
    }

    /// Whether its ramp begins without anybody starting it.
    #[must_use]
    pub fn starts_ramps(&self) -> bool {
        self.has_ramp() && self.ramp_start == RampStart::AtPromotion
    }

    /// The steps of its ramp as a rollout follows them.
    #[must_use]
    pub fn ramp_steps(&self) -> Vec<Step> {
        let steps = self.ramp.iter().map(|step| Step {
            percent: step.percent,
            hold: Hold::of_hours(step.hold_hours),
        });
        steps.collect()
    }

    /// Whether a promotion somewhere needs less under this policy than under `other`.
    #[must_use]
    pub fn is_laxer_than(&self, other: &Policy) -> bool {
        let places = [
            (EnvironmentKind::Hosted, false),
            (EnvironmentKind::Hosted, true),
            (EnvironmentKind::OnPrem, true),
        ];
        let gates = other.gates.iter().any(|(stage, rules)| {
            let mine = self.gates.get(stage).map_or(&[][..], Vec::as_slice);
            rules.iter().any(|theirs| {
                places.iter().any(|(kind, guarded)| {
                    theirs.applies(*kind, *guarded)
                        && !mine.iter().any(|rule| {
                            rule.applies(*kind, *guarded) && rule.is_as_strict_as(theirs, *kind)
                        })
                })
            })
        });
        let guards = other.guards.iter().any(|theirs| {
            let mut mine = self.guards.iter();
            !mine.any(|guard| guard.is_as_strict_as(theirs))
        });
        let ramp = self.ramp != other.ramp || self.starts_ramps() && !other.starts_ramps();
        gates || guards || other.has_ramp() && ramp
    }
}
