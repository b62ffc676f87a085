//! The decision: twelve rules, and the first that applies wins.
//!
//! Each rule is one arm of `Rule::verdict`. [`decide`] takes the first verdict,
//! [`explain`](crate::explain()) shows all of them, and [`plan`] folds those that no key can change into one answer. Total and pure: no
//! clock, no randomness, no I/O, no panic.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bucket::{Seed, bucket};
use crate::overrides::{FlagOverride, Overrides};
use crate::rollout::{Mirror, Percent, Rollout, Setting};
use crate::stage::{EnvironmentKind, Stage};
use crate::table::{Source, Table};

/// Which implementation a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// The old implementation.
    Old,
    /// The new implementation.
    New,
}

impl Path {
    /// The name on the wire: `old` or `new`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Path::Old => "old",
            Path::New => "new",
        }
    }

    /// The one that is not this one.
    #[must_use]
    pub const fn other(self) -> Path {
        match self {
            Path::Old => Path::New,
            Path::New => Path::Old,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a path was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the name of a row in the rule table")]
pub enum Reason {
    UnknownRoute,
    Mandatory,
    Halted,
    Prerequisite,
    EnvOn,
    EnvOff,
    Off,
    CohortExclude,
    CohortInclude,
    On,
    RampIn,
    RampOut,
    NoKey,
    EnvDefaultOn,
    DefaultOn,
    DefaultOff,
    /// No row of the table: the process's own breaker keeps the route off its new path.
    Breaker,
}

impl Reason {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Reason::UnknownRoute => "unknown_route",
            Reason::Mandatory => "mandatory",
            Reason::Halted => "halted",
            Reason::Prerequisite => "prerequisite",
            Reason::EnvOn => "env_on",
            Reason::EnvOff => "env_off",
            Reason::Off => "off",
            Reason::CohortExclude => "cohort_exclude",
            Reason::CohortInclude => "cohort_include",
            Reason::On => "on",
            Reason::RampIn => "ramp_in",
            Reason::RampOut => "ramp_out",
            Reason::NoKey => "no_key",
            Reason::EnvDefaultOn => "env_default_on",
            Reason::DefaultOn => "default_on",
            Reason::DefaultOff => "default_off",
            Reason::Breaker => "breaker",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A path and why it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The path.
    pub path: Path,
    /// The row of the rule table that chose it.
    pub reason: Reason,
}

/// The answer for one route and one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Which implementation to call.
    pub path: Path,
    /// Why.
    pub reason: Reason,
    /// Where the facts came from; `None` for a route that no source knows.
    pub source: Option<Source>,
    /// What also runs on the other path.
    pub mirror: Mirror,
}

/// Decides which path a call of `route` with this key takes.
#[must_use]
pub fn decide(table: &Table, route: &str, overrides: &Overrides, key: Option<&str>) -> Decision {
    let case = Case::new(table, route, overrides, key);
    case.decision(case.verdict())
}

/// What about a route's decisions no key can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Every key gets this.
    Always(Verdict),
    /// Keys whose bucket is below the share take the new path; calls without a key the old one.
    Ramp {
        /// The share.
        percent: Percent,
        /// The seed of the route or of its ramp group.
        seed: Seed,
    },
    /// Cohorts or requirements need the key: ask [`decide`].
    PerKey,
}

/// Folds a route's rules into what holds for every key.
#[must_use]
pub fn plan(table: &Table, route: &str, overrides: &Overrides) -> Plan {
    plan_from(&Case::new(table, route, overrides, None), Rule::ALL)
}

fn plan_from(case: &Case<'_>, rules: impl IntoIterator<Item = Rule>) -> Plan {
    for rule in rules {
        match rule {
            Rule::Cohort if case.has_cohorts() => return Plan::PerKey,
            Rule::Prerequisite => match case.prerequisites_met_by_every_key() {
                Some(true) => {}
                Some(false) => return Plan::Always(Verdict::old(Reason::Prerequisite)),
                None => return Plan::PerKey,
            },
            Rule::Ramp => {
                if let Some((percent, seed)) = case.ramp()
                    && percent < Percent::HUNDRED
                {
                    return Plan::Ramp { percent, seed };
                }
            }
            _ => {}
        }
        if let Some(verdict) = rule.verdict(case) {
            return Plan::Always(verdict);
        }
    }
    Plan::Always(Verdict::UNKNOWN)
}

/// The rows of the rule table, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each is a row of the rule table, docs/decisions.md"
)]
pub enum Rule {
    UnknownRoute,
    Mandatory,
    Halted,
    Prerequisite,
    Override,
    Off,
    Cohort,
    On,
    Ramp,
    EnvDefaultOn,
    DefaultOn,
    DefaultOff,
}

impl Rule {
    /// Every rule; the first that applies wins.
    pub const ALL: [Rule; 12] = [
        Rule::UnknownRoute,
        Rule::Mandatory,
        Rule::Halted,
        Rule::Prerequisite,
        Rule::Override,
        Rule::Off,
        Rule::Cohort,
        Rule::On,
        Rule::Ramp,
        Rule::EnvDefaultOn,
        Rule::DefaultOn,
        Rule::DefaultOff,
    ];

