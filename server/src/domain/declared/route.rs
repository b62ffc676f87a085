//! A route itself: what makes it what is declared, and what a declaration cannot do with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use switchover::RouteKey;

use crate::domain::declared::differ::{differences, fields};
use crate::domain::declared::{DeclaredPreparation, DeclaredRoute, FieldChange, Step};
use crate::domain::naming::Endpoint;
use crate::domain::policy::PolicyName;
use crate::domain::route::{Links, RawRoute, RouteSpec};

/// Fields that are changed in other ways than the others.
const APART: [&str; 3] = ["flag", "preparation", "retired"];

impl DeclaredRoute {
    /// As a new route would be on record: what is not said is as usual.
    pub(super) fn in_full(&self) -> DeclaredRoute {
        let endpoint = self.endpoint.clone().unwrap_or_default();
        let derived = endpoint.parse::<Endpoint>().ok();
        DeclaredRoute {
            flag: self
                .flag
                .clone()
                .or_else(|| derived.and_then(|endpoint| endpoint.flag())),
            endpoint: Some(endpoint),
            operation: self.operation,
            owner: self.owner.clone(),
            policy: self
                .policy
                .clone()
                .or_else(|| PolicyName::gitaly().as_str().parse().ok()),
            policy_numbers: Some(self.policy_numbers.clone().unwrap_or_default()),
            requires: Some(self.requires.clone().unwrap_or_default()),
            ramp_group: Some(self.ramp_group.clone().flatten()),
            labels: Some(self.labels.clone().unwrap_or_default()),
            contacts: Some(self.contacts.clone().unwrap_or_default()),
            description: Some(self.description.clone().unwrap_or_default()),
            links: Some(self.links.clone().unwrap_or_default()),
            schedule: Some(BTreeMap::new()),
            preparation: Some(self.preparation.clone().flatten()),
            retired: Some(false),
            rollouts: BTreeMap::new(),
        }
    }

    /// Everything that is wrong with it as a new route.
    pub(super) fn complaints(&self, key: &RouteKey) -> Vec<String> {
        let (Some(endpoint), Some(operation), Some(owner)) =
            (&self.endpoint, self.operation, &self.owner)
        else {
            return vec![format!(
                "routes.{key}: there is no such route yet, and to add it `endpoint`, `operation` and \
                 `owner` are needed"
            )];
        };
        let raw = RawRoute {
            endpoint: endpoint.clone(),
            key: Some(key.to_string()),
            flag: self.flag.as_ref().map(ToString::to_string),
            operation,
            owner: owner.clone(),
            policy: self.policy.as_ref().map(ToString::to_string),
            policy_numbers: self.policy_numbers.clone().unwrap_or_default(),
            requires: texts(self.requires.iter().flatten()),
            ramp_group: self.ramp_group.clone().flatten().map(String::from),
            labels: self.labels.clone().unwrap_or_default(),
            contacts: self.contacts.clone().unwrap_or_default(),
            description: self.description.clone().unwrap_or_default(),
            links: self.links.clone().unwrap_or_default(),
        };
        match RouteSpec::parse(raw) {
            Ok(_) => Vec::new(),
            Err(errors) => errors
                .into_iter()
                .map(|error| format!("routes.{key}.{}: {}", error.field, error.detail))
                .collect(),
        }
    }

    /// What of this is to be another on a route that is there; what cannot be, is not among it.
    pub(super) fn changes(&self, now: &DeclaredRoute) -> Vec<FieldChange> {
        if now.retired == Some(true) {
            return Vec::new();
        }
        let mut changes = differences(now, self);
        changes.retain(|change| !APART.contains(&change.field.as_str()));
        let preparing = (now.preparation.as_ref(), self.preparation.as_ref());
        if let (Some(Some(now)), Some(Some(wanted))) = preparing {
            changes.extend(estimates(now, wanted).map(|change| FieldChange {
                field: format!("preparation.{}", change.field),
                ..change
            }));
        }
        changes
    }

    /// The next change of a route that is there; `None` when it is as declared.
    pub(super) fn next(&self, key: &RouteKey, now: &DeclaredRoute) -> Option<Step> {
        let (prepared, said): (Vec<_>, Vec<_>) = self
            .changes(now)
            .into_iter()
            .partition(|change| change.field.starts_with("preparation."));
        if !said.is_empty() {
            let fields = said.into_iter().map(|change| (change.field, change.to));
            return Some(Step::ChangeRoute(key.clone(), fields.collect()));
        }
        let fields: Map<String, Value> = prepared
            .into_iter()
            .map(|change| {
                let field = change.field.trim_start_matches("preparation.");
                (field.to_owned(), change.to)
            })
            .collect();
        (!fields.is_empty()).then(|| Step::Estimate(key.clone(), fields))
    }

    /// What of this is left alone on a route that is there, and why.
    pub(super) fn left_alone(&self, now: &DeclaredRoute) -> Vec<&'static str> {
        let mut left = Vec::new();
        if now.retired == Some(true) {
            let mut says = fields(self);
            says.retain(|field, _| field != "rollouts");
            let has = fields(now);
            if says
                .iter()
                .any(|(field, value)| has.get(field) != Some(value))
            {
                left.push("it is retired, which is final: left alone");
            }
            return left;
        }
        match (&now.preparation, &self.preparation) {
            (Some(Some(_)), Some(None)) => left.push(
                "it is being prepared, and people complete that (switchover prepare): left alone",
            ),
            (Some(None), Some(Some(_))) => {
                left.push("it is ready already: its preparation is left alone");
            }
            _ => {}
        }
        left
    }

    /// The routes that it requires, as it is to be.
    pub(super) fn requirements<'a>(
        &'a self,
        now: Option<&'a DeclaredRoute>,
    ) -> impl Iterator<Item = &'a RouteKey> {
        let said = self.requires.as_ref();
        let has = now.and_then(|now| now.requires.as_ref());
        said.or(has).into_iter().flat_map(BTreeSet::iter)
    }

    /// The fields that `POST /routes` takes, without the key.
    #[must_use]
    pub fn as_new(&self) -> Map<String, Value> {
        let mut all = fields(self);
        all.retain(|field, value| {
            !matches!(field.as_str(), "rollouts" | "schedule" | "retired") && !value.is_null()
        });
        if self.links == Some(Links::default()) {
            all.remove("links");
        }
        all
    }
}

fn estimates(
    now: &DeclaredPreparation,
    wanted: &DeclaredPreparation,
) -> impl Iterator<Item = FieldChange> {
    differences(now, wanted).into_iter()
}

fn texts<'a>(keys: impl Iterator<Item = &'a RouteKey>) -> Vec<String> {
    keys.map(ToString::to_string).collect()
}
