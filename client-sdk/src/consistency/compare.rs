//! Looks at keys and ranges of keys, again where they differ.

use std::mem;
use std::time::Duration;

use super::ConsistencyError;
use crate::doubled::{self, Doubled};
use crate::store::{Checksum, CopyError};
use crate::writers::Step;

/// How many keys are read at once, and how many a checksum is over.
pub(super) const RANGE: usize = 1_000;
/// After which waits a key that differs is looked at again.
const LOOKS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
];
/// When this many differ for good, no other key is waited for.
const MANY: u64 = 1_000;
/// How often the checksums of a range are taken while its rows are equal and they are not.
const MOST_SUMS: u32 = 3;
/// How many differing keys a report names.
const NAMED: usize = 20;

/// What looking at one key gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Equal,
    Differs,
    /// A store failed, or the rows do not stand still.
    Unclear,
}

fn look(doubled: &dyn Doubled, key: &str) -> Look {
    let authority = doubled.authority_of(key);
    let equal = doubled::contained(|| doubled.pair().compare(key, authority));
    match equal {
        Some(Ok(Some(true))) => Look::Equal,
        Some(Ok(Some(false))) => Look::Differs,
        Some(Ok(None) | Err(_)) | None => Look::Unclear,
    }
}

/// What a run has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) compared: u64,
    pub(super) differing: u64,
    pub(super) keys: Vec<String>,
    pub(super) failed: u64,
    pub(super) checksums: Option<[Checksum; 2]>,
}

impl Found {
    /// Compares the rows of these keys. Says whether all are equal.
    pub(super) fn compare(
        &mut self,
        doubled: &dyn Doubled,
        mut keys: Vec<String>,
    ) -> Result<bool, ConsistencyError> {
        self.compared = self.compared.saturating_add(count(keys.len()));
        let differs = |key: &String| look(doubled, key) != Look::Equal;
        keys.retain(differs);
        for wait in LOOKS {
            if keys.is_empty() || self.differing >= MANY {
                break;
            }
            doubled::rest(doubled, wait)?;
            keys.retain(differs);
        }
        let mut are_equal = true;
        for key in keys {
            match look(doubled, &key) {
                Look::Equal => {}
                Look::Differs => {
                    are_equal = false;
                    self.differing = self.differing.saturating_add(1);
                    if self.keys.len() < NAMED {
                        self.keys.push(key);
                    }
                }
                Look::Unclear => {
                    are_equal = false;
                    self.compared = self.compared.saturating_sub(1);
                    self.failed = self.failed.saturating_add(1);
                }
            }
        }
        Ok(are_equal)
    }

    /// Compares all rows, range by range.
    pub(super) fn compare_all(&mut self, doubled: &dyn Doubled) -> Result<(), ConsistencyError> {
        let mut cursor: Option<String> = None;
        let mut sums = Some([Checksum::default(); 2]);
        loop {
            let mut keys = doubled::keys_after(doubled, cursor.as_deref(), RANGE)?;
            let Some(last) = keys.last().cloned() else {
                break;
            };
            let range = Range {
                doubled,
                after: cursor.as_deref(),
                up_to: &last,
            };
            let mut of_range = range.checksums()?;
            match of_range {
                Some([old, new]) if old == new => {
                    self.compared = self.compared.saturating_add(count(keys.len()));
                }
                _ => {
                    let are_equal = self.compare(doubled, mem::take(&mut keys))?;
                    if of_range.is_some() {
                        of_range = range.settled(are_equal)?;
                    }
                }
            }
            let add = |(sums, of_range): ([Checksum; 2], [Checksum; 2])| {
                let [old, new] = sums;
                let [of_old, of_new] = of_range;
                [sum(old, of_old), sum(new, of_new)]
            };
            sums = sums.zip(of_range).map(add);
            cursor = Some(last);
        }
        self.checksums = sums.filter(|_| cursor.is_some());
        Ok(())
    }
}

/// The keys after one and up to another.
struct Range<'a> {
    doubled: &'a dyn Doubled,
    after: Option<&'a str>,
    up_to: &'a str,
}

impl Range<'_> {
    fn checksums(&self) -> Result<Option<[Checksum; 2]>, CopyError> {
        let pair = self.doubled.pair();
        let sums = doubled::contained(|| pair.checksums(self.after, Some(self.up_to)));
        sums.unwrap_or(Err(CopyError {
            step: Step::LoadOld,
            source: Some("the store panicked".into()),
        }))
    }

    /// Takes the checksums once the rows were compared: what was under way when they were taken first
    /// has ended. `None` where the rows are equal and do not stand still for it.
    fn settled(&self, are_equal: bool) -> Result<Option<[Checksum; 2]>, ConsistencyError> {
        for _ in 0..MOST_SUMS {
            let sums = self.checksums()?;
            match sums {
                Some([old, new]) if old != new && are_equal => {}
                _ => return Ok(sums),
            }
            let [wait, ..] = LOOKS;
            doubled::rest(self.doubled, wait)?;
        }
        Ok(None)
    }
}

fn sum(a: Checksum, b: Checksum) -> Checksum {
    Checksum {
        rows: a.rows.saturating_add(b.rows),
        sum: a.sum.wrapping_add(b.sum),
    }
}

fn count(keys: usize) -> u64 {
    u64::try_from(keys).unwrap_or(u64::MAX)
}
