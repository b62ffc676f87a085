//! A plan as people read it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::declared::walk::Lacking;
use crate::cli::output::one_line;
use crate::domain::declared::{FieldChange, Item, Note, Part, Plan, Thing, Verb};

/// A value is shown up to so many characters.
const LONGEST: usize = 72;
/// Of two lists, so many entries that differ are named.
const MOST_NAMED: usize = 6;

/// What differs, what promotions lack, what is left alone, and how much there is of it.
pub(crate) fn plan(plan: &Plan, lacking: &[Lacking]) -> String {
    let mut text = String::new();
    for item in &plan.items {
        text.push_str(&of_item(item));
        let lacking = lacking.iter().find(|lacking| lacking.thing == item.thing);
        if let (Part::Whole, Some(lacking)) = (item.part, lacking) {
            text.push_str(&of_lacking(lacking));
        }
    }
    text.push_str(&notes(&plan.notes));
    text.push_str(&counts(plan));
    text
}

/// What is left alone, if anything is.
pub(crate) fn notes(notes: &[Note]) -> String {
    let mut text = String::new();
    if !notes.is_empty() {
        text.push_str("left alone:\n");
    }
    for note in notes {
        text.push_str(&format!("  {}: {}\n", note.thing, one_line(&note.text)));
    }
    text
}

fn of_item(item: &Item) -> String {
    let sign = match (&item.held_back, item.verb) {
        (Some(_), _) => '!',
        (None, Verb::Add) => '+',
        (None, Verb::Change) => '~',
        (None, Verb::Remove) => '-',
    };
    let part = match item.part {
        Part::Lower => " (what lets fewer keys through)",
        Part::Whole => "",
    };
    let mut text = format!("{sign} {}{part}\n", item.thing);
    for change in &item.fields {
        text.push_str(&format!("    {}: {}\n", change.field, change_of(change)));
    }
    if let Some(why) = &item.held_back {
        text.push_str(&format!("    held back: {why}\n"));
    } else if matches!(item.thing, Thing::Rollout(..) | Thing::Retirement(_)) {
        let steps: Vec<&str> = item
            .steps
            .iter()
            .filter_map(|step| step.split(": ").next())
            .collect();
        text.push_str(&format!("    by: {}\n", steps.join(", ")));
    }
    text
}

fn of_lacking(lacking: &Lacking) -> String {
    let named = lacking.missing.iter();
    let named: Vec<String> = named
        .map(|(gate, state)| format!("{gate} ({state})"))
        .collect();
    format!("    {} lacks now: {}\n", lacking.to, named.join(", "))
}

fn counts(plan: &Plan) -> String {
    if plan.items.is_empty() {
        let text = match plan.notes.is_empty() {
            true => "nothing differs from the file",
            false => "but for that, nothing differs from the file",
        };
        return text.to_owned();
    }
    // A thing may come twice: lowered first.
    let count = |verb| {
        let mut seen = BTreeSet::new();
        let items = plan.items.iter();
        items
            .filter(|item| seen.insert(&item.thing))
            .filter(|item| item.verb == verb && item.held_back.is_none())
            .count()
    };
    let held = plan.items.iter().filter(|item| item.held_back.is_some());
    let mut text = format!(
        "{} to add, {} to change, {} to remove",
        count(Verb::Add),
        count(Verb::Change),
        count(Verb::Remove)
    );
    match held.count() {
        0 => {}
        held => text.push_str(&format!(", {held} held back")),
    }
    text
}

pub(crate) fn change_of(change: &FieldChange) -> String {
    match (&change.from, &change.to) {
        (Value::Null, to) => value(to),
        (Value::Array(from), Value::Array(to)) => {
            let lost = from.iter().filter(|one| !to.contains(one));
            let won = to.iter().filter(|one| !from.contains(one));
            let parts = [some("+", won), some("-", lost)];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            match parts.is_empty() {
                true => format!("{} → {}", value(&change.from), value(&change.to)),
                false => parts.join(" "),
            }
        }
        (from, to) => format!("{} → {}", value(from), value(to)),
    }
}

fn some<'a>(sign: &str, entries: impl Iterator<Item = &'a Value>) -> String {
    let entries: Vec<String> = entries
        .map(|entry| format!("{sign}{}", value(entry)))
        .collect();
    let more = entries.len().saturating_sub(MOST_NAMED);
    let named: Vec<String> = entries.into_iter().take(MOST_NAMED).collect();
    match more {
        0 => named.join(" "),
        more => format!("{} and {more} more", named.join(" ")),
    }
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = one_line(&text);
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
