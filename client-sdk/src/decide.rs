//! The decision: twelve rules, and the first that applies wins.
//!
//! Each rule is one arm of [`Rule::verdict`]. [`decide`] takes the first verdict, [`explain`] shows
//! all of them, and [`plan`] folds those that no key can change into one answer. Total and pure: no
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

/// Every rule, what it says and what it hides, and the decision that follows.
#[must_use]
pub fn explain(
    table: &Table,
    route: &str,
    overrides: &Overrides,
    key: Option<&str>,
) -> Explanation {
    let case = Case::new(table, route, overrides, key);
    let verdicts = Rule::ALL.map(|rule| (rule, rule.verdict(&case)));
    let chain = verdicts
        .iter()
        .enumerate()
        .map(|(index, (rule, verdict))| Layer {
            rule: *rule,
            verdict: *verdict,
            says: rule.says(&case, *verdict),
            hides: match verdict {
                None => Vec::new(),
                Some(_) => verdicts
                    .iter()
                    .skip(index + 1)
                    .filter(|(_, lower)| lower.is_some())
                    .map(|(lower, _)| *lower)
                    .collect(),
            },
        })
        .collect();
    Explanation {
        decision: case.decision(case.verdict()),
        chain,
        warnings: case.warnings(),
    }
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

    fn verdict(self, case: &Case<'_>) -> Option<Verdict> {
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

    /// One sentence for a person who asks why.
    fn says(self, case: &Case<'_>, verdict: Option<Verdict>) -> String {
        let Some(rollout) = case.rollout else {
            return match self {
                Rule::UnknownRoute if case.unrecognized => {
                    "the server speaks of a stage or setting that this version does not know: \
                     the old path"
                        .to_owned()
                }
                Rule::UnknownRoute => {
                    "no snapshot has this route and the code gives it no stage: the old path"
                        .to_owned()
                }
                _ => "says nothing: the route is unknown".to_owned(),
            };
        };
        let flag = &rollout.flag;
        match (self, verdict) {
            (Rule::UnknownRoute, _) => "the route is known".to_owned(),
            (Rule::Mandatory, Some(_)) => {
                "the stage is mandatory: the new path, whatever else is set".to_owned()
            }
            (Rule::Mandatory, None) => "the stage is not mandatory".to_owned(),
            (Rule::Halted, Some(_)) => "halted: every key takes the old path".to_owned(),
            (Rule::Halted, None) if rollout.halted => {
                "halted, which a mandatory route ignores".to_owned()
            }
            (Rule::Halted, None) => "not halted".to_owned(),
            (Rule::Prerequisite, Some(_)) => match case.unmet_prerequisite() {
                Some(route) => format!("requires `{route}`, which decides old for this key"),
                None => "a required route decides old for this key".to_owned(),
            },
            (Rule::Prerequisite, None) if rollout.requires.is_empty() => {
                "requires no other route".to_owned()
            }
            (Rule::Prerequisite, None) => "every required route decides new".to_owned(),
            (Rule::Override, _) => match case.overrides.flag(flag) {
                FlagOverride::On => format!("{flag}=1 asks for the new path"),
                FlagOverride::Off => format!("{flag}=0 asks for the old path"),
                FlagOverride::Unset => format!("{flag} is not set"),
                FlagOverride::Ignored(_) => {
                    format!("{flag} is set to something other than 0 or 1, which is ignored")
                }
            },
            (Rule::Off, Some(_)) => "set to off: every key takes the old path".to_owned(),
            (Rule::Off, None) => "not set to off".to_owned(),
            (Rule::Cohort, Some(Verdict { path, .. })) => {
                format!("the key is in a cohort that takes the {path} path")
            }
            (Rule::Cohort, None) if !case.has_cohorts() => "no cohorts are set".to_owned(),
            (Rule::Cohort, None) if case.key.is_none() => {
                "cohorts are set, but the call gives no key".to_owned()
            }
            (Rule::Cohort, None) => "the key is in no cohort".to_owned(),
            (Rule::On, Some(_)) => "set to on: every key takes the new path".to_owned(),
            (Rule::On, None) => "not set to on".to_owned(),
            (Rule::Ramp, _) => case.ramp().map_or_else(
                || "not set to a ramp".to_owned(),
                |(percent, seed)| match case.key {
                    _ if percent == Percent::HUNDRED => {
                        "a ramp of 100 %: every key takes the new path".to_owned()
                    }
                    None => format!("a ramp of {percent}, but the call gives no key: the old path"),
                    Some(key) => {
                        let bucket = bucket(seed, key.as_bytes());
                        let below = percent.thousandths();
                        let side = if bucket < below { "below" } else { "not below" };
                        format!("a ramp of {percent}: the key's bucket {bucket} is {side} {below}")
                    }
                },
            ),
            (Rule::EnvDefaultOn, Some(_)) => format!(
                "opt-in on premises, and {}_FEATURE_DEFAULT_ON=1 turns such routes on",
                flag.prefix()
            ),
            (Rule::EnvDefaultOn, None) => {
                format!("{}_FEATURE_DEFAULT_ON has no say here", flag.prefix())
            }
            (Rule::DefaultOn | Rule::DefaultOff, Some(Verdict { path, .. })) => format!(
                "the default of {} ({}) is the {path} path",
                rollout.stage, case.kind
            ),
            (Rule::DefaultOn | Rule::DefaultOff, None) => {
                format!("not the default of {} ({})", rollout.stage, case.kind)
            }
        }
    }
}

/// One rule of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The rule.
    pub rule: Rule,
    /// What it would decide if no rule above it applied; `None` when it does not apply.
    pub verdict: Option<Verdict>,
    /// The same as a sentence.
    pub says: String,
    /// The lower rules that apply too, and that this one keeps from being heard.
    pub hides: Vec<Rule>,
}

