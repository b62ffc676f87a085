//! What a spool's file is made of: records, each with its length and a checksum, one after the other.
//!
//! A process that is killed leaves whole records, and at the end perhaps a piece of one. Anything else
//! that cannot be read is damage: what comes after it is read nevertheless, and the damage is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::decide::Path;
use crate::writers::{Cause, RepairState, Step, Unverified};

/// The length and the checksum.
const HEAD: usize = 4 + 8;
/// The longest record: every byte of a key may be escaped to six.
const LONGEST: usize = 2 * 1024;

/// One thing that is to outlive the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A write is about to begin.
    Intent(Intent),
    /// It was copied, or there is a repair for it.
    Cleared {
        /// The intent's.
        id: u64,
    },
    /// A repair, as it is now.
    Repair(Kept),
    /// There is no repair of this key any more.
    Settled {
        /// The key.
        key: String,
    },
    /// Repairs may be missing.
    Unverified {
        /// Why, or that none is.
        why: Option<Unverified>,
    },
}

/// A write whose copy has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: u64,
    pub(crate) key: String,
    /// The side that is written.
    pub(crate) written: Path,
    pub(crate) generation: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Whether the process was cut off when it began.
    #[serde(default)]
    pub(crate) is_at_risk: bool,
}

/// A repair, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) key: String,
    /// The side that was written.
    pub(crate) written: Path,
    pub(crate) generation: u64,
    pub(crate) cause: Cause,
    #[serde(default)]
    pub(crate) state: RepairState,
    #[serde(default)]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) failed_at: Option<Step>,
    /// When it was written, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

impl From<Intent> for Kept {
    /// The process ended before the copy did.
    fn from(intent: Intent) -> Kept {
        Kept {
            key: intent.key,
            written: intent.written,
            generation: intent.generation,
            cause: match intent.is_at_risk {
                true => Cause::AtRisk,
                false => Cause::Interrupted,
            },
            state: RepairState::Open,
            attempts: 0,
            failed_at: None,
            at_ms: intent.at_ms,
        }
    }
}

/// What a file comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) intents: BTreeMap<u64, Intent>,
    pub(crate) repairs: BTreeMap<String, Kept>,
    pub(crate) unverified: Option<Unverified>,
    /// Whether something in it cannot be read that was written whole once.
    pub(crate) is_damaged: bool,
}

/// The record as it is in the file; `None` for one that no reader would take.
pub(crate) fn write(record: &Record) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, record).ok()?;
    let (head, payload) = bytes.split_at_mut_checked(HEAD)?;
    if payload.len() > LONGEST {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    let sum = xxh3_64(payload).to_le_bytes();
    for (place, byte) in head.iter_mut().zip(length.into_iter().chain(sum)) {
        *place = byte;
    }
    Some(bytes)
}

/// Reads what a file holds, whatever it holds.
pub(crate) fn read(mut bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    while !bytes.is_empty() {
        match next(bytes) {
            Next::Record(record, rest) => {
                contents.take(record);
                bytes = rest;
            }
            Next::Torn if !has_record_within(bytes) => return contents,
            Next::Torn | Next::Damaged => {
                contents.is_damaged = true;
                // The next record may begin anywhere.
                bytes = from_next_record(bytes);
            }
        }
    }
    contents
}

impl Contents {
    fn take(&mut self, record: Record) {
        match record {
            Record::Intent(intent) => drop(self.intents.insert(intent.id, intent)),
            Record::Cleared { id } => drop(self.intents.remove(&id)),
            Record::Repair(kept) => drop(self.repairs.insert(kept.key.clone(), kept)),
            Record::Settled { key } => drop(self.repairs.remove(&key)),
            Record::Unverified { why } => self.unverified = why,
        }
    }
}

enum Next<'b> {
    Record(Record, &'b [u8]),
    /// The file ends before the record does.
    Torn,
    Damaged,
}

fn next(bytes: &[u8]) -> Next<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Next::Torn;
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Next::Damaged;
    }
    let Some((sum, rest)) = rest.split_first_chunk::<8>() else {
        return Next::Torn;
    };
    let Some((payload, rest)) = rest.split_at_checked(length) else {
        return Next::Torn;
    };
    if xxh3_64(payload).to_le_bytes() != *sum {
        return Next::Damaged;
    }
    match serde_json::from_slice(payload) {
        Ok(record) => Next::Record(record, rest),
        // A newer version's.
        Err(_) => Next::Damaged,
    }
}

fn has_record_within(bytes: &[u8]) -> bool {
    !from_next_record(bytes).is_empty()
}

/// From the next record on that can be read, after the beginning; empty where there is none.
fn from_next_record(bytes: &[u8]) -> &[u8] {
    let later = (1..bytes.len()).filter_map(|at| bytes.get(at..));
    let mut later = later.filter(|rest| matches!(next(rest), Next::Record(..)));
    later.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let key = "[a-e\u{1}\"ü]{1,4}";
        let path = prop_oneof![Just(Path::Old), Just(Path::New)];
        prop_oneof![
            (0..20_u64, key, path.clone(), any::<u64>(), any::<bool>()).prop_map(
                |(id, key, written, at_ms, is_at_risk)| Record::Intent(Intent {
                    id,
                    key,
                    written,
                    generation: at_ms / 2,
                    at_ms,
                    is_at_risk,
                })
            ),
            (0..20_u64).prop_map(|id| Record::Cleared { id }),
            (key, path, any::<u32>()).prop_map(|(key, written, attempts)| Record::Repair(Kept {
                key,
                written,
                generation: 3,
                cause: Cause::Failed,
                state: RepairState::Open,
                attempts,
                failed_at: Some(Step::SaveNew),
                at_ms: 7,
            })),
            key.prop_map(|key| Record::Settled { key }),
            Just(Record::Unverified {
                why: Some(Unverified::SpoolFull)
            }),
        ]
    }

    fn all(records: &[Record]) -> Contents {
        let mut contents = Contents::default();
        for record in records {
            contents.take(record.clone());
        }
        contents
    }

    proptest! {
        #[test]
        fn whatever_was_written_before_the_cut_is_read(
            records in prop::collection::vec(record(), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for record in &records {
                bytes.extend(write(record).unwrap());
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end > 0 && **end <= cut).count();
            let contents = read(&bytes[..cut]);
            prop_assert_eq!(&contents, &all(&records[..whole]));
            prop_assert!(!contents.is_damaged);
        }

        #[test]
        fn a_changed_byte_costs_one_record_and_is_told(
            records in prop::collection::vec(record(), 1..12),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let written: Vec<Vec<u8>> = records.iter().map(|record| write(record).unwrap()).collect();
            let mut bytes = written.concat();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let contents = read(&bytes);
            let mut passed = 0;
            let hit = written.iter().position(|record| {
                passed += record.len();
                at < passed
            });
            let mut others = records.clone();
            let hit = hit.unwrap();
            others.remove(hit);
            // The length of the last record may have become one that no longer fits in the file.
            let looks_torn = hit + 1 == records.len();
            prop_assert!(contents.is_damaged || looks_torn);
            let expected = Contents { is_damaged: contents.is_damaged, ..all(&others) };
            prop_assert_eq!(contents, expected);
        }

        #[test]
        fn anything_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read(&bytes);
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let intent = Intent {
            id: u64::MAX,
            key: "\u{1}".repeat(crate::writers::LONGEST_KEY),
            written: Path::Old,
            generation: u64::MAX,
            at_ms: u64::MAX,
            is_at_risk: true,
        };
        assert!(write(&Record::Intent(intent)).is_some());
    }
}
