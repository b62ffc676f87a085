//! Every acknowledged write, and what must be in a store after them.
//!
//! Writers meet on the same keys, so the order of two writes that overlapped is not known; that of two
//! where one had ended before the other began is. What a store holds must be from a write that no
//! acknowledged one followed. Kept per key, that is a handful of writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::gear::Gear;

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Rises with each beginning and each end.
    clock: AtomicU64,
    keys: Mutex<BTreeMap<String, Vec<Write>>>,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    waited: AtomicU64,
}

/// A write that a row may be from.
#[derive(Clone, Copy, Debug)]
struct Write {
    /// Its number; `None` for a deletion.
    stamp: Option<u64>,
    ended: u64,
}

/// A write that has begun.
#[derive(Debug)]
#[must_use = "what has begun has an end"]
pub(crate) struct Begun(u64);

/// How a write ended for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was acknowledged: it must not be lost.
    Acknowledged,
    /// It failed: it may have happened.
    Unknown,
    /// Its key was about to move for too long: nothing is written.
    Moving,
}

/// What is not as it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Rows that were compared.
    pub rows: u64,
    /// Keys whose last acknowledged write is not there.
    pub lost: u64,
    /// Rows with other contents than their write gave them.
    pub wrong: u64,
    /// Rows that nobody wrote, or that were deleted.
    pub extra: u64,
}

impl Verdict {
    /// Whether all is as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (self.lost, self.wrong, self.extra) == (0, 0, 0)
    }
}

impl Ledger {
    /// A write begins.
    pub(crate) fn begin(&self) -> Begun {
        Begun(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    /// It has ended.
    pub(crate) fn end(&self, begun: Begun, key: &str, stamp: Option<u64>, end: End) {
        let ended = self.clock.fetch_add(1, Ordering::SeqCst);
        let count = match end {
            End::Acknowledged => &self.acknowledged,
            End::Unknown => &self.unknown,
            End::Moving => &self.waited,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if end == End::Moving {
            return;
        }
        let mut keys = self.keys();
        if !keys.contains_key(key) {
            // It was not there; and that is how it may be still, if nobody but failures wrote it.
            keys.insert(
                key.to_owned(),
                vec![Write {
                    stamp: None,
                    ended: 0,
                }],
            );
        }
        if let Some(writes) = keys.get_mut(key) {
            if end == End::Acknowledged {
                // Those that had ended before it began are followed by it.
                writes.retain(|write| write.ended > begun.0);
            }
            writes.push(Write { stamp, ended });
        }
    }

    /// Writes that were acknowledged; that failed, so that nobody knows; and that gave up waiting for
    /// their key to move.
    #[must_use]
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.acknowledged, &self.unknown, &self.waited].map(|count| count.load(Ordering::Relaxed))
    }

    /// Compares a store's rows with what must be in it.
    #[must_use]
    pub(crate) fn judge(&self, rows: &[(String, Gear)], users: u64) -> Verdict {
        let mut verdict = Verdict {
            rows: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            ..Verdict::default()
        };
        let keys = self.keys();
        let rows: BTreeMap<&str, &Gear> =
            rows.iter().map(|(id, gear)| (id.as_str(), gear)).collect();
        for (key, writes) in keys.iter() {
            let stamp = rows.get(key.as_str()).map(|gear| gear.stamp());
            let is_of = |write: &Write| match stamp {
                None => write.stamp.is_none(),
                Some(stamp) => stamp.is_some() && write.stamp == stamp,
            };
            if writes.iter().any(is_of) {
                continue;
            }
            // Deleted, and there nevertheless; or an older state than the last one.
            match stamp.is_some() && writes.iter().all(|write| write.stamp.is_none()) {
                true => verdict.extra = verdict.extra.saturating_add(1),
                false => verdict.lost = verdict.lost.saturating_add(1),
            }
        }
        for (key, gear) in rows {
            if !keys.contains_key(key) {
                verdict.extra = verdict.extra.saturating_add(1);
            }
            let written = gear.stamp().map(|stamp| Gear::of_write(stamp, users));
            if written.as_ref() != Some(gear) {
                verdict.wrong = verdict.wrong.saturating_add(1);
            }
        }
        verdict
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Write>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: u64 = 10;

    fn rows(rows: &[(&str, u64)]) -> Vec<(String, Gear)> {
        let row = |(key, stamp): &(&str, u64)| ((*key).to_owned(), Gear::of_write(*stamp, USERS));
        rows.iter().map(row).collect()
    }

    fn write(ledger: &Ledger, key: &str, stamp: Option<u64>, end: End) {
        let begun = ledger.begin();
        ledger.end(begun, key, stamp, end);
    }

    #[test]
    fn only_the_last_write_will_do() {
        let ledger = Ledger::default();
        write(&ledger, "a", Some(1), End::Acknowledged);
        write(&ledger, "a", Some(2), End::Acknowledged);
        write(&ledger, "b", Some(3), End::Acknowledged);
        write(&ledger, "b", None, End::Acknowledged);
        write(&ledger, "c", Some(4), End::Moving);
        let judge = |list: &[(&str, u64)]| {
            let verdict = ledger.judge(&rows(list), USERS);
            (verdict.lost, verdict.wrong, verdict.extra)
        };
        assert_eq!(judge(&[("a", 2)]), (0, 0, 0));
        assert_eq!(judge(&[("a", 1)]), (1, 0, 0));
        assert_eq!(judge(&[]), (1, 0, 0));
        assert_eq!(judge(&[("a", 2), ("b", 3)]), (0, 0, 1));
        assert_eq!(judge(&[("a", 2), ("c", 4)]), (0, 0, 1));
        let mut spoilt = rows(&[("a", 2)]);
        spoilt[0].1.brand = Some("another".to_owned());
        assert_eq!(ledger.judge(&spoilt, USERS).wrong, 1);
        assert_eq!(ledger.counts(), [4, 0, 1]);
    }

    #[test]
    fn what_was_only_tried_need_not_be_there() {
        let ledger = Ledger::default();
        write(&ledger, "a", Some(1), End::Unknown);
        assert!(ledger.judge(&rows(&[]), USERS).is_good());
        assert!(ledger.judge(&rows(&[("a", 1)]), USERS).is_good());
        write(&ledger, "a", Some(2), End::Acknowledged);
        assert_eq!(ledger.judge(&rows(&[]), USERS).lost, 1);
    }

    #[test]
    fn of_writes_that_overlapped_or_may_have_happened_each_will_do() {
        let ledger = Ledger::default();
        let (first, second) = (ledger.begin(), ledger.begin());
        ledger.end(second, "a", Some(2), End::Acknowledged);
        ledger.end(first, "a", Some(1), End::Acknowledged);
        write(&ledger, "a", Some(3), End::Unknown);
        for stamp in [1, 2, 3] {
            assert!(ledger.judge(&rows(&[("a", stamp)]), USERS).is_good());
        }
        write(&ledger, "a", Some(4), End::Acknowledged);
        for stamp in [1, 2, 3] {
            assert_eq!(ledger.judge(&rows(&[("a", stamp)]), USERS).lost, 1);
        }
    }
}
