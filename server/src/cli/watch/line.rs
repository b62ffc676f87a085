//! What a follower of a rollout is told: a line for each thing that happens.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::output::{moment, one_line};
use crate::cli::rollout;
use crate::cli::wire::{AuditEntry, GuardAnswer, Rollout};
use crate::domain::words;

/// A rollout as it was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) rollout: Rollout,
    pub(super) guards: Vec<GuardAnswer>,
    /// The newest entry of the record.
    pub(super) last: u64,
}

/// One thing that happened.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// What kind of thing: an action on record, `now`, `guard` or `next_step`.
    event: String,
    /// When, as far as the record says.
    at: Option<DateTime<Utc>>,
    text: String,
    /// What programs read besides.
    more: Value,
}

impl Line {
    /// What is there in the beginning.
    pub(super) fn first(now: &Seen) -> Line {
        let guards: Vec<String> = now
            .guards
            .iter()
            .map(|guard| format!("\n  guard {} {}: {}", guard.name, guard.state, guard.detail))
            .collect();
        let stage = rollout::short(now.rollout.stage);
        Line {
            event: "now".to_owned(),
            at: None,
            text: format!(
                "{stage}, {}{}",
                rollout::state(&now.rollout),
                guards.concat()
            ),
            more: json!({
                "stage": now.rollout.stage,
                "exposure_percent": now.rollout.exposure_percent,
                "halted": now.rollout.halt.is_some(),
                "ramp": now.rollout.ramp.as_ref().map(|ramp| &ramp.state),
                "next_step_at": due(now),
            }),
        }
    }

    /// What has happened in between: what is on record, what guards answer, when the next step is
    /// due.
    pub(super) fn between(before: &Seen, now: &Seen, entries: &[AuditEntry]) -> Vec<Line> {
        let mut lines: Vec<Line> = entries.iter().map(recorded).collect();
        for guard in &now.guards {
            let mut old = before.guards.iter();
            let was = old.find(|other| other.name == guard.name);
            let was = was.map_or("unknown", |was| was.state.as_str());
            if was != guard.state {
                lines.push(answered(guard, was));
            }
        }
        if due(before) != due(now) {
            lines.extend(next_step(now));
        }
        lines
    }

    pub(super) fn text(&self) -> String {
        let at = self
            .at
            .map_or_else(String::new, |at| format!("{} ", moment(at)));
        format!("{at}{}: {}", self.event, self.text)
    }

    pub(super) fn json(&self, route: &str, environment: &str) -> Value {
        let mut object = json!({
            "event": self.event,
            "at": self.at,
            "route": route,
            "environment": environment,
            "text": self.text,
        });
        if let (Value::Object(fields), Value::Object(more)) = (&mut object, &self.more) {
            fields.extend(more.clone());
        }
        object
    }
}

fn due(seen: &Seen) -> Option<DateTime<Utc>> {
    let ramp = seen.rollout.ramp.as_ref()?;
    ramp.next_step_at
}

fn recorded(entry: &AuditEntry) -> Line {
    let what = words::change(&entry.before, &entry.after);
    let what = if what.is_empty() {
        String::new()
    } else {
        format!("{what}, ")
    };
    let (by, reason) = (one_line(&entry.by), one_line(&entry.reason));
    Line {
        event: entry.action.clone(),
        at: Some(entry.at),
        text: format!("{}by {by}: {reason}", one_line(&what)),
        more: json!({
            "seq": entry.seq,
            "by": entry.by,
            "reason": entry.reason,
            "stage": entry.after.get("stage"),
            "setting": entry.after.get("setting"),
        }),
    }
}

fn answered(guard: &GuardAnswer, was: &str) -> Line {
    let (name, state) = (&guard.name, &guard.state);
    Line {
        event: "guard".to_owned(),
        at: None,
        text: format!("{name} {was} -> {state}: {}", one_line(&guard.detail)),
        more: json!({ "guard": name, "from": was, "to": state }),
    }
}

fn next_step(now: &Seen) -> Option<Line> {
    let ramp = now.rollout.ramp.as_ref()?;
    let percent = ramp.next_percent;
    let what = percent.map_or_else(|| "the end".to_owned(), |percent| percent.to_string());
    let waits = ramp.waits_for.iter().map(|wait| one_line(&wait.detail));
    let waits: Vec<String> = waits.collect();
    let text = match ramp.next_step_at {
        Some(at) => format!("{what} at {}", moment(at)),
        None if waits.is_empty() => format!("none: {}", ramp.state),
        None => format!("waits: {}", waits.join("; ")),
    };
    Some(Line {
        event: "next_step".to_owned(),
        at: None,
        text,
        more: json!({ "next_percent": percent, "next_step_at": ramp.next_step_at }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(step: usize, due: &str, guard: &str) -> Seen {
        let rollout = json!({
            "environment": "dev", "stage": "opt_in", "stage_since": "2026-01-05T10:00:00Z",
            "next_stage": "opt_out", "setting": { "mode": "ramp", "percent": 10 }, "halt": null,
            "include": [], "exclude": [], "acceptance": null, "exposure_percent": 10,
            "ramp": {
                "state": "running", "step": step, "held_s": 0, "next_percent": 50,
                "next_step_at": due,
                "steps": [{ "percent": 10, "hold": "1h" }, { "percent": 50, "hold": "1h" }],
            },
        });
        let guard = json!({
            "name": "errors", "action": "halt", "state": guard, "detail": "3 of 100 calls",
        });
        Seen {
            rollout: serde_json::from_value(rollout).unwrap(),
            guards: vec![serde_json::from_value(guard).unwrap()],
            last: 7,
        }
    }

    #[test]
    fn each_thing_that_happens_is_a_line() {
        let before = seen(1, "2026-01-05T11:00:00Z", "insufficient");
        let now = seen(2, "2026-01-05T12:00:00Z", "pass");
        let setting = |percent: u32| json!({ "setting": { "mode": "ramp", "percent": percent } });
        let entry = json!({
            "seq": 8, "at": "2026-01-05T11:00:00Z", "by": "system", "action": "ramp_advance",
            "reason": "10 % was held for 1h: step 2 of 2",
            "before": setting(10), "after": setting(50),
        });
        let entry = serde_json::from_value(entry).unwrap();
        let lines = Line::between(&before, &now, &[entry]);
        let texts: Vec<String> = lines.iter().map(Line::text).collect();
        assert_eq!(
            texts,
            [
                "2026-01-05 11:00:00Z ramp_advance: ramp 10 % → ramp 50 %, by system: \
                 10 % was held for 1h: step 2 of 2",
                "guard: errors insufficient -> pass: 3 of 100 calls",
                "next_step: 50 % at 2026-01-05 12:00:00Z",
            ]
        );
        let json = lines[0].json("a", "dev");
        assert_eq!(
            (&json["event"], &json["by"]),
            (&json!("ramp_advance"), &json!("system"))
        );
        assert_eq!(Line::between(&now, &now, &[]), []);
        let first = Line::first(&now).text();
        assert!(first.starts_with("now: opt-in, ramp 10 %"), "{first}");
    }
}
