//! The ledger of repairs: keys whose two rows may differ, as the processes that write tell it.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Cause, LONGEST_KEY, Path, Repair, RepairState, Step};

/// Open repairs of one rollout that the ledger takes.
pub const MOST_OPEN: u64 = 10_000;
/// How long resolved ones are kept, and how many of a rollout.
pub const KEPT_DAYS: i64 = 7;
/// The most resolved repairs of one rollout that are kept.
pub const MOST_RESOLVED: u64 = 10_000;
/// How long a process has for the repairs of another before somebody else gets them, in seconds.
const LEASE_SECONDS: i64 = 30;
/// No write was longer ago: a clock that says so is wrong.
const OLDEST_DAYS: i64 = 365;

/// A repair on record: of one key, as one process knows it. Two processes may each have one of the
/// same key, and the one is not settled by the other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRepair {
    /// The key.
    pub key: String,
    /// The process that has it; of a backfill that none has taken yet, the backfill's name.
    pub instance: String,
    /// The side that was written.
    pub written: Path,
    /// The generation of the write.
    pub generation: u64,
    /// What happened.
    pub cause: Cause,
    /// What became of it.
    pub state: RepairState,
    /// How often a copy was tried.
    pub attempts: u32,
    /// What the last attempt failed at.
    pub failed_at: Option<Step>,
    /// When the write was.
    pub first_at: DateTime<Utc>,
    /// When it was last told of.
    pub last_at: DateTime<Utc>,
    /// How it was settled.
    pub settled: Option<Settled>,
    /// What its process is still to be told.
    pub order: Option<Ordered>,
    /// Who tries it in the place of a process that is gone, and until when.
    pub lease: Option<(String, DateTime<Utc>)>,
}

/// How a repair was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// When.
    pub at: DateTime<Utc>,
    /// By the process that copied the row, or by a person.
    pub by: String,
    /// Why; nothing where the rows were copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a person wants of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordered {
    /// That it is tried now.
    Retry,
    /// That it is forgotten: the person has settled it.
    Settled,
}

/// What people may do about repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Try them again now.
    Retry,
    /// Take them for settled, because somebody has seen to it that the rows are equal.
    Resolve,
}

/// The unresolved repairs of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSum {
    /// Those that are tried again.
    pub open: u64,
    /// Those that were given up.
    pub failed: u64,
    /// Those that a person has to decide.
    pub conflict: u64,
    /// Those among all of them whose write may be lost: authority moved without a hold.
    pub at_risk: u64,
    /// Those whose write was to the new store: the old one may lack it.
    pub of_new: u64,
    /// When the oldest write among them was.
    pub oldest: Option<DateTime<Utc>>,
}

/// Unresolved repairs of a rollout that have something in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerGroup {
    /// What became of them.
    pub state: RepairState,
    /// What happened.
    pub cause: Cause,
    /// The side that was written.
    pub written: Path,
    /// How many there are.
    pub count: u64,
    /// When the oldest write among them was.
    pub oldest: Option<DateTime<Utc>>,
}

impl LedgerSum {
    /// Of all the groups of a ledger.
    #[must_use]
    pub fn of(groups: &[LedgerGroup]) -> LedgerSum {
        let mut sum = LedgerSum::default();
        for group in groups {
            match group.state {
                RepairState::Open => sum.open += group.count,
                RepairState::Failed => sum.failed += group.count,
                RepairState::Conflict => sum.conflict += group.count,
                RepairState::Resolved => {}
            }
            if group.cause == Cause::AtRisk {
                sum.at_risk += group.count;
            }
            if group.written == Path::New {
                sum.of_new += group.count;
            }
            sum.oldest = match (sum.oldest, group.oldest) {
                (Some(known), Some(other)) => Some(known.min(other)),
                (known, other) => known.or(other),
            };
        }
        sum
    }

    /// All of them.
    #[must_use]
    pub const fn unresolved(&self) -> u64 {
        self.open
            .saturating_add(self.failed)
            .saturating_add(self.conflict)
    }
}

/// Whether a text can be the key of a write.
#[must_use]
pub fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
}

