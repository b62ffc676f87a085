//! A decision with everything that led to it: the whole chain, in sentences.

use crate::bucket::bucket;
use crate::decide::{Case, Decision, Rule, Verdict};
use crate::overrides::{FlagOverride, Overrides};
use crate::rollout::Percent;
use crate::table::Table;
use crate::warnings::Warning;

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
    /// What [`decide`](crate::decide()) answers for the same facts.
    pub decision: Decision,
    /// All rules, first to last.
    pub chain: Vec<Layer>,
    /// What a person has set in vain, or against advice.
    pub warnings: Vec<Warning>,
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

impl Rule {
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