/// A decision with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What [`decide`] answers for the same facts.
    pub decision: Decision,
    /// All rules, first to last.
    pub chain: Vec<Layer>,
    /// What a person has set in vain, or against advice.
    pub warnings: Vec<Warning>,
}

/// Something set that does not do what whoever set it may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The variable is neither `0` nor `1` and is ignored.
    IllegalOverride {
        /// Its name.
        variable: Box<str>,
    },
    /// The variable is ignored because the stage is mandatory.
    OverrideOfMandatory {
        /// Its name.
        variable: Box<str>,
    },
    /// The rollout is halted, which is ignored because the stage is mandatory.
    HaltOfMandatory,
    /// The variable turns on, on premises, what has not been accepted yet.
    NotAcceptedYet {
        /// Its name.
        variable: Box<str>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::IllegalOverride { variable } => write!(
                f,
                "{variable} is ignored: the legal values are exactly 1 (new path) and 0 (old path)"
            ),
            Warning::OverrideOfMandatory { variable } => write!(
                f,
                "{variable} is ignored: the route is mandatory; remove the variable"
            ),
            Warning::HaltOfMandatory => f.write_str("the halt is ignored: the route is mandatory"),
            Warning::NotAcceptedYet { variable } => write!(
                f,
                "{variable}=1 turns on a route that is ready for testing only: it has not been \
                 accepted yet"
            ),
        }
    }
}

/// What somebody has set for a route in vain, or against advice.
#[must_use]
pub fn warnings(table: &Table, route: &str, overrides: &Overrides) -> Vec<Warning> {
    Case::new(table, route, overrides, None).warnings()
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
struct Case<'a> {
    table: &'a Table,
    kind: EnvironmentKind,
    route: &'a str,
    rollout: Option<&'a Rollout>,
    unrecognized: bool,
    overrides: &'a Overrides,
    key: Option<&'a str>,
}

impl<'a> Case<'a> {
    fn new(
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

    fn verdict(&self) -> Verdict {
        Rule::ALL
            .into_iter()
            .find_map(|rule| rule.verdict(self))
            .unwrap_or(Verdict::UNKNOWN)
    }

    fn decision(&self, verdict: Verdict) -> Decision {
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

    fn has_cohorts(&self) -> bool {
        self.rollout
            .is_some_and(|rollout| !rollout.include.is_empty() || !rollout.exclude.is_empty())
    }

    fn ramp(&self) -> Option<(Percent, Seed)> {
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

    fn unmet_prerequisite(&self) -> Option<&'a str> {
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

    fn warnings(&self) -> Vec<Warning> {
        let Some(rollout) = self.rollout else {
            return Vec::new();
        };
        let mandatory = rollout.stage == Stage::Mandatory;
        let variable = || Box::from(rollout.flag.as_str());
        let mut warnings = Vec::new();
        match self.overrides.flag(&rollout.flag) {
            FlagOverride::Unset => {}
            FlagOverride::Ignored(_) => warnings.push(Warning::IllegalOverride {
                variable: variable(),
            }),
            FlagOverride::On | FlagOverride::Off if mandatory => {
                warnings.push(Warning::OverrideOfMandatory {
                    variable: variable(),
                });
            }
            FlagOverride::On
                if rollout.stage == Stage::ReadyForTesting
                    && self.kind == EnvironmentKind::OnPrem =>
            {
                warnings.push(Warning::NotAcceptedYet {
                    variable: variable(),
                });
            }
            FlagOverride::On | FlagOverride::Off => {}
        }
        if rollout.halted && mandatory {
            warnings.push(Warning::HaltOfMandatory);
        }
        warnings
    }
}
