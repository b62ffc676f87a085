//! What an entry of the record says, in a few words.

use serde_json::Value;
use switchover::Percent;

/// The longest that a value of an unknown kind is shown.
const LONGEST_VALUE: usize = 300;

/// What changed of a rollout; empty when it was something else.
#[must_use]
pub fn change(before: &Value, after: &Value) -> String {
    let moved = |name: &str, told: fn(&Value) -> Option<String>| {
        let (from, to) = (told(before.get(name)?)?, told(after.get(name)?)?);
        (from != to).then(|| format!("{from} → {to}"))
    };
    let turned = |name: &str, on: &str, off: &str| match (before.get(name), after.get(name)) {
        (Some(Value::Null), Some(Value::Object(_))) => Some(on.to_owned()),
        (Some(Value::Object(_)), Some(Value::Null)) => Some(off.to_owned()),
        _ => None,
    };
    let keys = |name: &'static str| {
        moved(name, |keys| Some(keys.as_array()?.len().to_string()))
            .map(|moved| format!("{name}d keys {moved}"))
    };
    let parts = [
        moved("stage", |stage| Some(stage.as_str()?.to_owned())),
        moved("setting", setting),
        turned("acceptance", "window opened", "window closed"),
        keys("include"),
        keys("exclude"),
        moved("ramp", ramp_steps),
        moved("ramp", ramp_state),
        turned("halt", "halted", "resumed"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

/// What an entry of any kind says: what changed of a rollout, else each field that differs.
#[must_use]
pub fn anything(before: &Value, after: &Value) -> String {
    let known = change(before, after);
    if known.is_empty() {
        fields(before, after)
    } else {
        known
    }
}

/// A setting as commands take it.
#[must_use]
pub fn setting(setting: &Value) -> Option<String> {
    let mode = setting.get("mode")?.as_str()?;
    let percent = setting.get("percent").cloned();
    let percent = percent.and_then(|percent| serde_json::from_value::<Percent>(percent).ok());
    Some(match percent {
        Some(percent) => format!("{mode} {percent}"),
        None => mode.to_owned(),
    })
}

/// The steps of a ramp.
fn ramp_steps(ramp: &Value) -> Option<String> {
    if ramp.is_null() {
        return Some("no ramp".to_owned());
    }
    let steps = ramp.get("steps")?.as_array()?.iter().map(|step| {
        let percent = step.get("percent").map(plain).unwrap_or_default();
        match step.get("hold").map(plain) {
            Some(hold) => format!("{percent} % for {hold}"),
            None => format!("{percent} %"),
        }
    });
    Some(format!("ramp {}", steps.collect::<Vec<_>>().join(", ")))
}

/// What a ramp is about; nothing of what has none.
fn ramp_state(ramp: &Value) -> Option<String> {
    Some(format!("ramp {}", ramp.get("state")?.as_str()?))
}

/// Each field that differs, as `name: value` or `name: value → value`.
#[must_use]
pub fn fields(before: &Value, after: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return match (before, after) {
            (Value::Null, Value::Object(new)) => {
                let said = new.iter().filter(|(_, value)| !is_empty(value));
                let said = said.map(|(name, value)| format!("{name}: {}", plain(value)));
                said.collect::<Vec<_>>().join(", ")
            }
            (Value::Null, after) if is_empty(after) => String::new(),
            (Value::Null, after) => plain(after),
            (before, Value::Null) => format!("was {}", plain(before)),
            (before, after) => format!("{} → {}", plain(before), plain(after)),
        };
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let nothing = Value::Null;
    let differences = names.into_iter().filter_map(|name| {
        let from = old.get(name).unwrap_or(&nothing);
        let to = new.get(name).unwrap_or(&nothing);
        (from != to && name != "revision").then(|| match (from, to) {
            // Of a map, such as links, only what differs in it.
            (Value::Object(_), Value::Object(_)) if setting(from).or(setting(to)).is_none() => {
                format!("{name}: {}", fields(from, to))
            }
            _ => format!("{name}: {} → {}", plain(from), plain(to)),
        })
    });
    differences.collect::<Vec<_>>().join(", ")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A value as a person would say it, cut off where it is too long for a row.
#[must_use]
pub fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(_) if setting(value).is_some() => setting(value).unwrap_or_default(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !is_empty(value));
            let fields = fields.map(|(name, value)| format!("{name} {}", plain(value)));
            let fields: Vec<String> = fields.collect();
            if fields.is_empty() {
                "nothing".to_owned()
            } else {
                fields.join(", ")
            }
        }
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join(", ")
        }
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let cut: String = text.chars().take(LONGEST_VALUE).collect();
    format!("{cut} …")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_says_what_changed() {
        let state = |stage: &str, setting: Value, halt: Value| json!({ "stage": stage, "setting": setting, "halt": halt });
        let (default, ramp) = (
            json!({ "mode": "stage_default" }),
            json!({ "mode": "ramp", "percent": 10 }),
        );
        let start = state("opt_in", default.clone(), Value::Null);
        let ramped = state("opt_in", ramp, Value::Null);
        let halted = state("opt_in", default.clone(), json!({ "by": "ann" }));
        let back = state("ready_for_testing", default, json!({ "by": "ann" }));
        assert_eq!(change(&start, &ramped), "stage_default → ramp 10 %");
        assert_eq!(change(&start, &halted), "halted");
        assert_eq!(change(&halted, &start), "resumed");
        assert_eq!(change(&start, &back), "opt_in → ready_for_testing, halted");
        for (before, after) in [(&start, &start), (&Value::Null, &start)] {
            assert_eq!(change(before, after), "");
        }
        let ramp = |state: &str| {
            let steps = json!([{ "percent": 5, "hold": "1d" }, { "percent": 100, "hold": "0s" }]);
            json!({ "ramp": { "steps": steps, "state": state, "by_itself": false } })
        };
        let set = change(&json!({ "ramp": null }), &ramp("ready"));
        assert_eq!(set, "no ramp → ramp 5 % for 1d, 100 % for 0s");
        assert_eq!(
            change(&ramp("ready"), &ramp("running")),
            "ramp ready → ramp running"
        );
        let (few, many) = (json!({ "include": [] }), json!({ "include": ["a", "b"] }));
        assert_eq!(change(&few, &many), "included keys 0 → 2");
    }

    #[test]
    fn what_is_not_known_is_told_field_by_field() {
        let before = json!({ "owner": "a", "same": 1, "revision": 1 });
        let after = json!({ "owner": "b", "same": 1, "revision": 2, "new": { "x": [1, 2] } });
        assert_eq!(
            anything(&before, &after),
            "new: nothing → x 1, 2, owner: a → b"
        );
        let links = |alert: Value| json!({ "links": { "issue": "i", "alert": alert } });
        assert_eq!(
            anything(&links(Value::Null), &links(json!("a"))),
            "links: alert: nothing → a"
        );
        assert_eq!(
            anything(&Value::Null, &json!({ "a": 1, "b": null })),
            "a: 1"
        );
        assert_eq!(anything(&json!("x"), &Value::Null), "was x");
        assert_eq!(anything(&Value::Null, &Value::Null), "");
        assert!(plain(&json!("é".repeat(1_000))).ends_with("é …"));
    }
}
