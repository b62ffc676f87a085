//! What is known of the two stores of a data route: who is not sure that every write was copied, what
//! was compared last, and when that is done again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::Unverified;

use crate::domain::backfill::{Backfill, Copying, Standing};
use crate::domain::consistency::{Compared, Schedule};
use crate::domain::facts::Stores;
use crate::domain::repair::LedgerSum;
use crate::domain::rollout::Rollout;

/// Doubts of one rollout that are told apart; further ones are the last one's.
const MOST_DOUBTS: usize = 100;

/// What is on record of the two stores of a rollout, besides its ledger, backfills and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoresRecord {
    /// Why nobody knows whether every write was copied: the rollout is unverified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// The processes that are still to be told that what they doubted is well.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub cleared: BTreeSet<String>,
    /// When rows are compared by themselves.
    #[serde(skip_serializing_if = "Scheduled::is_by_policy")]
    pub schedule: Scheduled,
    /// What was found when rows were last compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Compared>,
    /// When the last checksum run began that found all rows equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksummed_from: Option<DateTime<Utc>>,
}

/// Why repairs may be missing from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Why.
    pub why: DoubtKind,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who says so: a process, or the server.
    pub by: String,
}

/// What repairs may have been lost by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtKind {
    /// A process's spool had no room.
    SpoolFull,
    /// A process has no spool, or cannot write to it.
    NoSpool,
    /// A spool that was left over cannot be read to its end.
    SpoolDamaged,
    /// The ledger had no room.
    LedgerFull,
    /// A process was declared gone, and nobody knows what it had under way.
    WriterGone,
}

impl DoubtKind {
    /// Whether a process says so itself, and repeats it until it hears that all is well.
    #[must_use]
    pub const fn is_said(self) -> bool {
        matches!(
            self,
            DoubtKind::SpoolFull | DoubtKind::NoSpool | DoubtKind::SpoolDamaged
        )
    }
}

impl From<Unverified> for DoubtKind {
    fn from(why: Unverified) -> DoubtKind {
        match why {
            Unverified::SpoolFull => DoubtKind::SpoolFull,
            Unverified::NoSpool => DoubtKind::NoSpool,
            Unverified::SpoolDamaged => DoubtKind::SpoolDamaged,
        }
    }
}

/// When rows are compared by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduled {
    /// As it is by default: daily, once a backfill is complete, where the policy has a guard on it.
    #[default]
    ByPolicy,
    /// Never.
    Never,
    /// As somebody has set it.
    Set(Schedule),
}

impl Scheduled {
    fn is_by_policy(&self) -> bool {
        *self == Scheduled::ByPolicy
    }
}

impl StoresRecord {
    /// Takes what a process says of its repairs; whether anything of this changed, and whether the
    /// process is to hear that its doubts are settled.
    pub fn hear(
        &mut self,
        instance: &str,
        unverified: Option<Unverified>,
        now: DateTime<Utc>,
    ) -> (bool, bool) {
        if self.cleared.remove(instance) {
            // What it says was said before it could know.
            return (true, unverified.is_some());
        }
        let changed = unverified.is_some_and(|why| self.doubt(why.into(), instance, now));
        (changed, false)
    }

    /// Notes a doubt; whether it is new.
    pub fn doubt(&mut self, why: DoubtKind, by: &str, now: DateTime<Utc>) -> bool {
        let same = |doubt: &&Doubt| doubt.why == why && doubt.by == by;
        if why.is_said() && self.doubts.iter().any(|doubt| same(&doubt)) {
            return false;
        }
        self.doubts
            .retain(|doubt| !(doubt.why == why && doubt.by == by));
        if self.doubts.len() >= MOST_DOUBTS {
            self.doubts.pop();
        }
        self.doubts.push(Doubt {
            why,
            since: now,
            by: by.to_owned(),
        });
        true
    }

    /// When the latest doubt arose.
    #[must_use]
    pub fn doubted_at(&self) -> Option<DateTime<Utc>> {
        self.doubts.iter().map(|doubt| doubt.since).max()
    }

