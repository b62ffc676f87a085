//! A policy as people write it, read and checked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use switchover::{Percent, Stage};

use crate::domain::field::FieldError;
use crate::domain::policy::guards::{
    GuardDocument, check_guards, check_limit, check_watch, read_guards,
};
use crate::domain::policy::rule::Scope;
use crate::domain::policy::{
    Asks, GateKind, Number, Policy, PolicyName, Query, RampStart, RampStep, Rule, Worse,
};
use crate::domain::text::bounded;

/// The largest document of a policy, in bytes.
pub const LARGEST_POLICY: usize = 64 * 1024;

/// Numbers of a policy that a route sets for itself: `opt_out.soak.days` or
/// `guards.errors.limit`, and what it is.
pub type Numbers = BTreeMap<String, f64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    gates: BTreeMap<Stage, Vec<RuleDocument>>,
    #[serde(default)]
    ramp: Vec<RampStep>,
    #[serde(default)]
    ramp_start: RampStart,
    #[serde(default)]
    guards: Vec<GuardDocument>,
}

#[derive(Deserialize)]
struct RuleDocument {
    gate: GateKind,
    #[serde(default)]
    only: Scope,
    #[serde(flatten)]
    numbers: BTreeMap<String, serde_json::Value>,
}

impl Policy {
    /// Reads a policy's document.
    ///
    /// # Errors
    /// Everything that is wrong with it, by field.
    pub fn parse(text: &[u8]) -> Result<Policy, Vec<FieldError>> {
        if text.len() > LARGEST_POLICY {
            let detail = format!("has at most {LARGEST_POLICY} bytes");
            return Err(vec![FieldError::new("(document)", detail)]);
        }
        let document: Document = serde_json::from_slice(text)
            .map_err(|error| vec![FieldError::new("(document)", error.to_string())])?;
        let mut errors = Vec::new();
        let name = document.name.parse::<PolicyName>();
        if let Err(detail) = &name {
            errors.push(FieldError::new("name", *detail));
        }
        let description = bounded(&document.description, 4_000);
        if description.is_none() && !document.description.trim().is_empty() {
            errors.push(FieldError::new(
                "description",
                "must be at most 4,000 printable characters",
            ));
        }
        let mut gates = BTreeMap::new();
        for (stage, rules) in document.gates {
            gates.insert(stage, check_rules(stage, rules, &mut errors));
        }
        check_ramp(&document.ramp, &mut errors);
        let guards = read_guards(document.guards, &mut errors);
        check_guards(&guards, &mut errors);
        let Ok(name) = name else {
            return Err(errors);
        };
        let policy = Policy {
            name,
            description: description.unwrap_or_default(),
            gates,
            ramp: document.ramp,
            ramp_start: document.ramp_start,
            guards,
        };
        errors.extend(check_watch(&policy).err());
        if errors.is_empty() {
            Ok(policy)
        } else {
            Err(errors)
        }
    }

    /// The policy with a route's own numbers in it. Numbers that the policy does not have (it may
    /// have changed since they were set) are left out.
    #[must_use]
    pub fn with_numbers(&self, numbers: &Numbers) -> Policy {
        let mut policy = self.clone();
        for (path, value) in numbers {
            if let Ok(place) = policy.place(path, *value) {
                *place = *value;
            }
        }
        policy
    }

    /// Checks a route's own numbers against the policy.
    ///
    /// # Errors
    /// Every number that the policy does not have, or that cannot be.
    pub fn check_numbers(&self, numbers: &Numbers) -> Result<(), Vec<FieldError>> {
        let mut policy = self.clone();
        let mut errors = Vec::new();
        for (path, value) in numbers {
            match policy.place(path, *value) {
                Ok(place) => *place = *value,
                Err(detail) => {
                    errors.push(FieldError::new(format!("policy_numbers.{path}"), detail));
                }
            }
        }
        let own = check_watch(&policy).err();
        errors.extend(own.map(|error| FieldError::new("policy_numbers", error.detail)));
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn place(&mut self, path: &str, value: f64) -> Result<&mut f64, String> {
        let unknown = || {
            format!(
                "policy {} has no such number: take it away, or name one as `opt_out.soak.days` \
                 or `guards.NAME.limit`",
                self.name
            )
        };
        let unknown = unknown();
        let mut parts = path.splitn(3, '.');
        let (Some(first), Some(second), Some(third)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown);
        };
        if first == "guards" {
            let guard = self.guards.iter_mut().find(|guard| guard.name == second);
            let guard = guard.filter(|_| third == "limit").ok_or(unknown)?;
            check_limit(guard.measure, value)?;
            return Ok(&mut guard.limit);
        }
        let rule = first
            .parse::<Stage>()
            .ok()
            .and_then(|stage| self.gates.get_mut(&stage))
            .and_then(|rules| rules.iter_mut().find(|rule| rule.name() == second));
        let Some(rule) = rule else {
            return Err(unknown);
        };
        let number = rule.gate.numbers().iter();
        let Some(number) = number.clone().find(|number| number.name == third) else {
            return Err(unknown);
        };
        check_number(number, value)?;
        Ok(rule.numbers.entry(number.name).or_insert(value))
    }
}