impl KeptRepair {
    /// What is on record after a process has told of a repair; `None` where nothing changes.
    #[must_use]
    pub fn told(
        kept: Option<&KeptRepair>,
        instance: &str,
        repair: &Repair,
        now: DateTime<Utc>,
    ) -> Option<KeptRepair> {
        let written_at = now - age(repair.age_ms);
        let fresh = KeptRepair {
            key: repair.key.clone(),
            instance: instance.to_owned(),
            written: repair.written,
            generation: repair.generation,
            cause: repair.cause,
            state: repair.state,
            attempts: repair.attempts,
            failed_at: repair.failed_at,
            first_at: written_at,
            last_at: now,
            settled: (repair.state == RepairState::Resolved).then(|| Settled {
                at: now,
                by: instance.to_owned(),
                why: None,
            }),
            order: None,
            lease: None,
        };
        let Some(kept) = kept else {
            return Some(fresh);
        };
        if let Some(settled) = &kept.settled {
            // The process has not heard yet that a person has settled it.
            let is_of_before = written_at <= settled.at && kept.order == Some(Ordered::Settled);
            return match (repair.state, is_of_before) {
                (RepairState::Resolved, true) => Some(KeptRepair {
                    order: None,
                    last_at: now,
                    ..kept.clone()
                }),
                (RepairState::Resolved, false) if kept.is_as_told(repair) => None,
                (_, true) => None,
                (_, false) => Some(fresh),
            };
        }
        if kept.is_as_told(repair) {
            return None;
        }
        Some(KeptRepair {
            first_at: kept.first_at.min(written_at),
            ..fresh
        })
    }

    fn is_as_told(&self, repair: &Repair) -> bool {
        self.state == repair.state
            && self.attempts == repair.attempts
            && self.cause == repair.cause
            && self.generation == repair.generation
            && self.written == repair.written
            && self.failed_at == repair.failed_at
    }

    /// A key that a backfill could not copy: some process is to try it again.
    #[must_use]
    pub fn of_backfill(id: &str, key: &str, written: Path, now: DateTime<Utc>) -> KeptRepair {
        KeptRepair {
            key: key.to_owned(),
            instance: format!("backfill:{id}"),
            written,
            generation: 0,
            cause: Cause::Backfill,
            state: RepairState::Open,
            attempts: 1,
            failed_at: None,
            first_at: now,
            last_at: now,
            settled: None,
            order: None,
            lease: None,
        }
    }

    /// Whether the rows may still differ.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        self.state != RepairState::Resolved
    }

    /// What a person does about it; `false` where there is nothing to do.
    pub fn settle(&mut self, how: Settlement, by: &str, why: &str, now: DateTime<Utc>) -> bool {
        if !self.is_unresolved() {
            return false;
        }
        match how {
            Settlement::Retry => self.order = Some(Ordered::Retry),
            Settlement::Resolve => {
                self.state = RepairState::Resolved;
                self.order = Some(Ordered::Settled);
                self.lease = None;
                self.settled = Some(Settled {
                    at: now,
                    by: by.to_owned(),
                    why: Some(why.to_owned()),
                });
            }
        }
        true
    }

    /// Whether a process other than the one that has it should try it: that one is gone, and either it
    /// was still tried or a person wants it.
    #[must_use]
    pub fn is_orphan(&self, is_known: bool, now: DateTime<Utc>) -> bool {
        let wanted = self.state == RepairState::Open || self.order == Some(Ordered::Retry);
        let leased = self.lease.as_ref().is_some_and(|(_, until)| *until > now);
        wanted && self.is_unresolved() && !is_known && !leased
    }

    /// Gives it to a process for a while.
    pub fn hand_to(&mut self, instance: &str, now: DateTime<Utc>) {
        let until = now + Duration::seconds(LEASE_SECONDS);
        self.lease = Some((instance.to_owned(), until));
    }

    /// Whether a process has it in the place of one that is gone.
    #[must_use]
    pub fn is_leased_to(&self, instance: &str) -> bool {
        self.lease.as_ref().is_some_and(|(to, _)| to == instance)
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn wire(&self, now: DateTime<Utc>) -> Repair {
        let age = (now - self.first_at).num_milliseconds().max(0);
        Repair {
            key: self.key.clone(),
            written: self.written,
            generation: self.generation,
            cause: self.cause,
            state: RepairState::Open,
            attempts: self.attempts,
            failed_at: self.failed_at,
            age_ms: u64::try_from(age).unwrap_or_default(),
        }
    }
}

fn age(ms: u64) -> Duration {
    let most = Duration::days(OLDEST_DAYS);
    i64::try_from(ms)
        .ok()
        .and_then(Duration::try_milliseconds)
        .map_or(most, |age| age.min(most))
}

#[cfg(test)]
mod tests;
