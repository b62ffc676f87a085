//! The two stores of a data route: what is repaired, copied, compared, and who writes.

use chrono::{DateTime, Duration, Utc};
use switchover::{Cause, ConsistencyKind, Path, RepairState};

use crate::domain::backfill::{Backfill, Standing};
use crate::domain::consistency::{Run, RunState};
use crate::domain::loss::LossRisk;
use crate::domain::rollout::Rollout;
use crate::domain::stores::DoubtKind;
use crate::domain::writer::Writer;
use crate::service::DataDetails;
use crate::web::route::Badge;
use crate::web::words::{When, count, exact, share, span};

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

/// A backfill, and how far it is.
pub(super) struct BackfillView {
    pub(super) badge: Badge,
    /// The width of the bar in percent; `None` where nobody knows how many keys there are.
    pub(super) width: Option<String>,
    pub(super) told: String,
    /// Keys per second.
    pub(super) rate: Option<String>,
    /// When it is done, if it goes on like that.
    pub(super) left: Option<String>,
    pub(super) copied: String,
    pub(super) failed: String,
    pub(super) begun: When,
    pub(super) ended: Option<When>,
    pub(super) runner: String,
    pub(super) heard: When,
    /// Who paused or reset it, and why.
    pub(super) said: Option<String>,
}

/// Repairs that have something in common.
pub(super) struct GroupView {
    pub(super) cause: &'static str,
    pub(super) state: Badge,
    pub(super) written: &'static str,
    pub(super) count: String,
    pub(super) oldest: Option<When>,
}

/// One repair.
pub(super) struct RepairView {
    pub(super) key: String,
    pub(super) cause: &'static str,
    pub(super) state: Badge,
    pub(super) attempts: u32,
    pub(super) at: When,
    pub(super) instance: String,
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
            backfill: data.stores.backfill.as_ref().map(|it| backfill(it, now)),
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

fn backfill(backfill: &Backfill, now: DateTime<Utc>) -> BackfillView {
    let (keys, total) = (backfill.keys, backfill.total);
    // A total is an estimate: what is done is never more than the whole.
    let whole = total.map(|total| match backfill.state {
        Standing::Complete => keys.max(1),
        _ => total.max(keys).max(1),
    });
    let tenths = whole.map(|whole| u128::from(keys) * 1_000 / u128::from(whole));
    let told = match (backfill.state, total) {
        (Standing::Complete, _) | (_, None) => format!("{} keys", count(keys)),
        (_, Some(total)) => format!(
            "{} of about {} keys, {}",
            count(keys),
            count(total),
            share(keys, total.max(keys))
        ),
    };
    let told_left = |left: f64| {
        let left = std::time::Duration::try_from_secs_f64(left).ok()?;
        Some(format!(
            "about {} left",
            span(Duration::from_std(left).ok()?)
        ))
    };
    BackfillView {
        badge: match backfill.state {
            Standing::Running => Badge::new("is-new", "running"),
            Standing::Paused => Badge::new("is-wait", "paused"),
            Standing::Complete => Badge::new("is-good", "complete"),
            Standing::Reset => Badge::new("is-off", "void: to be run again"),
        },
        width: tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
        told,
        rate: backfill
            .rate(now)
            .map(|rate| format!("{} keys per second", crate::web::chart::short(rate))),
        left: backfill.seconds_left(now).and_then(told_left),
        copied: count(backfill.copied),
        failed: count(backfill.failed),
        begun: When::of(backfill.begun_at, now),
        ended: backfill.ended_at.map(|at| When::of(at, now)),
        runner: backfill.runner.clone(),
        heard: When::of(backfill.heard_at, now),
        said: backfill
            .said
            .as_ref()
            .map(|said| format!("{}, {}: {}", said.by, exact(said.at), said.reason)),
    }
}

const fn happened(cause: Cause) -> &'static str {
    match cause {
        Cause::Failed => "the copy failed",
        Cause::TimedOut => "the copy took too long",
        Cause::Interrupted => "the process ended before the copy did",
        Cause::UnknownOutcome => "whether the write happened is not known",
        Cause::AtRisk => "at risk: keys moved without a hold",
        Cause::Backfill => "a backfill could not copy it",
    }
}

fn became(state: RepairState) -> Badge {
    match state {
        RepairState::Open => Badge::new("is-wait", "tried again"),
        RepairState::Failed => Badge::new("is-bad", "given up"),
        RepairState::Conflict => Badge::new("is-bad", "a person decides"),
        RepairState::Resolved => Badge::new("is-good", "resolved"),
    }
}

fn groups(data: &DataDetails, now: DateTime<Utc>) -> Vec<GroupView> {
    let groups = data.groups.iter().map(|group| GroupView {
        cause: happened(group.cause),
        state: became(group.state),
        written: match group.written {
            Path::Old => "old",
            Path::New => "new",
        },
        count: count(group.count),
        oldest: group.oldest.map(|at| When::of(at, now)),
    });
    groups.collect()
}

fn repairs(data: &DataDetails, now: DateTime<Utc>) -> Vec<RepairView> {
    let repairs = data.repairs.iter().map(|repair| RepairView {
        key: repair.key.clone(),
        cause: happened(repair.cause),
        state: became(repair.state),
        attempts: repair.attempts,
        at: When::of(repair.first_at, now),
        instance: repair.instance.clone(),
    });
    repairs.collect()
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
