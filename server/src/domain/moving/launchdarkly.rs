//! Flags of LaunchDarkly: what `GET /api/v2/flags/{project}` answers, page by page, or one flag of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::declared::{Unreadable, from_yaml};
use crate::domain::moving::pages::{Links, Pages};
use crate::domain::moving::{Flag, Place, Share};

/// The stages of a migration flag at which the new side decides.
const NEW_DECIDES: [&str; 3] = ["live", "rampdown", "complete"];
/// The stages of a migration flag at which both sides are written or read.
const BOTH_RUN: [&str; 4] = ["dualwrite", "shadow", "live", "rampdown"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    items: Vec<Item>,
    #[serde(default)]
    total_count: Option<usize>,
    #[serde(default, rename = "_links")]
    links: Option<Links>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    key: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: Option<String>,
    variations: Vec<Variation>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    migration_settings: Option<Value>,
    #[serde(default, rename = "_maintainer")]
    maintainer: Option<Maintainer>,
    #[serde(default, rename = "_maintainerTeam")]
    team: Option<Team>,
    #[serde(default)]
    environments: BTreeMap<String, Environment>,
}

#[derive(Deserialize)]
struct Variation {
    value: Value,
}

#[derive(Deserialize)]
struct Maintainer {
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    on: bool,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    context_targets: Vec<Target>,
    #[serde(default)]
    rules: Vec<Value>,
    #[serde(default)]
    fallthrough: Option<Fallthrough>,
    #[serde(default)]
    off_variation: Option<usize>,
    #[serde(default)]
    prerequisites: Vec<Prerequisite>,
    /// What there is in place of the rest, when nobody asks for the rest.
    #[serde(default, rename = "_summary")]
    summary: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    values: Vec<String>,
    variation: usize,
    #[serde(default)]
    context_kind: Option<String>,
}

#[derive(Deserialize)]
struct Fallthrough {
    #[serde(default)]
    variation: Option<usize>,
    #[serde(default)]
    rollout: Option<Rollout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rollout {
    variations: Vec<Weighted>,
    #[serde(default)]
    bucket_by: Option<String>,
    #[serde(default)]
    context_kind: Option<String>,
    #[serde(default)]
    experiment_allocation: Option<Value>,
}

#[derive(Deserialize)]
struct Weighted {
    variation: usize,
    /// In thousandths of a percent, as here.
    weight: u32,
}

#[derive(Deserialize)]
struct Prerequisite {
    key: String,
    variation: usize,
}

/// Reads answers of the interface. Pages belong together, and none may be missing.
pub(super) fn read(files: &[(String, String)]) -> Result<Vec<Flag>, (String, Unreadable)> {
    let mut pages = Pages::default();
    let mut items = Vec::new();
    for (name, text) in files {
        let answer = answer(text)
            .and_then(|answer| is_told(&answer.items).map(|()| answer))
            .map_err(|why| (name.clone(), why))?;
        let links = answer.links.unwrap_or_default();
        let keys = answer.items.iter().map(|item| item.key.as_str());
        pages.add(name, (&links, answer.total_count), keys);
        items.extend(answer.items);
    }
    pages.check()?;
    let known: Known = items
        .iter()
        .filter_map(|item| Some((item.key.clone(), sides(item)?.new)))
        .collect();
    Ok(items.into_iter().map(|item| flag(item, &known)).collect())
}

fn answer(text: &str) -> Result<Answer, Unreadable> {
    let is_list = from_yaml::<Value>(text)?.get("items").is_some();
    let answer = if is_list {
        from_yaml::<Answer>(text)
    } else {
        from_yaml::<Item>(text).map(|item| Answer {
            items: vec![item],
            total_count: None,
            links: None,
        })
    };
    answer.map_err(|mut why| {
        why.detail = format!(
            "it is not what GET /api/v2/flags/PROJECT of LaunchDarkly answers: {}",
            why.detail
        );
        why
    })
}

/// Refuses a summary: it says that a flag is on, and not for whom.
fn is_told(items: &[Item]) -> Result<(), Unreadable> {
    for item in items {
        for (key, environment) in &item.environments {
            let is_short = environment.on || environment.summary.is_some();
            if is_short && environment.fallthrough.is_none() {
                return Err(Unreadable {
                    place: None,
                    detail: format!(
                        "`{}` in `{key}`: for whom it is on is not said: the answer was fetched without \
                         summary=0. Ask again: GET /api/v2/flags/PROJECT?summary=0&limit=100",
                        item.key
                    ),
                });
            }
        }
    }
    Ok(())
}

/// Which variations of each flag mean the new path.
type Known = BTreeMap<String, Vec<bool>>;

fn flag(item: Item, known: &Known) -> Flag {
    let Some(sides) = sides(&item) else {
        let left_out = match item.variations.len() {
            2 => "its two variations are not true and false, and which of them is the new path is not \
                  known: add a route by hand"
                .to_owned(),
            1 => "it has 1 variation, and a route has two paths".to_owned(),
            more => format!("it has {more} variations, and a route has two paths"),
        };
        return Flag {
            left_out: Some(left_out),
            name: item.key,
            ..Flag::default()
        };
    };
    let mut flag = Flag {
        description: item
            .description
            .filter(|text| !text.is_empty())
            .unwrap_or(item.name),
        owner: item.team.map(|team| team.key),
        writes: sides.migrates,
        left_out: item.archived.then(|| "it is archived".to_owned()),
        name: item.key,
        ..Flag::default()
    };
    if let Some(email) = item.maintainer.and_then(|maintainer| maintainer.email) {
        flag.owner.get_or_insert_with(|| email.clone());
        flag.contacts.insert("technical_lead".to_owned(), email);
    }
    if !item.tags.is_empty() {
        flag.labels.insert("tags".to_owned(), item.tags.join(", "));
    }
    if item.environments.is_empty() {
        let detail = "the answer names no environment, so where it is on is not known: ask for it with \
                      env=ENVIRONMENT beside summary=0";
        flag.lose("state", detail);
    }
    for (key, environment) in item.environments {
        let place = place(&mut flag, &environment, &sides, known);
        flag.places.insert(Some(key), place);
    }
    flag
}

/// Which variations mean the new path.
struct Sides {
    new: Vec<bool>,
    /// Of a migration flag: which have both sides run.
    both: Vec<bool>,
    migrates: bool,
}

/// `None` for a flag of other variations than two paths.
fn sides(item: &Item) -> Option<Sides> {
    let values: Vec<&Value> = item.variations.iter().map(|it| &it.value).collect();
    if item.migration_settings.is_some() {
        let is = |stages: &[&str], value: &&&Value| {
            value.as_str().is_some_and(|stage| stages.contains(&stage))
        };
        return Some(Sides {
            new: values
                .iter()
                .map(|value| is(&NEW_DECIDES, &value))
                .collect(),
            both: values.iter().map(|value| is(&BOTH_RUN, &value)).collect(),
            migrates: true,
        });
    }
    let new: Option<Vec<bool>> = values.iter().map(|value| value.as_bool()).collect();
    let new = new.filter(|new| new.len() == 2)?;
    Some(Sides {
        both: vec![false; new.len()],
        new,
        migrates: false,
    })
}

impl Sides {
    fn is_new(&self, variation: usize) -> bool {
        self.new.get(variation) == Some(&true)
    }