    /// The rule's number in the rule table, from 1.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "a fieldless enum of twelve")]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn verdict(self, case: &Case<'_>) -> Option<Verdict> {
        let Some(rollout) = case.rollout else {
            return (self == Rule::UnknownRoute).then_some(Verdict::UNKNOWN);
        };
        let hosted = case.kind == EnvironmentKind::Hosted;
        match self {
            Rule::UnknownRoute => None,
            Rule::Mandatory => {
                (rollout.stage == Stage::Mandatory).then_some(Verdict::new(Reason::Mandatory))
            }
            Rule::Halted => rollout.halted.then_some(Verdict::old(Reason::Halted)),
            Rule::Prerequisite => case
                .unmet_prerequisite()
                .map(|_| Verdict::old(Reason::Prerequisite)),
            Rule::Override => match case.overrides.flag(&rollout.flag) {
                FlagOverride::On => Some(Verdict::new(Reason::EnvOn)),
                FlagOverride::Off => Some(Verdict::old(Reason::EnvOff)),
                FlagOverride::Unset | FlagOverride::Ignored(_) => None,
            },
            Rule::Off => (rollout.setting == Setting::Off).then_some(Verdict::old(Reason::Off)),
            Rule::Cohort => case.key.and_then(|key| {
                if rollout.exclude.contains(key) {
                    Some(Verdict::old(Reason::CohortExclude))
                } else if rollout.include.contains(key) {
                    Some(Verdict::new(Reason::CohortInclude))
                } else {
                    None
                }
            }),
            Rule::On => (rollout.setting == Setting::On).then_some(Verdict::new(Reason::On)),
            Rule::Ramp => case.ramp().map(|(percent, seed)| match case.key {
                _ if percent == Percent::HUNDRED => Verdict::new(Reason::RampIn),
                None => Verdict::old(Reason::NoKey),
                Some(key) if bucket(seed, key.as_bytes()) < percent.thousandths() => {
                    Verdict::new(Reason::RampIn)
                }
                Some(_) => Verdict::old(Reason::RampOut),
            }),
            Rule::EnvDefaultOn => (rollout.stage == Stage::OptIn
                && !hosted
                && case.overrides.default_on(&rollout.flag))
            .then_some(Verdict::new(Reason::EnvDefaultOn)),
            Rule::DefaultOn => (rollout.stage == Stage::OptOut
                || rollout.stage == Stage::OptIn && hosted)
                .then_some(Verdict::new(Reason::DefaultOn)),
            Rule::DefaultOff => (rollout.stage == Stage::ReadyForTesting
                || rollout.stage == Stage::OptIn && !hosted)
                .then_some(Verdict::old(Reason::DefaultOff)),
        }
    }
}

impl Verdict {
    const UNKNOWN: Verdict = Verdict::old(Reason::UnknownRoute);

    const fn old(reason: Reason) -> Verdict {
        Verdict {
            path: Path::Old,
            reason,
        }
    }

    const fn new(reason: Reason) -> Verdict {
        Verdict {
            path: Path::New,
            reason,
        }
    }
}

/// The facts that the rules judge.
pub(crate) struct Case<'a> {
    pub(crate) table: &'a Table,
    pub(crate) kind: EnvironmentKind,
    pub(crate) route: &'a str,
    pub(crate) rollout: Option<&'a Rollout>,
    pub(crate) unrecognized: bool,
    pub(crate) overrides: &'a Overrides,
    pub(crate) key: Option<&'a str>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        table: &'a Table,
        route: &'a str,
        overrides: &'a Overrides,
        key: Option<&'a str>,
    ) -> Case<'a> {
        let rollout = table.rollout(route);
        Case {
            table,
            kind: table.kind(),
            route,
            rollout,
            unrecognized: rollout.is_none() && table.get(route).is_some(),
            overrides,
            key,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        Rule::ALL
            .into_iter()
            .find_map(|rule| rule.verdict(self))
            .unwrap_or(Verdict::UNKNOWN)
    }

    pub(crate) fn decision(&self, verdict: Verdict) -> Decision {
        Decision {
            path: verdict.path,
            reason: verdict.reason,
            source: self.rollout.map(|_| self.table.source()),
            mirror: self
                .rollout
                .map(|rollout| rollout.mirror)
                .unwrap_or_default(),
        }
    }

    pub(crate) fn has_cohorts(&self) -> bool {
        self.rollout
            .is_some_and(|rollout| !rollout.include.is_empty() || !rollout.exclude.is_empty())
    }

    pub(crate) fn ramp(&self) -> Option<(Percent, Seed)> {
        let rollout = self.rollout?;
        let Setting::Ramp { percent } = rollout.setting else {
            return None;
        };
        let name = rollout.ramp_group.as_deref().unwrap_or(self.route);
        Some((percent, Seed::of(name)))
    }

    /// The table has resolved requirements of requirements, so each needed route is judged without
    /// its own: no recursion, and a diamond costs no more than its routes.
    fn needed(&self) -> impl Iterator<Item = Case<'a>> {
        let (table, overrides, key) = (self.table, self.overrides, self.key);
        table
            .needs(self.route)
            .iter()
            .map(move |route| Case::new(table, route.as_str(), overrides, key))
    }

    pub(crate) fn unmet_prerequisite(&self) -> Option<&'a str> {
        self.needed()
            .find(|needed| {
                let verdict = Rule::ALL
                    .into_iter()
                    .filter(|rule| *rule != Rule::Prerequisite)
                    .find_map(|rule| rule.verdict(needed));
                verdict.is_none_or(|verdict| verdict.path == Path::Old)
            })
            .map(|needed| needed.route)
    }

    /// `None` where it depends on the key.
    fn prerequisites_met_by_every_key(&self) -> Option<bool> {
        let mut met = Some(true);
        for needed in self.needed() {
            let rules = Rule::ALL
                .into_iter()
                .filter(|rule| *rule != Rule::Prerequisite);
            match plan_from(&needed, rules) {
                Plan::Always(verdict) if verdict.path == Path::New => {}
                Plan::Always(_) => return Some(false),
                Plan::Ramp { .. } | Plan::PerKey => met = None,
            }
        }
        met
    }
}
