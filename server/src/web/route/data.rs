//! The two stores of a data route: what is repaired, copied, compared, and who writes.

mod copying;
mod ledger;

use chrono::{DateTime, Utc};
use switchover::ConsistencyKind;

use crate::domain::consistency::{Run, RunState};
use crate::domain::loss::LossRisk;
use crate::domain::rollout::Rollout;
use crate::domain::stores::DoubtKind;
use crate::domain::writer::Writer;
use crate::service::DataDetails;
use crate::web::route::Badge;
use crate::web::words::{When, count};

use copying::BackfillView;
use ledger::{GroupView, RepairView, groups, repairs};

/// Everything about the two stores.
pub(super) struct DataView {
    /// What going back would cost.
    pub(super) risk: Badge,
    pub(super) risk_told: String,
    /// How they stand to each other.
    pub(super) badges: Vec<Badge>,
    /// Why nobody knows whether every write was copied.
    pub(super) doubts: Vec<DoubtView>,
    pub(super) generation: u64,
    /// How the last announced move of keys ended.
    pub(super) last_flip: Option<FlipView>,
    /// The last backfill.
    pub(super) backfill: Option<BackfillView>,
    /// Unresolved repairs by what happened.
    pub(super) groups: Vec<GroupView>,
    pub(super) unresolved: u64,
    /// Some of them.
    pub(super) repairs: Vec<RepairView>,
    /// Whether that is all of them.
    pub(super) shows_all: bool,
    pub(super) runs: Vec<RunView>,
    pub(super) writers: Vec<WriterView>,
    pub(super) reminders: Vec<ReminderView>,
}

/// Something that nobody knows.
pub(super) struct DoubtView {
    pub(super) why: &'static str,
    pub(super) by: String,
    pub(super) since: When,
}

/// A move of keys that has ended.
pub(super) struct FlipView {
    pub(super) badge: Badge,
    pub(super) action: String,
    pub(super) at: When,
    pub(super) detail: String,
    pub(super) waited_ms: u64,
}

/// A comparison.
pub(super) struct RunView {
    pub(super) at: When,
    pub(super) kind: &'static str,
    pub(super) by: String,
    pub(super) badge: Badge,
    pub(super) told: String,
    /// Some of the keys that differ.
    pub(super) keys: Vec<String>,
}

/// A process that writes.
pub(super) struct WriterView {
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) badge: Badge,
    pub(super) seen: When,
    pub(super) generation: u64,
    pub(super) is_fenced: bool,
    pub(super) open_repairs: u64,
}

/// Something that is left to do with the old store.
pub(super) struct ReminderView {
    pub(super) what: String,
    pub(super) badge: Badge,
    pub(super) due: When,
}

impl DataView {
    pub(super) fn of(data: &DataDetails, rollout: &Rollout, now: DateTime<Utc>) -> DataView {
        let doubts = data.stores.record.doubts.iter();
        let reminders = data.reminders.iter();
        DataView {
            risk: risk(&data.risk),
            risk_told: data.risk.told(),
            badges: standing(data),
            doubts: doubts
                .map(|doubt| DoubtView {
                    why: doubted(doubt.why),
                    by: doubt.by.clone(),
                    since: When::of(doubt.since, now),
                })
                .collect(),
            generation: rollout.data.generation,
            last_flip: last_flip(rollout, now),
            backfill: data
                .stores
                .backfill
                .as_ref()
                .map(|it| BackfillView::of(it, now)),
            groups: groups(data, now),
            unresolved: data.stores.ledger.unresolved(),
            repairs: repairs(data, now),
            shows_all: data.repairs.len() < crate::service::MOST_LISTED,
            runs: data.runs.iter().map(|run| compared(run, now)).collect(),
            writers: data.writers.iter().map(|it| writer(it, now)).collect(),
            reminders: reminders
                .map(|reminder| ReminderView {
                    what: reminder.what.name().replace('_', " "),
                    badge: match reminder.done {
                        Some(_) => Badge::new("is-good", "done"),
                        None if reminder.due < now => Badge::new("is-bad", "overdue"),
                        None => Badge::new("is-wait", "to be done"),
                    },
                    due: When::of(reminder.due, now),
                })
                .collect(),
        }
    }
}