    /// Whether the rows were shown to be equal, in spite of all doubts: by a complete backfill and a
    /// clean checksum run that both began after them. Then they are settled.
    pub fn settle(&mut self, backfill: Option<&Backfill>) -> Vec<Doubt> {
        let begun = backfill
            .filter(|backfill| backfill.state == Standing::Complete)
            .map(|backfill| backfill.begun_at);
        let (Some(begun), Some(checksummed)) = (begun, self.checksummed_from) else {
            return Vec::new();
        };
        let shown = begun.min(checksummed);
        let (settled, open): (Vec<Doubt>, Vec<Doubt>) = std::mem::take(&mut self.doubts)
            .into_iter()
            .partition(|doubt| doubt.since < shown);
        self.doubts = open;
        let said = settled.iter().filter(|doubt| doubt.why.is_said());
        self.cleared.extend(said.map(|doubt| doubt.by.clone()));
        settled
    }
}

/// Who doubts, where no process does.
pub const SERVER: &str = "system";

impl Stores {
    /// What gates ask of the two stores of a rollout, as it is now.
    #[must_use]
    pub fn of(
        rollout: &Rollout,
        record: &StoresRecord,
        backfill: Option<&Backfill>,
        ledger: &LedgerSum,
        now: DateTime<Utc>,
    ) -> Stores {
        let copying = Copying::of(rollout);
        let complete = backfill.filter(|backfill| backfill.state == Standing::Complete);
        let data = &rollout.data;
        Stores {
            mirrored: copying.all && copying.since.is_some(),
            backfill_complete: complete.is_some_and(|backfill| copying.covers(backfill.begun_at)),
            consistent: record
                .latest
                .as_ref()
                .is_some_and(|latest| latest.is_clean() && copying.covers(latest.began_at)),
            failed_repairs: ledger.failed,
            conflicts: ledger.conflict,
            oldest_repair_seconds: ledger
                .oldest
                .map(|oldest| u64::try_from((now - oldest).num_seconds()).unwrap_or_default()),
            unverified: !record.doubts.is_empty(),
            diverged: data
                .diverged_since
                .is_some_and(|since| complete.is_none_or(|backfill| backfill.begun_at <= since)),
            no_return: data.no_return_since.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn backfilled(begun: i64) -> Backfill {
        let place = ("save".parse().unwrap(), "dev".parse().unwrap());
        let mut backfill = Backfill::begin("1".to_owned(), place, ("a", 1, None), at(begun));
        backfill.state = Standing::Complete;
        backfill
    }

    #[test]
    fn a_doubt_goes_when_backfill_and_checksums_began_after_it() {
        let mut record = StoresRecord::default();
        let says = Some(Unverified::SpoolFull);
        assert_eq!(record.hear("a", says, at(10)), (true, false));
        assert_eq!(record.hear("a", says, at(15)), (false, false));
        assert_eq!(record.hear("b", None, at(15)), (false, false));
        assert!(record.doubt(DoubtKind::LedgerFull, SERVER, at(16)));
        assert!(record.settle(Some(&backfilled(20))).is_empty());
        record.checksummed_from = Some(at(9));
        assert!(record.settle(Some(&backfilled(20))).is_empty());
        record.checksummed_from = Some(at(30));
        assert!(record.settle(Some(&backfilled(5))).is_empty());
        assert_eq!(record.settle(Some(&backfilled(20))).len(), 2);
        // It says it once more, because it could not know, and is told so once.
        assert_eq!(record.hear("a", says, at(40)), (true, true));
        assert_eq!(record.hear("a", says, at(45)), (true, false));
        assert_eq!(record.doubted_at(), Some(at(45)));
    }

    #[test]
    fn doubts_are_bounded_and_the_server_s_are_of_now() {
        let mut record = StoresRecord::default();
        for number in 0..300 {
            record.doubt(DoubtKind::NoSpool, &number.to_string(), at(number));
        }
        assert_eq!(record.doubts.len(), MOST_DOUBTS);
        assert_eq!(record.doubted_at(), Some(at(299)));
        assert!(record.doubt(DoubtKind::LedgerFull, SERVER, at(400)));
        assert!(record.doubt(DoubtKind::LedgerFull, SERVER, at(500)));
        assert_eq!(record.doubted_at(), Some(at(500)));
    }
}
