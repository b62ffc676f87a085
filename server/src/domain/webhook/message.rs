//! What receivers read: a stable form, made of an entry of the record.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::domain::approval::hex;
use crate::domain::audit::AuditEntry;
use crate::domain::webhook::event::{PING, event_type};
use crate::domain::webhook::{Delivery, DeliveryState, Webhook};

use sha2::{Digest as _, Sha256};

/// The longest text of a changed field that is sent, in characters.
const LONGEST_TEXT: usize = 200;
/// Fields that are told though they have parts.
const WITH_PARTS: [&str; 4] = ["setting", "halt", "mirror", "guard"];

/// An entry of the record, with what the record does not say of it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The entry.
    pub entry: &'a AuditEntry,
    /// Who owns the route.
    pub owner: Option<&'a str>,
    /// The name of the database's history, in which its place counts.
    pub epoch: &'a str,
}

/// What a webhook is sent of an entry. Two deliveries of one entry have one message's name, so that
/// receivers can tell.
#[must_use]
pub fn told(webhook: &Webhook, id: String, told: Told<'_>, now: DateTime<Utc>) -> Delivery {
    let Told {
        entry,
        owner,
        epoch,
    } = told;
    let name = Sha256::digest(format!("{epoch}/{}/{}", webhook.id, entry.seq));
    let name: String = hex(&name).chars().take(32).collect();
    let kind = event_type(&entry.action);
    let data = json!({
        "seq": entry.seq,
        "action": entry.action,
        "by": entry.actor.subject,
        "role": entry.actor.role,
        "route": entry.route,
        "environment": entry.environment,
        "owner": owner,
        "reason": entry.reason,
        "changed": changed(&entry.before, &entry.after),
    });
    Delivery {
        id,
        webhook: webhook.id.clone(),
        message: format!("msg_{name}"),
        body: body(&kind, entry.at, &data),
        kind,
        seq: Some(entry.seq),
        route: entry.route.clone(),
        environment: entry.environment.clone(),
        happened_at: entry.at,
        created_at: now,
        state: DeliveryState::Pending,
        due_at: Some(now),
        tries: 0,
        turn: 0,
        attempts: Vec::new(),
        ordered_by: None,
    }
}

/// A test message.
#[must_use]
pub fn ping(webhook: &Webhook, id: String, by: &str, now: DateTime<Utc>) -> Delivery {
    let data = json!({ "webhook": webhook.id, "name": webhook.name, "by": by });
    Delivery {
        webhook: webhook.id.clone(),
        message: format!("msg_{}", id.replace('-', "")),
        id,
        body: body(PING, now, &data),
        kind: PING.to_owned(),
        seq: None,
        route: None,
        environment: None,
        happened_at: now,
        created_at: now,
        state: DeliveryState::Pending,
        due_at: Some(now),
        tries: 0,
        turn: 0,
        attempts: Vec::new(),
        ordered_by: Some(by.to_owned()),
    }
}

fn body(kind: &str, at: DateTime<Utc>, data: &Value) -> String {
    let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({ "type": kind, "timestamp": at, "data": data }).to_string()
}

/// The fields that differ, as they were and as they are. Lists stay out: keys of cohorts are people,
/// and no business of whoever reads a chat room.
fn changed(before: &Value, after: &Value) -> Value {
    let mut changed = Map::new();
    let empty = Map::new();
    let was = before.as_object().unwrap_or(&empty);
    let is = after.as_object().unwrap_or(&empty);
    for name in was.keys().chain(is.keys()) {
        let from = was.get(name).unwrap_or(&Value::Null);
        let to = is.get(name).unwrap_or(&Value::Null);
        if from != to && is_told(name, from) && is_told(name, to) {
            changed.insert(name.clone(), json!({ "from": from, "to": to }));
        }
    }
    Value::Object(changed)
}

fn is_told(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().count() <= LONGEST_TEXT,
        Value::Array(_) => name == "environments",
        Value::Object(_) => WITH_PARTS.contains(&name),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
