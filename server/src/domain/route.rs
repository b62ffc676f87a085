//! One endpoint that is moving from an old to a new implementation.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{FlagName, RouteKey};

use crate::domain::field::FieldError;
use crate::domain::naming::Endpoint;
use crate::domain::policy::{Numbers, PolicyName};
use crate::domain::preparation::Preparation;
use crate::domain::refusal::Refusal;
use crate::domain::schedule::Schedule;
use crate::domain::text::{bounded, misleads};

/// What a call of the route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Neither is known, or both.
    Call,
}

impl Operation {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Call => "call",
        }
    }
}

/// Where people find more about a route. Each is an `http` or `https` address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// What to do when it goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// Where it can be watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<String>,
    /// What wakes somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Where the migration is discussed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
}

/// Short names and what they say: labels and contacts.
pub type Labels = BTreeMap<String, String>;

/// What a person says of a route; checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSpec {
    /// Its name.
    pub key: RouteKey,
    /// Its environment variable; unique.
    pub flag: FlagName,
    /// The new implementation's address.
    pub endpoint: Endpoint,
    /// What a call does.
    pub operation: Operation,
    /// Who answers for it.
    pub owner: String,
    /// Which gates its promotions need.
    pub policy: PolicyName,
    /// Numbers of the policy that this route sets for itself.
    pub policy_numbers: Numbers,
    /// Routes that must be at least as far, and decide new first.
    pub requires: BTreeSet<RouteKey>,
    /// Routes of one group move the same keys together.
    pub ramp_group: Option<String>,
    /// For finding it.
    pub labels: Labels,
    /// Whom to ask.
    pub contacts: Labels,
    /// What it is about.
    pub description: String,
    /// Where to read on.
    pub links: Links,
}

/// A route on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What was said of it.
    pub spec: RouteSpec,
    /// How far its preparation is; `None` for one that was ready from the start.
    pub preparation: Option<Preparation>,
    /// When it is to reach its stages.
    pub schedule: Schedule,
    /// Since when it is retired: final, and mandatory for ever.
    pub retired_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    pub revision: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Route {
    /// Whether it may be published: before, it is in no environment.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let preparation = self.preparation.as_ref();
        preparation.is_none_or(Preparation::is_ready)
    }

    /// What its preparation is at: phases, or `shelved`, or `ready`.
    #[must_use]
    pub fn at(&self) -> Vec<&'static str> {
        let preparation = self.preparation.as_ref();
        preparation.map_or_else(|| vec!["ready"], Preparation::at)
    }

    /// Why nothing can be done with it in an environment yet, and what comes first.
    #[must_use]
    pub fn not_ready(&self) -> Refusal {
        let key = &self.spec.key;
        let preparation = self.preparation.as_ref();
        let next = preparation.map(|preparation| preparation.next_step(key));
        Refusal::NotReady(format!(
            "`{key}` is not ready ({}), so it is in no environment yet and its callers take the old \
             path: {}",
            self.at().join(", "),
            next.unwrap_or_default()
        ))
    }
}

/// What a person says of a route; not checked yet.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in RouteSpec")]
pub struct RawRoute {
    pub endpoint: String,
    pub key: Option<String>,
    pub flag: Option<String>,
    pub operation: Operation,
    pub owner: String,
    pub policy: Option<String>,
    pub policy_numbers: Numbers,
    pub requires: Vec<String>,
    pub ramp_group: Option<String>,
    pub labels: Labels,
    pub contacts: Labels,
    pub description: String,
    pub links: Links,
}

/// The most routes that one may require directly.
pub const MOST_REQUIREMENTS: usize = 16;

impl RouteSpec {
    /// Checks what a person says; key and flag follow from the endpoint where they are not given.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(raw: RawRoute) -> Result<RouteSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut check = Checker(&mut errors);
        let endpoint: Option<Endpoint> = check.parsed("endpoint", raw.endpoint.parse());
        let key = match (&raw.key, &endpoint) {
            (Some(key), _) => check.parsed("key", key.parse()),
            (None, Some(endpoint)) => check.derived("key", endpoint.key()),
            (None, None) => None,
        };
        let flag = match (&raw.flag, &endpoint) {
            (Some(flag), _) => check.parsed("flag", flag.parse()),
            (None, Some(endpoint)) => check.derived("flag", endpoint.flag()),
            (None, None) => None,
        };
        check.flag(flag.as_ref());
        let policy = match &raw.policy {
            Some(policy) => check.parsed("policy", policy.parse()),
            None => Some(PolicyName::gitaly()),
        };
        let owner = check.text("owner", &raw.owner, 100);
        let requires = check.requires(&raw.requires, key.as_ref());
        check.ramp_group(raw.ramp_group.as_deref());
        let labels = check.labels("labels", raw.labels);
        let contacts = check.labels("contacts", raw.contacts);
        let description = check.description(&raw.description);
        check.links(&raw.links);
        if raw.policy_numbers.len() > 64 {
            check.complain("policy_numbers", "must be at most 64");
        }
        match (endpoint, key, flag, policy, owner, requires) {
            (Some(endpoint), Some(key), Some(flag), Some(policy), Some(owner), Some(requires))
                if errors.is_empty() =>
            {
                Ok(RouteSpec {
                    key,
                    flag,
                    endpoint,
                    operation: raw.operation,
                    owner,
                    policy,
                    policy_numbers: raw.policy_numbers,
                    requires,
                    ramp_group: raw.ramp_group,
                    labels,
                    contacts,
                    description,
                    links: raw.links,
                })
            }
            _ => Err(errors),
        }
    }

    /// The same as a person would say it, to be changed and checked again.
    #[must_use]
    pub fn to_raw(&self) -> RawRoute {
        RawRoute {
            endpoint: self.endpoint.to_string(),
            key: Some(self.key.to_string()),
            flag: Some(self.flag.to_string()),
            operation: self.operation,
            owner: self.owner.clone(),
            policy: Some(self.policy.to_string()),
            policy_numbers: self.policy_numbers.clone(),
            requires: self.requires.iter().map(ToString::to_string).collect(),
            ramp_group: self.ramp_group.clone(),
            labels: self.labels.clone(),
            contacts: self.contacts.clone(),
            description: self.description.clone(),
            links: self.links.clone(),
        }
    }
}

