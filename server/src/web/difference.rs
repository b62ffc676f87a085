//! What is different between two documents, one line for every value.

use serde_json::Value;

/// The most lines that are told; the rest is counted.
const MOST_LINES: usize = 100;
/// The longest value that is told, in characters.
const LONGEST: usize = 400;

/// A value that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it is, such as `setting.percent`.
    pub(crate) place: String,
    /// As it was; `None` where there was nothing.
    pub(crate) before: Option<String>,
    /// As it is; `None` where there is nothing.
    pub(crate) after: Option<String>,
}

/// Everything that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) lines: Vec<Line>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// What is different between two documents.
pub(crate) fn difference(before: &Value, after: &Value) -> Difference {
    let mut found = Difference::default();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare(place: String, before: &Value, after: &Value, found: &mut Difference) {
    if before == after {
        return;
    }
    // Where one side is nothing, the other is told value by value.
    let empty = serde_json::Map::new();
    let (old, new) = match (before, after) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        (Value::Null, Value::Object(new)) if !new.is_empty() => (&empty, new),
        (Value::Object(old), Value::Null) if !old.is_empty() => (old, &empty),
        _ => {
            found.add(place, told(before), told(after));
            return;
        }
    };
    let only_new = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(only_new) {
        let inner = if place.is_empty() {
            name.clone()
        } else {
            format!("{place}.{name}")
        };
        let of = |object: &serde_json::Map<String, Value>| {
            object.get(name).cloned().unwrap_or(Value::Null)
        };
        compare(inner, &of(old), &of(new), found);
    }
}

impl Difference {
    fn add(&mut self, place: String, before: Option<String>, after: Option<String>) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(Line {
                place,
                before,
                after,
            });
        } else {
            self.more += 1;
        }
    }
}

/// A value as people read it; nothing for nothing.
fn told(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    Some(short)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let found = difference(before, after);
        let lines = found.lines.into_iter().map(|line| {
            let side = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!(
                "{}: {} > {}",
                line.place,
                side(line.before),
                side(line.after)
            )
        });
        lines.collect()
    }

    #[test]
    fn only_what_differs_is_told_at_its_place() {
        let before =
            json!({ "stage": "opt_in", "setting": { "mode": "ramp", "percent": 5 }, "halt": null });
        let after =
            json!({ "stage": "opt_in", "setting": { "mode": "on" }, "halt": { "by": "ann" } });
        assert_eq!(
            lines(&before, &after),
            [
                "halt.by: - > ann",
                "setting.mode: ramp > on",
                "setting.percent: 5 > -"
            ]
        );
        assert_eq!(
            lines(&json!(null), &json!({ "name": "a" })),
            ["name: - > a"]
        );
        assert_eq!(lines(&json!([1]), &json!([1, 2])), [": [1] > [1,2]"]);
        assert!(lines(&before, &before).is_empty());
    }

    #[test]
    fn much_is_told_in_part() {
        let after: serde_json::Map<String, Value> = (0..150)
            .map(|number| (format!("k{number}"), json!(number)))
            .collect();
        let found = difference(&Value::Null, &Value::Object(after));
        assert_eq!((found.lines.len(), found.more), (100, 50));
        let long = difference(&json!("a"), &json!("é".repeat(500)));
        let told = long.lines[0].after.as_ref().unwrap();
        assert_eq!(told.chars().count(), 401);
    }
}