    fn share(&self, variation: Option<usize>) -> Share {
        match variation {
            Some(variation) if self.is_new(variation) => Share::Everybody,
            _ => Share::Nobody,
        }
    }
}

fn place(flag: &mut Flag, environment: &Environment, sides: &Sides, known: &Known) -> Place {
    let mut place = Place::default();
    if !environment.on {
        place.share = sides.share(environment.off_variation);
        return place;
    }
    for target in environment
        .targets
        .iter()
        .chain(&environment.context_targets)
    {
        of_target(target, sides, &mut place);
    }
    if let Some(fallthrough) = &environment.fallthrough {
        place.share = match &fallthrough.rollout {
            None => sides.share(fallthrough.variation),
            Some(rollout) => of_rollout(rollout, sides, &mut place),
        };
        if sides.migrates {
            let shown = fallthrough.variation.into_iter();
            let rolled = fallthrough
                .rollout
                .iter()
                .flat_map(|rollout| &rollout.variations);
            let mut served = shown.chain(rolled.map(|weighted| weighted.variation));
            if served.any(|variation| sides.both.get(variation) == Some(&true)) {
                place.lose(
                    "migration stage",
                    "both sides run there: set the mirror when both stores are wired (switchover \
                     mirror, docs/data-migrations.md)",
                );
            }
        }
    }
    if !environment.rules.is_empty() {
        // They come before the default, and may keep callers from it.
        place.share = Share::Nobody;
        place.lose(
            "rules",
            format!(
                "{} on attributes: here a key decides; make cohorts of those who match. The default \
                 behind them is not carried: nobody takes the new path by it",
                environment.rules.len()
            ),
        );
    }
    for prerequisite in &environment.prerequisites {
        let variations = known.get(&prerequisite.key);
        let is_new = variations.and_then(|new| new.get(prerequisite.variation));
        if is_new == Some(&true) {
            flag.requires.insert(prerequisite.key.clone());
        } else {
            flag.requires_else = true;
            place.lose(
                "prerequisites",
                format!(
                    "`{}` at its variation {}: a route can only be required to be new, and to be here",
                    prerequisite.key, prerequisite.variation
                ),
            );
        }
    }
    place
}

fn of_target(target: &Target, sides: &Sides, place: &mut Place) {
    if target.values.is_empty() {
        return;
    }
    let kind = target.context_kind.as_deref().unwrap_or("user");
    if kind != "user" {
        place.lose(
            "targets",
            format!(
                "{} of the kind {kind}: a rollout has keys of one kind; name them by hand if callers \
                 pass such keys",
                target.values.len()
            ),
        );
        return;
    }
    let side = match sides.is_new(target.variation) {
        true => &mut place.include,
        false => &mut place.exclude,
    };
    side.extend(target.values.iter().cloned());
}

fn of_rollout(rollout: &Rollout, sides: &Sides, place: &mut Place) -> Share {
    if rollout.experiment_allocation.is_some() {
        place.lose(
            "experiment",
            "an experiment's shares are carried, its measures are not",
        );
    }
    let attribute = rollout.bucket_by.as_deref().filter(|by| *by != "key");
    let kind = rollout
        .context_kind
        .as_deref()
        .filter(|kind| *kind != "user");
    if let Some(by) = attribute.or(kind) {
        place.lose(
            "bucketBy",
            format!("callers are told apart by `{by}`: have them pass it as the key"),
        );
    }
    let new = rollout
        .variations
        .iter()
        .filter(|it| sides.is_new(it.variation));
    let weight = new.fold(0_u32, |sum, it| sum.saturating_add(it.weight));
    Share::of(weight)
}
