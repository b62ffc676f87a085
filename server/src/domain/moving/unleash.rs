//! Flags of Unleash: what `POST /api/admin/features-batch/export` and the older
//! `GET /api/admin/state/export` answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::declared::{Unreadable, from_yaml};
use crate::domain::moving::{Flag, Place, Share};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    features: Vec<Feature>,
    #[serde(default)]
    feature_strategies: Vec<Strategy>,
    #[serde(default)]
    feature_environments: Vec<FeatureEnvironment>,
    #[serde(default)]
    feature_tags: Vec<Tag>,
    #[serde(default)]
    feature_strategy_segments: Vec<StrategySegment>,
    #[serde(default)]
    dependencies: Vec<Dependencies>,
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    archived: bool,
    /// Of the first versions of the form, which know no environments.
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    strategies: Vec<Strategy>,
    #[serde(default)]
    variants: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Strategy {
    #[serde(default)]
    name: Option<String>,
    /// The same in the older form.
    #[serde(default)]
    strategy_name: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    feature_name: String,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    #[serde(default)]
    constraints: Option<Vec<Value>>,
    #[serde(default)]
    segments: Option<Vec<Value>>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    variants: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureEnvironment {
    feature_name: String,
    environment: String,
    enabled: bool,
    #[serde(default)]
    variants: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tag {
    feature_name: String,
    tag_type: String,
    tag_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StrategySegment {
    feature_strategy_id: String,
}

#[derive(Deserialize)]
struct Dependencies {
    feature: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    feature: String,
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default)]
    variants: Option<Vec<Value>>,
}

const fn enabled() -> bool {
    true
}

/// Reads an export.
pub(super) fn read(text: &str) -> Result<Vec<Flag>, Unreadable> {
    let mut export: Export = from_yaml(text).map_err(|mut why| {
        why.detail = format!(
            "it is not what an export of Unleash is, with `features` and `featureStrategies`: {}",
            why.detail
        );
        why
    })?;
    for strategy in &mut export.feature_strategies {
        let id = strategy.id.as_ref();
        let mut links = export.feature_strategy_segments.iter();
        if id.is_some_and(|id| links.any(|link| link.feature_strategy_id == *id)) {
            strategy.segments.get_or_insert_default().push(Value::Null);
        }
    }
    Ok(export
        .features
        .iter()
        .map(|feature| flag(feature, &export))
        .collect())
}

fn flag(feature: &Feature, export: &Export) -> Flag {
    let mut flag = Flag {
        name: feature.name.clone(),
        description: feature.description.clone().unwrap_or_default(),
        left_out: feature.archived.then(|| "it is archived".to_owned()),
        ..Flag::default()
    };
    for (label, value) in [("type", &feature.kind), ("project", &feature.project)] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            flag.labels.insert(label.to_owned(), value.clone());
        }
    }
    for tag in export
        .feature_tags
        .iter()
        .filter(|tag| tag.feature_name == feature.name)
    {
        let said = flag.labels.entry(tag.tag_type.clone()).or_default();
        if !said.is_empty() {
            said.push_str(", ");
        }
        said.push_str(&tag.tag_value);
    }
    let needs = export
        .dependencies
        .iter()
        .filter(|it| it.feature == feature.name);
    for need in needs.flat_map(|needs| &needs.dependencies) {
        if need.enabled && need.variants.as_ref().is_none_or(Vec::is_empty) {
            flag.requires.insert(need.feature.clone());
        } else {
            flag.requires_else = true;
            let detail = format!(
                "`{}`, off or at a variant: a route can only be required to be new",
                need.feature
            );
            flag.lose("dependencies", detail);
        }
    }
    if feature
        .variants
        .as_ref()
        .is_some_and(|variants| !variants.is_empty())
    {
        flag.lose("variants", "are not carried: a route has two paths");
    }
    if let Some(enabled) = feature.enabled {
        let strategies: Vec<&Strategy> = feature.strategies.iter().collect();
        flag.places.insert(None, place(enabled, &strategies));
    }
    let here = export.feature_environments.iter();
    for here in here.filter(|here| here.feature_name == feature.name) {
        let strategies = export.feature_strategies.iter().filter(|strategy| {
            // An export of one environment leaves it out of the strategies.
            let is_here = strategy
                .environment
                .as_ref()
                .is_none_or(|it| *it == here.environment);
            strategy.feature_name == feature.name && is_here
        });
        let mut place = place(here.enabled, &strategies.collect::<Vec<_>>());
        if here
            .variants
            .as_ref()
            .is_some_and(|variants| !variants.is_empty())
        {
            place.lose("variants", "are not carried: a route has two paths");
        }
        flag.places.insert(Some(here.environment.clone()), place);
    }
    flag
}

