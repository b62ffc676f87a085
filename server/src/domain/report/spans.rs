//! What lasts: stages, halts, acceptance windows. Each begins with an entry and ends with another.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use crate::domain::audit::AuditEntry;

/// Something that lasted, or lasts.
#[derive(Clone, Debug)]
pub(super) struct Span<'a> {
    pub(super) environment: &'a str,
    /// What: a stage's name, a halt, a window.
    pub(super) what: &'a Value,
    pub(super) from: DateTime<Utc>,
    /// The entry that it begins with; none when it was so from the start.
    pub(super) begun: Option<&'a AuditEntry>,
    /// The entry that it ends with; none when it lasts.
    pub(super) ended: Option<&'a AuditEntry>,
}

impl Span<'_> {
    /// How long it has lasted by now.
    pub(super) fn length(&self, now: DateTime<Utc>) -> Duration {
        self.ended.map_or(now, |ended| ended.at) - self.from
    }
}

/// Every stretch during which a field of the rollouts, such as `halt`, had one value other than null,
/// by environment in the given order and by time. `start` is when each began to be recorded.
pub(super) fn spans<'a>(
    entries: &'a [AuditEntry],
    field: &str,
    start: &BTreeMap<&str, DateTime<Utc>>,
    order: &[&str],
) -> Vec<Span<'a>> {
    let mut done: Vec<Span<'a>> = Vec::new();
    let mut open: BTreeMap<&str, Span<'a>> = BTreeMap::new();
    for entry in entries {
        let Some(environment) = entry.environment.as_deref() else {
            continue;
        };
        let (Some(before), Some(after)) = (entry.before.get(field), entry.after.get(field)) else {
            continue;
        };
        if before == after {
            continue;
        }
        match open.remove(environment) {
            Some(span) => done.push(Span {
                ended: Some(entry),
                ..span
            }),
            None if !before.is_null() => done.push(Span {
                environment,
                what: before,
                from: start.get(environment).copied().unwrap_or(entry.at),
                begun: None,
                ended: Some(entry),
            }),
            None => {}
        }
        if !after.is_null() {
            let span = Span {
                environment,
                what: after,
                from: entry.at,
                begun: Some(entry),
                ended: None,
            };
            open.insert(environment, span);
        }
    }
    done.extend(open.into_values());
    let place = |span: &Span<'_>| {
        let place = order.iter().position(|key| *key == span.environment);
        (place.unwrap_or(order.len()), span.from)
    };
    done.sort_by_key(place);
    done
}
