//! What a signed checkpoint of the record says, and how it fits the record that there is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditEntry;

/// That the chain had this hash at this place, in this epoch of its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Of the database.
    pub epoch: String,
    /// The place of the last entry at that time.
    pub seq: u64,
    /// Its hash, which vouches for all before it.
    pub hash: String,
    /// When this was said.
    pub at: DateTime<Utc>,
}

/// How a statement fits the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The chain has what it says.
    Fits,
    /// It does not, and no restore explains it.
    Contradicts(String),
    /// It does not, and a restore that is on record says why.
    Restored(String),
}

/// A statement is due after this many new entries.
pub const DUE_AFTER_ENTRIES: u64 = 1_000;
/// A statement is due after this many minutes, when there is anything new.
pub const DUE_AFTER_MINUTES: i64 = 60;

/// Whether a new statement is due: there is something new, and enough of it or for long enough. The
/// last one is (its place, when).
#[must_use]
pub fn is_due(last: Option<(u64, DateTime<Utc>)>, head: u64, now: DateTime<Utc>) -> bool {
    match last {
        None => head > 0,
        Some((seq, at)) => {
            let is_late = now >= at + chrono::Duration::minutes(DUE_AFTER_MINUTES);
            head > seq && (is_late || head - seq >= DUE_AFTER_ENTRIES)
        }
    }
}

/// The epochs that a chain tells of: where each began, and which one ended there.
#[derive(Clone, Debug, Default)]
pub(super) struct Epochs(Vec<Begun>);

#[derive(Clone, Debug)]
struct Begun {
    seq: u64,
    before: String,
    after: String,
    by: String,
    at: DateTime<Utc>,
    reason: String,
}

impl Epochs {
    pub(super) fn see(&mut self, entry: &AuditEntry) {
        if entry.action != "new_epoch" {
            return;
        }
        let epoch = |state: &serde_json::Value| {
            let epoch = state.get("epoch").and_then(serde_json::Value::as_str);
            epoch.unwrap_or_default().to_owned()
        };
        self.0.push(Begun {
            seq: entry.seq,
            before: epoch(&entry.before),
            after: epoch(&entry.after),
            by: entry.actor.subject.clone(),
            at: entry.at,
            reason: entry.reason.clone(),
        });
    }

    /// `hash` is what the chain has at the statement's place, `end` its last place, and `epoch` the
    /// one that the database is in.
    pub(super) fn judge(
        &self,
        statement: &Statement,
        hash: Option<&[u8]>,
        end: u64,
        epoch: &str,
    ) -> Verdict {
        let Statement { seq, .. } = statement;
        if hash == Some(statement.hash.as_bytes()) {
            return Verdict::Fits;
        }
        let ended = self.0.iter().find(|begun| begun.before == statement.epoch);
        let is_current = match self.0.last() {
            Some(last) => last.after == statement.epoch,
            None => statement.epoch == epoch,
        };
        let told = match ended {
            Some(begun) if begun.seq <= *seq => format!(
                "it is of epoch {}, which ended at entry {}: {}; entries {} to {seq} of that epoch \
                 are not in this chain any more",
                statement.epoch,
                begun.seq.saturating_sub(1),
                begun.told(),
                begun.seq,
            ),
            // That part of the chain was not replaced by any restore.
            Some(_) => return contradiction(*seq, end, hash.is_some()),
            None if is_current => return contradiction(*seq, end, hash.is_some()),
            None => match self.0.last() {
                None => {
                    return Verdict::Contradicts(format!(
                        "a signed checkpoint of entry {seq} is of epoch {}, which this chain does \
                         not know, and it tells of no restore",
                        statement.epoch
                    ));
                }
                Some(begun) => format!(
                    "it is of epoch {}, which this chain does not know: {}",
                    statement.epoch,
                    begun.told()
                ),
            },
        };
        Verdict::Restored(told)
    }
}

impl Begun {
    fn told(&self) -> String {
        format!(
            "on {} {} began epoch {} after a restore ({})",
            self.at.format("%Y-%m-%d %H:%M:%SZ"),
            self.by,
            self.after,
            self.reason
        )
    }
}

fn contradiction(seq: u64, end: u64, is_there: bool) -> Verdict {
    Verdict::Contradicts(if is_there {
        format!("entry {seq} has another hash than a signed checkpoint says")
    } else {
        format!("the chain ends at {end}, but a signed checkpoint says {seq}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_due_when_there_is_something_new() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let after = |minutes| start + chrono::Duration::minutes(minutes);
        for (last, head, now, due) in [
            (None, 0, 0, false),
            (None, 1, 0, true),
            (Some(5), 5, 600, false),
            (Some(5), 6, 59, false),
            (Some(5), 6, 60, true),
            (Some(5), 1_004, 0, false),
            (Some(5), 1_005, 0, true),
            (Some(5), 3, 600, false),
        ] {
            let last = last.map(|seq| (seq, start));
            assert_eq!(is_due(last, head, after(now)), due, "{last:?} {head} {now}");
        }
    }
}