/// A flag is on for whom one of its strategies is; without any, for everybody.
fn place(enabled: bool, strategies: &[&Strategy]) -> Place {
    let mut place = Place::default();
    if !enabled {
        return place;
    }
    let active: Vec<_> = strategies
        .iter()
        .filter(|it| it.disabled != Some(true))
        .collect();
    if strategies.is_empty() {
        place.share = Share::Everybody;
    }
    let mut shares = 0;
    for strategy in active {
        let share = of_strategy(strategy, &mut place);
        shares += usize::from(matches!(share, Share::Some(_)));
        place.share = place.share.max(share);
    }
    if shares > 1 {
        place.lose(
            "strategies",
            "several shares at once: the largest is carried",
        );
    }
    place
}

fn of_strategy(strategy: &Strategy, place: &mut Place) -> Share {
    let kind = strategy.name.as_ref().or(strategy.strategy_name.as_ref());
    let kind = kind.map(String::as_str).unwrap_or_default();
    let name = format!("strategy {kind}");
    let count = |of: &Option<Vec<Value>>| of.as_ref().map_or(0, Vec::len);
    let constraints = count(&strategy.constraints);
    let segments = count(&strategy.segments);
    if constraints > 0 || segments > 0 {
        place.lose(
            name,
            format!(
                "{constraints} constraints, {segments} segments: here a key decides; make cohorts of those \
                 who match; nobody takes the new path by it"
            ),
        );
        return Share::Nobody;
    }
    if strategy
        .variants
        .as_ref()
        .is_some_and(|variants| !variants.is_empty())
    {
        place.lose(
            name.clone(),
            "its variants are not carried: a route has two paths",
        );
    }
    match kind {
        "default" => Share::Everybody,
        "userWithId" => {
            let ids = text(strategy, "userIds");
            let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
            place.include.extend(ids.map(str::to_owned));
            Share::Nobody
        }
        "flexibleRollout" => match text(strategy, "stickiness").as_str() {
            "random" => random(place, name),
            "default" | "userId" | "" => share(strategy, "rollout", place, name),
            other => {
                let detail =
                    format!("callers are told apart by `{other}`: have them pass it as the key");
                place.lose("stickiness", detail);
                share(strategy, "rollout", place, name)
            }
        },
        "gradualRolloutUserId" => share(strategy, "percentage", place, name),
        "gradualRolloutSessionId" => {
            let detail = "callers are told apart by `sessionId`: have them pass it as the key";
            place.lose("stickiness", detail);
            share(strategy, "percentage", place, name)
        }
        "gradualRolloutRandom" => random(place, name),
        _ => {
            place.lose(name, "is not known here: nobody takes the new path by it");
            Share::Nobody
        }
    }
}

/// A share of the calls and not of the callers: with a migration the same caller would go to and fro.
fn random(place: &mut Place, name: String) -> Share {
    let detail = "a share of the calls, at random: here a share is of keys, and each stays on its side; \
                  nobody takes the new path by it";
    place.lose(name, detail);
    Share::Nobody
}

fn share(strategy: &Strategy, parameter: &str, place: &mut Place, name: String) -> Share {
    let said = text(strategy, parameter);
    match said.parse::<u32>() {
        Ok(percent @ 0..=100) => Share::of(percent * 1_000),
        _ => {
            place.lose(
                name,
                format!("`{said}` is no share: nobody takes the new path by it"),
            );
            Share::Nobody
        }
    }
}

/// Parameters are texts; some write numbers.
fn text(strategy: &Strategy, parameter: &str) -> String {
    match strategy.parameters.get(parameter) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