/// Whether it is an http or https address that people can follow, of at most 2,000 bytes.
#[must_use]
pub fn is_address(link: &str) -> bool {
    let rest = link
        .strip_prefix("https://")
        .or_else(|| link.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    // Who puts a password before the host would have it kept for ever.
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && link.len() <= 2_000
        && !link.chars().any(|c| c.is_whitespace() || misleads(c))
}

struct Checker<'a>(&'a mut Vec<FieldError>);

impl Checker<'_> {
    fn complain(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(field, detail));
    }

    fn parsed<T, E: ToString>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed
            .map_err(|error| self.complain(field, error.to_string()))
            .ok()
    }

    fn derived<T>(&mut self, field: &str, derived: Option<T>) -> Option<T> {
        if derived.is_none() {
            self.complain(
                field,
                format!("none follows from this endpoint: pass `{field}`"),
            );
        }
        derived
    }

    /// `<PREFIX>_FEATURE_DEFAULT_ON` is a switch for all flags of a prefix.
    fn flag(&mut self, flag: Option<&FlagName>) {
        if flag.is_some_and(|flag| flag.as_str().ends_with("_FEATURE_DEFAULT_ON")) {
            let detail = "a variable that ends in _FEATURE_DEFAULT_ON switches all opt-in features \
                          of an installation: pass another `flag`";
            self.complain("flag", detail);
        }
    }

    fn text(&mut self, field: &str, value: &str, longest: usize) -> Option<String> {
        let text = bounded(value, longest);
        if text.is_none() {
            self.complain(
                field,
                format!("must be 1 to {longest} printable characters"),
            );
        }
        text
    }

    fn requires(
        &mut self,
        requires: &[String],
        key: Option<&RouteKey>,
    ) -> Option<BTreeSet<RouteKey>> {
        if requires.len() > MOST_REQUIREMENTS {
            let detail = format!("a route requires at most {MOST_REQUIREMENTS} others");
            self.complain("requires", detail);
            return None;
        }
        let mut keys = BTreeSet::new();
        for (index, required) in requires.iter().enumerate() {
            let required: RouteKey =
                self.parsed(&format!("requires[{index}]"), required.parse())?;
            if Some(&required) == key {
                self.complain(
                    format!("requires[{index}]"),
                    "a route cannot require itself",
                );
                return None;
            }
            keys.insert(required);
        }
        Some(keys)
    }

    fn ramp_group(&mut self, group: Option<&str>) {
        if group.is_some_and(|group| group.parse::<RouteKey>().is_err()) {
            let detail = "a ramp group is named like a route key: a lower-case letter, then up to \
                          62 lower-case letters, digits or underscores";
            self.complain("ramp_group", detail);
        }
    }

    fn labels(&mut self, field: &str, labels: Labels) -> Labels {
        if labels.len() > 32 {
            self.complain(field, "must be at most 32");
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let mut clean = Labels::new();
        for (name, value) in labels {
            if name.is_empty() || name.len() > 63 || !name.bytes().all(legal) {
                self.complain(field, "a name is 1 to 63 letters, digits, `_`, `.` or `-`");
            } else if let Some(value) = self.text(&format!("{field}.{name}"), &value, 200) {
                clean.insert(name, value);
            }
        }
        clean
    }

    fn description(&mut self, description: &str) -> String {
        let text = bounded(description, 4_000);
        if text.is_none() && !description.trim().is_empty() {
            self.complain("description", "must be at most 4,000 printable characters");
        }
        text.unwrap_or_default()
    }

    fn links(&mut self, links: &Links) {
        let all = [
            ("runbook", &links.runbook),
            ("dashboard", &links.dashboard),
            ("alert", &links.alert),
            ("issue", &links.issue),
        ];
        for (name, link) in all {
            let legal = link.as_deref().is_none_or(is_address);
            if !legal {
                let detail = "must be an http or https address of at most 2,000 bytes";
                self.complain(format!("links.{name}"), detail);
            }
        }
    }
}
