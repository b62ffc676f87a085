//! Flags of GitLab's own development: the definitions in `config/feature_flags/**.yml`, and what
//! `GET /api/v4/features` answers of their states.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::declared::{Unreadable, from_yaml};
use crate::domain::moving::{Flag, Place, Share};

/// A definition, or a state that may have its definition in it.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    gates: Vec<Gate>,
    #[serde(default)]
    definition: Option<Definition>,
    #[serde(flatten)]
    own: Definition,
}

#[derive(Deserialize)]
struct Gate {
    key: String,
    value: Value,
}

#[derive(Default, Deserialize)]
struct Definition {
    name: String,
    #[serde(default)]
    default_enabled: Option<bool>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    feature_issue_url: Option<String>,
    #[serde(default)]
    rollout_issue_url: Option<String>,
    #[serde(default)]
    introduced_by_url: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    milestone: Option<Value>,
}

/// Reads definitions or states.
pub(super) fn read(text: &str) -> Result<Vec<Flag>, Unreadable> {
    let is_list = from_yaml::<Value>(text)?.is_array();
    let entries: Result<Vec<Entry>, Unreadable> = if is_list {
        from_yaml(text)
    } else {
        from_yaml(text).map(|entry| vec![entry])
    };
    let entries = entries.map_err(|mut why| {
        why.detail = format!("{FORMS}: {}", why.detail);
        why
    })?;
    entries.into_iter().map(flag).collect()
}

const FORMS: &str = "it is neither a definition of a feature flag of GitLab (`name`, \
                     `default_enabled`) nor what GET /api/v4/features answers (`name`, `state`, `gates`)";

fn flag(entry: Entry) -> Result<Flag, Unreadable> {
    match (entry.state, entry.own.default_enabled) {
        (Some(state), _) => {
            let definition = entry.definition.unwrap_or(Definition {
                name: entry.own.name.clone(),
                ..Definition::default()
            });
            let mut flag = described(definition);
            flag.name = entry.own.name;
            flag.places.insert(None, of_state(&state, &entry.gates));
            Ok(flag)
        }
        (None, Some(is_on)) => Ok(of_default(entry.own, is_on)),
        (None, None) => Err(Unreadable {
            place: None,
            detail: format!(
                "{FORMS}: `{}` has neither a state nor a default",
                entry.own.name
            ),
        }),
    }
}

/// One flag for what the definition and the state say; the state is what is in force.
pub(super) fn joined(flags: Vec<Flag>) -> Vec<Flag> {
    let mut joined: BTreeMap<String, Flag> = BTreeMap::new();
    for flag in flags {
        let Some(known) = joined.remove(&flag.name) else {
            joined.insert(flag.name.clone(), flag);
            continue;
        };
        let (strong, weak) = match flag.default_only && !known.default_only {
            true => (known, flag),
            false => (flag, known),
        };
        let mut both = strong;
        both.description = first(both.description, weak.description);
        both.owner = both.owner.or(weak.owner);
        both.issue = both.issue.or(weak.issue);
        both.labels = weak.labels.into_iter().chain(both.labels).collect();
        joined.insert(both.name.clone(), both);
    }
    joined.into_values().collect()
}

fn first(strong: String, weak: String) -> String {
    if strong.is_empty() { weak } else { strong }
}

fn of_default(definition: Definition, is_on: bool) -> Flag {
    let share = match is_on {
        true => Share::Everybody,
        false => Share::Nobody,
    };
    let mut flag = described(definition);
    flag.default_only = true;
    let place = Place {
        share,
        ..Place::default()
    };
    flag.places.insert(None, place);
    flag
}

fn described(definition: Definition) -> Flag {
    let group = definition.group.as_deref();
    let owner = group.map(|group| group.trim_start_matches("group::").to_owned());
    let addresses = [
        definition.rollout_issue_url,
        definition.feature_issue_url,
        definition.introduced_by_url,
    ];
    let milestone = match definition.milestone {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let labels = [("type", definition.kind), ("milestone", milestone)];
    Flag {
        name: definition.name,
        description: definition.description.unwrap_or_default(),
        owner,
        issue: addresses.into_iter().flatten().find(|url| !url.is_empty()),
        labels: labels
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        ..Flag::default()
    }
}

fn of_state(state: &str, gates: &[Gate]) -> Place {
    let mut place = Place::default();
    for gate in gates {
        of_gate(gate, &mut place);
    }
    if state == "on" && gates.is_empty() {
        place.share = Share::Everybody;
    }
    place
}

fn of_gate(gate: &Gate, place: &mut Place) {
    let number = gate
        .value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok());
    match gate.key.as_str() {
        "boolean" if gate.value == Value::Bool(true) => place.share = Share::Everybody,
        "boolean" => {}
        "percentage_of_actors" => {
            let share = Share::of(number.unwrap_or(0).min(100) * 1_000);
            place.share = place.share.max(share);
        }
        "percentage_of_time" if number == Some(0) => {}
        "percentage_of_time" => place.lose(
            "percentage_of_time",
            format!(
                "{} % of the calls, at random: here a share is of keys, and each stays on its side; \
                 nobody takes the new path by it",
                number.unwrap_or(0)
            ),
        ),
        "actors" => {
            let actors = gate.value.as_array().into_iter().flatten();
            let actors: Vec<String> = actors.filter_map(|it| it.as_str().map(str::to_owned)).collect();
            if !actors.is_empty() {
                place.lose(
                    "actors",
                    format!(
                        "{} are carried as they are written, such as {}: callers have to pass such keys",
                        actors.len(),
                        actors.first().cloned().unwrap_or_default()
                    ),
                );
            }
            place.include.extend(actors);
        }
        other => {
            let empty = gate.value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                let detail = "here a key decides; make cohorts of those who match";
                place.lose(other, detail);
            }
        }
    }
}