fn check_rules(
    stage: Stage,
    documents: Vec<RuleDocument>,
    errors: &mut Vec<FieldError>,
) -> Vec<Rule> {
    if stage == Stage::ReadyForTesting {
        let detail = "nothing is promoted to ready_for_testing: routes begin there";
        errors.push(FieldError::new("gates.ready_for_testing", detail));
    }
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for document in documents {
        let field = format!("gates.{stage}.{}", document.gate.name());
        if matches!(
            document.gate,
            GateKind::Order | GateKind::Requires | GateKind::Incident
        ) {
            errors.push(FieldError::new(
                &field,
                "every promotion needs it: leave it out",
            ));
        }
        let mut document = document;
        let query = if document.gate == GateKind::Prometheus {
            let asks = read_asks(&mut document.numbers);
            asks.map_err(|(name, detail)| {
                errors.push(FieldError::new(format!("{field}.{name}"), detail));
            })
            .ok()
        } else {
            None
        };
        let name = query.as_ref().map(|asks: &Asks| asks.name.clone());
        if !seen.insert((document.gate, name)) {
            errors.push(FieldError::new(&field, "stands twice"));
        }
        let mut numbers = BTreeMap::new();
        for (name, value) in document.numbers {
            let known = document.gate.numbers().iter();
            let known = known.clone().find(|number| number.name == name);
            match (known, value.as_f64()) {
                (Some(number), Some(value)) => match check_number(number, value) {
                    Ok(()) => {
                        numbers.insert(number.name, value);
                    }
                    Err(detail) => errors.push(FieldError::new(format!("{field}.{name}"), detail)),
                },
                (Some(_), None) => {
                    errors.push(FieldError::new(
                        format!("{field}.{name}"),
                        "must be a number",
                    ));
                }
                (None, _) => {
                    let names: Vec<&str> = document.gate.numbers().iter().map(|n| n.name).collect();
                    let detail = if names.is_empty() {
                        "the gate takes no numbers".to_owned()
                    } else {
                        format!("the gate takes {}", names.join(", "))
                    };
                    errors.push(FieldError::new(format!("{field}.{name}"), detail));
                }
            }
        }
        if document.gate == GateKind::Telemetry && numbers.keys().all(|n| *n == "window_minutes") {
            errors.push(FieldError::new(&field, "needs a limit, such as error_rate"));
        }
        if document.gate == GateKind::Prometheus && numbers.is_empty() {
            errors.push(FieldError::new(format!("{field}.limit"), "is missing"));
        }
        rules.push(Rule {
            gate: document.gate,
            only: document.only,
            numbers,
            query,
        });
    }
    rules
}

/// Takes what a gate asks Prometheus out of what stands in it.
fn read_asks(
    fields: &mut BTreeMap<String, serde_json::Value>,
) -> Result<Asks, (&'static str, String)> {
    let mut text = |name: &'static str| match fields.remove(name) {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err((name, "must be text".to_owned())),
    };
    let (name, query, worse) = (text("name")?, text("query")?, text("worse")?);
    let worse = match worse.as_deref() {
        None | Some("above") => Worse::Above,
        Some("below") => Worse::Below,
        Some(_) => return Err(("worse", "must be above or below".to_owned())),
    };
    let name = name.unwrap_or_default();
    let is_gate = GateKind::ALL.iter().any(|gate| gate.name() == name);
    if name.parse::<PolicyName>().is_err() || is_gate {
        let detail = "must be a lower-case letter, then lower-case letters, digits or underscores, \
                      and no gate's name";
        return Err(("name", detail.to_owned()));
    }
    let query = Query::read(query.as_deref().unwrap_or_default(), worse);
    let query = query.map_err(|detail| ("query", detail))?;
    Ok(Asks { name, query })
}

fn check_number(number: &Number, value: f64) -> Result<(), String> {
    if (number.least..=number.most).contains(&value)
        && (number.name != "count" || value.fract() == 0.0)
    {
        return Ok(());
    }
    let what = if number.name == "count" {
        "a whole number"
    } else {
        "a number"
    };
    Err(format!(
        "must be {what} from {} to {}",
        number.least, number.most
    ))
}

