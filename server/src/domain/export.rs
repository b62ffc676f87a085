//! The record in a file: one JSON object a line, which can be verified without a server.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::audit::{AuditEntry, chain_hash};
use crate::domain::chain::{BrokenChain, Kept};
use crate::domain::checkpoint::{Epochs, Statement, Verdict};

/// A line: an entry, and what is needed to check it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    /// The hash of the entry before it; empty for the first.
    previous: String,
    hash: String,
    /// The canonical bytes, as they are.
    entry: Box<RawValue>,
}

/// An entry as a line of an export. What is no entry any more is written as text: a reader sees that
/// it is broken.
#[must_use]
pub fn line(seq: u64, previous: &[u8], kept: &Kept) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entry = text(kept.entry.as_deref().unwrap_or_default());
    let is_one_line = !entry.contains(['\n', '\r']);
    let entry = RawValue::from_string(entry.clone())
        .ok()
        .filter(|_| is_one_line)
        .or_else(|| serde_json::value::to_raw_value(&entry).ok())
        .unwrap_or_default();
    let line = Line {
        seq,
        previous: text(previous),
        hash: text(kept.hash.as_deref().unwrap_or_default()),
        entry,
    };
    // Numbers and texts always serialise.
    serde_json::to_string(&line).unwrap_or_default()
}

/// A walk along the lines of an export.
#[derive(Debug, Default)]
pub struct Reading {
    entries: u64,
    first: Option<u64>,
    last: Option<(u64, String)>,
    /// How often entries are left out between two lines.
    gaps: u64,
    epochs: Epochs,
    statements: Vec<Statement>,
    verdicts: Vec<Option<Verdict>>,
}

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// How many entries.
    pub entries: u64,
    /// The place of the first.
    pub first: Option<u64>,
    /// The place of the last.
    pub last: Option<u64>,
    /// How often entries are left out between two lines.
    pub gaps: u64,
    /// By statement: how it fits; `None` when the file does not hold its place.
    pub verdicts: Vec<Option<Verdict>>,
}

impl Reading {
    /// A walk that also looks for what these statements say.
    #[must_use]
    pub fn new(statements: Vec<Statement>) -> Reading {
        Reading {
            verdicts: vec![None; statements.len()],
            statements,
            ..Reading::default()
        }
    }