fn risk(risk: &LossRisk) -> Badge {
    match risk {
        LossRisk::None => Badge::new("is-good", "going back loses nothing"),
        LossRisk::AtRisk { .. } => Badge::new("is-bad", "going back may lose writes"),
        LossRisk::NeedsRestore { .. } => Badge::new("is-wait", "going back needs a backup"),
    }
}

fn standing(data: &DataDetails) -> Vec<Badge> {
    let stores = &data.stores.stores;
    if stores.no_return {
        return vec![Badge::new("is-off", "the old store is out of use")];
    }
    let badge = |holds: bool, yes: &str, no: &str| match holds {
        true => Badge::new("is-good", yes),
        false => Badge::new("is-wait", no),
    };
    let mut badges = vec![
        badge(
            stores.mirrored,
            "every write is copied",
            "not every write is copied",
        ),
        badge(
            stores.backfill_complete,
            "backfill complete",
            "no complete backfill",
        ),
        badge(
            stores.consistent,
            "found equal",
            "not found equal since writes are copied",
        ),
    ];
    if stores.unverified {
        badges.push(Badge::new("is-bad", "unverified: repairs may be missing"));
    }
    if stores.diverged {
        badges.push(Badge::new("is-bad", "diverged: writes were left out"));
    }
    badges
}

const fn doubted(why: DoubtKind) -> &'static str {
    match why {
        DoubtKind::SpoolFull => "a process's spool had no room",
        DoubtKind::NoSpool => "a process has no spool, or cannot write to it",
        DoubtKind::SpoolDamaged => "a spool that was left over cannot be read to its end",
        DoubtKind::LedgerFull => "the ledger had no room",
        DoubtKind::WriterGone => "a process was declared gone with work under way",
    }
}

fn last_flip(rollout: &Rollout, now: DateTime<Utc>) -> Option<FlipView> {
    let last = rollout.data.last_flip.as_ref()?;
    Some(FlipView {
        badge: match last.outcome {
            crate::domain::doubling::Outcome::Made => Badge::new("is-good", "made"),
            crate::domain::doubling::Outcome::Abandoned => Badge::new("is-wait", "given up"),
        },
        action: last.action.replace('_', " "),
        at: When::of(last.at, now),
        detail: last.detail.clone(),
        waited_ms: last.waited_ms,
    })
}

fn compared(run: &Run, now: DateTime<Utc>) -> RunView {
    let (badge, told, keys) = match &run.state {
        RunState::Waiting => (
            Badge::new("is-wait", "waits for a process"),
            String::new(),
            Vec::new(),
        ),
        RunState::Handed { to, .. } => {
            let told = format!("process {to} compares");
            (Badge::new("is-new", "running"), told, Vec::new())
        }
        RunState::Failed { why, .. } => (Badge::new("is-bad", "not done"), why.clone(), Vec::new()),
        RunState::Done(findings) => {
            let found = &findings.compared;
            let badge = match found.is_clean() {
                true => Badge::new("is-good", "equal"),
                false => Badge::new("is-bad", "differences"),
            };
            let told = format!(
                "{} of {} keys differ, {} could not be compared",
                count(found.differing),
                count(found.compared),
                count(found.failed)
            );
            (badge, told, findings.keys.clone())
        }
    };
    RunView {
        at: When::of(run.asked_at, now),
        kind: match run.kind {
            ConsistencyKind::Sample => "sample",
            ConsistencyKind::Checksum => "checksums of all",
        },
        by: run.by.clone(),
        badge,
        told,
        keys,
    }
}

fn writer(writer: &Writer, now: DateTime<Utc>) -> WriterView {
    let badge = match &writer.gone {
        Some(gone) => Badge::new("is-off", format!("declared gone by {}", gone.by)),
        None if writer.has_vanished(now) => Badge::new("is-bad", "vanished: blocks moves of keys"),
        None if writer.unverified.is_some() => Badge::new("is-wait", "writes, unverified"),
        None => Badge::new("is-good", "writes"),
    };
    WriterView {
        name: writer.name.clone(),
        instance: writer.instance.clone(),
        badge,
        seen: When::of(writer.seen_at, now),
        generation: writer.generation,
        is_fenced: writer.fenced,
        open_repairs: writer.open_repairs,
    }
}