fn check_ramp(ramp: &[RampStep], errors: &mut Vec<FieldError>) {
    if ramp.len() > 50 {
        errors.push(FieldError::new("ramp", "has at most 50 steps"));
    }
    let mut last = Percent::ZERO;
    for (index, step) in ramp.iter().enumerate() {
        if step.percent <= last {
            let detail = "must be above the step before it, and above 0";
            errors.push(FieldError::new(format!("ramp[{index}].percent"), detail));
        }
        if !(0.0..=8_760.0).contains(&step.hold_hours) {
            errors.push(FieldError::new(
                format!("ramp[{index}].hold_hours"),
                "must be from 0 to 8760",
            ));
        }
        last = step.percent;
    }
    if !ramp.is_empty() && last != Percent::HUNDRED {
        errors.push(FieldError::new("ramp", "the last step must be 100"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policies_can_be_read() {
        for text in [
            include_str!("open.json"),
            include_str!("gitaly.json"),
            include_str!("data_migration.json"),
        ] {
            Policy::parse(text.as_bytes()).unwrap();
        }
        let names: Vec<&str> = Policy::built_in().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["open", "gitaly", "data_migration"]);
    }

    #[test]
    fn what_is_wrong_is_said_by_field() {
        for (document, field) in [
            (r#"{"name":"Big"}"#, "name"),
            (
                r#"{"name":"a","gates":{"opt_in":[{"gate":"order"}]}}"#,
                "gates.opt_in.order",
            ),
            (
                r#"{"name":"a","gates":{"opt_in":[{"gate":"soak","days":-1}]}}"#,
                "gates.opt_in.soak.days",
            ),
            (
                r#"{"name":"a","gates":{"opt_in":[{"gate":"soak","hours":1}]}}"#,
                "gates.opt_in.soak.hours",
            ),
            (
                r#"{"name":"a","gates":{"opt_in":[{"gate":"approval","count":1.5}]}}"#,
                "gates.opt_in.approval.count",
            ),
            (
                r#"{"name":"a","gates":{"opt_in":[{"gate":"alert"},{"gate":"alert"}]}}"#,
                "gates.opt_in.alert",
            ),
            (
                r#"{"name":"a","gates":{"ready_for_testing":[{"gate":"alert"}]}}"#,
                "gates.ready_for_testing",
            ),
            (
                r#"{"name":"a","ramp":[{"percent":50,"hold_hours":1}]}"#,
                "ramp",
            ),
            (
                r#"{"name":"a","ramp":[{"percent":50,"hold_hours":1},{"percent":50,"hold_hours":1}]}"#,
                "ramp[1].percent",
            ),
            (
                r#"{"name":"a","guards":[{"name":"e","measure":"error_rate","limit":0,"action":"halt"}]}"#,
                "guards[0].limit",
            ),
            (
                r#"{"name":"a","guards":[{"name":"e","measure":"error_ratio","limit":2,"action":"halt","min_calls":0}]}"#,
                "guards[0].min_calls",
            ),
            (
                r#"{"name":"a","guards":[{"name":"e","measure":"error_ratio","limit":0.01,"action":"halt"}]}"#,
                "guards[0].limit",
            ),
            (r#"{"name":"a","unknown":1}"#, "(document)"),
            ("[", "(document)"),
        ] {
            let errors = Policy::parse(document.as_bytes()).unwrap_err();
            assert!(
                errors.iter().any(|error| error.field == field),
                "{document}: {errors:?}"
            );
        }
    }

    #[test]
    fn a_route_sets_single_numbers() {
        let gitaly = &Policy::built_in()[1];
        let numbers = Numbers::from([
            ("opt_out.soak.days".to_owned(), 3.0),
            ("mandatory.approval.count".to_owned(), 2.0),
        ]);
        gitaly.check_numbers(&numbers).unwrap();
        let own = gitaly.with_numbers(&numbers);
        assert!(own.is_laxer_than(gitaly), "three days are less than seven");
        assert!(gitaly.is_laxer_than(&own), "one approval is less than two");
        for (path, value) in [
            ("opt_out.soak", 3.0),
            ("opt_out.soak.hours", 3.0),
            ("opt_in.soak.days", 3.0),
            ("opt_out.soak.days", -3.0),
            ("guards.errors.limit", 1.0),
            ("", 1.0),
        ] {
            let numbers = Numbers::from([(path.to_owned(), value)]);
            gitaly.check_numbers(&numbers).unwrap_err();
            assert_eq!(gitaly.with_numbers(&numbers), *gitaly);
        }
    }

    #[test]
    fn fewer_days_in_installations_of_others_are_laxer() {
        let gitaly = &Policy::built_in()[1];
        let with =
            |path: &str, days: f64| gitaly.with_numbers(&Numbers::from([(path.to_owned(), days)]));
        let fewer = with("opt_out.soak.on_prem_days", 1.0);
        assert!(fewer.is_laxer_than(gitaly), "there it was seven as well");
        let more = with("opt_out.soak.on_prem_days", 8.0);
        assert!(!more.is_laxer_than(gitaly) && gitaly.is_laxer_than(&more));
        assert!(with("mandatory.soak.on_prem_days", 29.0).is_laxer_than(gitaly));
        assert!(!with("mandatory.soak.days", 15.0).is_laxer_than(gitaly));
    }

    #[test]
    fn taking_a_gate_away_is_laxer() {
        let [open, gitaly, data] = Policy::built_in() else {
            panic!("three")
        };
        assert!(open.is_laxer_than(gitaly) && open.is_laxer_than(data));
        assert!(!gitaly.is_laxer_than(open) && !gitaly.is_laxer_than(gitaly));
        assert!(gitaly.is_laxer_than(data) && data.is_laxer_than(gitaly));
    }
}