    /// The next line.
    ///
    /// # Errors
    /// When it does not fit: the place, and in what way.
    pub fn step(&mut self, text: &str) -> Result<(), BrokenChain> {
        let expected = self.last.as_ref().map_or(1, |(seq, _)| seq + 1);
        let broken = |seq, detail: String| Err(BrokenChain { seq, detail });
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(error) => {
                return broken(
                    expected,
                    format!("this line of the file is none of an export: {error}"),
                );
            }
        };
        let place = line.seq;
        if place < expected {
            return broken(
                place,
                format!("entry {place} stands after entry {}", expected - 1),
            );
        }
        if chain_hash(&line.previous, line.entry.get()) != line.hash {
            return broken(place, "the entry or its hash was changed".to_owned());
        }
        let entry: AuditEntry = match serde_json::from_str(line.entry.get()) {
            Ok(entry) => entry,
            Err(error) => return broken(place, format!("this is no entry: {error}")),
        };
        if entry.seq != place {
            return broken(
                place,
                format!("what stands here says that it is entry {}", entry.seq),
            );
        }
        let previous = match &self.last {
            Some((last, hash)) if last + 1 == place => Some(hash.as_str()),
            _ if place == 1 => Some(""),
            _ => None,
        };
        if previous.is_some_and(|previous| previous != line.previous) {
            return broken(
                place,
                "it does not follow from the entry before it".to_owned(),
            );
        }
        if self.last.is_some() && place > expected {
            self.gaps += 1;
        }
        self.epochs.see(&entry);
        for (statement, verdict) in self.statements.iter().zip(&mut self.verdicts) {
            if statement.seq == place {
                let hash = Some(line.hash.as_bytes());
                // No epoch is the current one: a file knows those that its entries tell of.
                *verdict = Some(self.epochs.judge(statement, hash, place, &statement.epoch));
            }
        }
        self.entries += 1;
        self.first.get_or_insert(place);
        self.last = Some((place, line.hash));
        Ok(())
    }

    /// The end of the file.
    #[must_use]
    pub fn end(self) -> Holds {
        Holds {
            entries: self.entries,
            first: self.first,
            last: self.last.map(|(seq, _)| seq),
            gaps: self.gaps,
            verdicts: self.verdicts,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::Value;

    use super::*;
    use crate::domain::actor::{Actor, Role};
    use crate::domain::audit::AuditDraft;

    fn lines(length: u64) -> Vec<String> {
        let mut previous = String::new();
        let line = |seq: u64| {
            let draft = AuditDraft {
                at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
                actor: Actor {
                    subject: "änn \u{2028}".to_owned(),
                    role: Role::Admin,
                },
                action: "halt",
                route: None,
                environment: None,
                reason: "x".to_owned(),
                before: Value::Null,
                after: Value::Null,
            };
            let bytes = serde_json::to_vec(&AuditEntry::at_place(draft, seq)).unwrap();
            let hash = chain_hash(&previous, &bytes);
            let kept = Kept {
                entry: Some(bytes),
                hash: Some(hash.clone().into_bytes()),
                ..Kept::default()
            };
            let line = line(seq, previous.as_bytes(), &kept);
            previous = hash;
            line
        };
        (1..=length).map(line).collect()
    }

    fn read(lines: &[String], statements: Vec<Statement>) -> Result<Holds, BrokenChain> {
        let mut reading = Reading::new(statements);
        for line in lines {
            reading.step(line)?;
        }
        Ok(reading.end())
    }

    #[test]
    fn whole_files_and_parts_are_read() {
        let lines = lines(6);
        let whole = read(&lines, Vec::new()).unwrap();
        assert_eq!(
            (whole.entries, whole.first, whole.last, whole.gaps),
            (6, Some(1), Some(6), 0)
        );
        let part = read(&lines[2..5], Vec::new()).unwrap();
        assert_eq!((part.first, part.last, part.gaps), (Some(3), Some(5), 0));
        let gap = read(&[lines[0].clone(), lines[4].clone()], Vec::new()).unwrap();
        assert_eq!((gap.entries, gap.gaps), (2, 1));
        assert_eq!(read(&[], Vec::new()).unwrap().last, None);
    }

    #[test]
    fn any_byte_that_is_changed_shows() {
        let lines = lines(3);
        for position in 0..lines[1].len() {
            let mut bytes = lines[1].clone().into_bytes();
            bytes[position] = if bytes[position] == b'a' { b'b' } else { b'a' };
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let changed = [lines[0].clone(), changed, lines[2].clone()];
            assert!(
                read(&changed, Vec::new()).is_err(),
                "{position}: {}",
                changed[1]
            );
        }
        let swapped = [lines[1].clone(), lines[0].clone()];
        assert_eq!(read(&swapped, Vec::new()).unwrap_err().seq, 1);
    }

    #[test]
    fn a_statement_fits_or_does_not_or_lies_elsewhere() {
        let lines = lines(4);
        let parsed: Line = serde_json::from_str(&lines[2]).unwrap();
        let says = |seq, hash: &str| Statement {
            epoch: "a".to_owned(),
            seq,
            hash: hash.to_owned(),
            at: DateTime::from_timestamp(0, 0).unwrap(),
        };
        let statements = vec![says(3, &parsed.hash), says(2, &parsed.hash), says(9, "x")];
        let verdicts = read(&lines, statements).unwrap().verdicts;
        assert_eq!(verdicts[0], Some(Verdict::Fits));
        assert!(matches!(verdicts[1], Some(Verdict::Contradicts(_))));
        assert_eq!(verdicts[2], None);
    }
}
