//! Whether the record is whole: each entry against the one before it, against what stands beside it,
//! and against the signed statements of earlier days.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::audit::{AuditEntry, chain_hash};
use crate::domain::checkpoint::{Epochs, Statement, Verdict};

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenChain {
    /// The first place that does not fit.
    pub seq: u64,
    /// In what way.
    pub detail: String,
}

/// An entry as it is kept, byte for byte, whatever somebody has made of it; `None` is no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns, as the entry has them")]
pub struct Kept {
    pub seq: Option<Vec<u8>>,
    pub at: Option<Vec<u8>>,
    pub subject: Option<Vec<u8>>,
    pub action: Option<Vec<u8>>,
    pub route: Option<Vec<u8>>,
    pub environment: Option<Vec<u8>>,
    /// The canonical bytes.
    pub entry: Option<Vec<u8>>,
    /// What seals them.
    pub hash: Option<Vec<u8>>,
}

/// A walk along the chain, from its beginning.
pub struct Walk<'a> {
    /// How the engine writes a moment.
    written: fn(&DateTime<Utc>) -> String,
    statements: &'a [Statement],
    seen: u64,
    hash: Vec<u8>,
    epochs: Epochs,
    /// The hash that the chain has, at the places of which the statements speak.
    hashes: BTreeMap<u64, Option<Vec<u8>>>,
}

/// What a walk to the end has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// How many entries there are.
    pub entries: u64,
    /// By statement: how it fits.
    pub verdicts: Vec<Verdict>,
}

impl<'a> Walk<'a> {
    /// A walk that also looks for what these statements say.
    #[must_use]
    pub fn new(written: fn(&DateTime<Utc>) -> String, statements: &'a [Statement]) -> Walk<'a> {
        Walk {
            written,
            statements,
            seen: 0,
            hash: Vec::new(),
            epochs: Epochs::default(),
            hashes: statements.iter().map(|said| (said.seq, None)).collect(),
        }
    }

    /// How many entries have fitted.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The next entry that is kept.
    ///
    /// # Errors
    /// When it does not fit: the place, and in what way.
    pub fn step(&mut self, kept: &Kept) -> Result<(), BrokenChain> {
        let place = self.seen + 1;
        let entry = self
            .fitting(place, kept)
            .map_err(|(seq, detail)| BrokenChain { seq, detail })?;
        self.hash = kept.hash.clone().unwrap_or_default();
        self.seen = place;
        self.epochs.see(&entry);
        if let Some(hash) = self.hashes.get_mut(&place) {
            *hash = Some(self.hash.clone());
        }
        Ok(())
    }

    /// The end: what the head of the chain says, and the epoch that the database is in.
    ///
    /// # Errors
    /// When the head names another last entry.
    pub fn end(self, head: Option<(&[u8], &[u8])>, epoch: &str) -> Result<Walked, BrokenChain> {
        let broken = |detail: String| {
            Err(BrokenChain {
                seq: self.seen + 1,
                detail,
            })
        };
        let last = self.seen.to_string();
        match head {
            None => return broken("the head of the chain is missing".to_owned()),
            Some((seq, _)) if seq != last.as_bytes() => {
                let seq = shown(Some(seq));
                return broken(format!(
                    "the chain ends at {last}, but its head says {seq}: entries are missing, or \
                     the head was changed"
                ));
            }
            Some((_, hash)) if hash != self.hash => {
                return broken(format!(
                    "the head of the chain has another hash than its last entry, {last}"
                ));
            }
            Some(_) => {}
        }
        let verdicts = self.statements.iter().map(|statement| {
            let hash = self.hashes.get(&statement.seq).and_then(Option::as_deref);
            self.epochs.judge(statement, hash, self.seen, epoch)
        });
        let verdicts = verdicts.collect();
        Ok(Walked {
            entries: self.seen,
            verdicts,
        })
    }

    fn fitting(&self, place: u64, kept: &Kept) -> Result<AuditEntry, (u64, String)> {
        let bytes = kept.entry.as_deref().unwrap_or_default();
        let entry: Option<AuditEntry> = serde_json::from_slice(bytes).ok();
        if kept.seq.as_deref() != Some(place.to_string().as_bytes()) {
            let stands = shown(kept.seq.as_deref());
            let says = entry.map(|entry| entry.seq);
            // An entry that was moved to before the first one is the one that is broken.
            let is_early =
                stands.parse::<u64>().is_ok_and(|seq| seq < place) || stands.starts_with('-');
            return Err(match says {
                Some(says) if is_early => (says, format!("entry {says} stands at {stands}")),
                _ => (
                    place,
                    format!(
                        "entry {place} is missing: after {} comes {stands}",
                        self.seen
                    ),
                ),
            });
        }
        let here = |detail: String| Err((place, detail));
        let hash = chain_hash(&self.hash, bytes);
        if kept.hash.as_deref() != Some(hash.as_bytes()) {
            return here(match entry {
                Some(entry) if entry.seq != place => {
                    format!("what stands here says that it is entry {}", entry.seq)
                }
                _ => "the entry or its hash was changed".to_owned(),
            });
        }
        let Some(entry) = entry else {
            return here("this is no entry".to_owned());
        };
        if entry.seq != place {
            return here(format!(
                "what stands here says that it is entry {}",
                entry.seq
            ));
        }
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let columns = [
            ("at", &kept.at, text(&(self.written)(&entry.at))),
            ("subject", &kept.subject, text(&entry.actor.subject)),
            ("action", &kept.action, text(&entry.action)),
            ("route", &kept.route, entry.route.as_deref().and_then(text)),
            (
                "environment",
                &kept.environment,
                entry.environment.as_deref().and_then(text),
            ),
        ];
        for (name, kept, says) in columns {
            if *kept != says {
                return here(format!(
                    "the column `{name}` was changed: it has {}, and the entry says {}",
                    shown(kept.as_deref()),
                    shown(says.as_deref())
                ));
            }
        }
        Ok(entry)
    }
}

/// A value for a message: printable, and not too long.
fn shown(value: Option<&[u8]>) -> String {
    let Some(bytes) = value else {
        return "nothing".to_owned();
    };
    let text = String::from_utf8_lossy(bytes);
    let safe = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    safe.take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::actor::{Actor, Role};
    use crate::domain::audit::AuditDraft;

    fn written(at: &DateTime<Utc>) -> String {
        at.to_rfc3339()
    }

    /// A chain of so many entries; those at these places begin an epoch.
    fn chain(length: u64, epochs: &[(u64, &str, &str)]) -> Vec<Kept> {
        let mut previous = Vec::new();
        (1..=length)
            .map(|seq| {
                let epoch = epochs.iter().find(|(at, ..)| *at == seq);
                let state =
                    |epoch: Option<&str>| epoch.map_or(Value::Null, |e| json!({ "epoch": e }));
                let draft = AuditDraft {
                    at: DateTime::from_timestamp(1_700_000_000 + i64::try_from(seq).unwrap(), 0)
                        .unwrap(),
                    actor: Actor {
                        subject: "ann".to_owned(),
                        role: Role::Admin,
                    },
                    action: if epoch.is_some() { "new_epoch" } else { "halt" },
                    route: (seq % 2 == 0).then(|| "r".to_owned()),
                    environment: None,
                    reason: "x".to_owned(),
                    before: state(epoch.map(|(_, before, _)| *before)),
                    after: state(epoch.map(|(.., after)| *after)),
                };
                let entry = AuditEntry::at_place(draft, seq);
                let bytes = serde_json::to_vec(&entry).unwrap();
                let hash = chain_hash(&previous, &bytes).into_bytes();
                previous.clone_from(&hash);
                let text = |text: &str| Some(text.as_bytes().to_vec());
                Kept {
                    seq: text(&seq.to_string()),
                    at: text(&written(&entry.at)),
                    subject: text(&entry.actor.subject),
                    action: text(&entry.action),
                    route: entry.route.as_deref().and_then(text),
                    environment: None,
                    entry: Some(bytes),
                    hash: Some(hash),
                }
            })
            .collect()
    }

    fn walk(chain: &[Kept], statements: &[Statement], epoch: &str) -> Result<Walked, BrokenChain> {
        let mut walk = Walk::new(written, statements);
        for kept in chain {
            walk.step(kept)?;
        }
        let head = chain.last().unwrap();
        let (seq, hash) = (head.seq.clone().unwrap(), head.hash.clone().unwrap());
        walk.end(Some((&seq, &hash)), epoch)
    }

    fn statement(epoch: &str, chain: &[Kept], seq: u64) -> Statement {
        let kept = &chain[usize::try_from(seq).unwrap() - 1];
        Statement {
            epoch: epoch.to_owned(),
            seq,
            hash: String::from_utf8(kept.hash.clone().unwrap()).unwrap(),
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn what_was_done_to_the_chain_is_named() {
        let whole = chain(6, &[]);
        assert_eq!(walk(&whole, &[], "a").unwrap().entries, 6);
        let broken = |chain: &[Kept]| {
            let broken = walk(chain, &[], "a").unwrap_err();
            (broken.seq, broken.detail)
        };
        let mut missing = whole.clone();
        missing.remove(2);
        assert_eq!(
            broken(&missing),
            (3, "entry 3 is missing: after 2 comes 4".to_owned())
        );
        let mut swapped = whole.clone();
        swapped.swap(2, 3);
        (swapped[2].seq, swapped[3].seq) = (whole[2].seq.clone(), whole[3].seq.clone());
        assert_eq!(
            broken(&swapped),
            (3, "what stands here says that it is entry 4".to_owned())
        );
        let mut twice = whole.clone();
        twice[4] = Kept {
            seq: whole[4].seq.clone(),
            ..whole[3].clone()
        };
        assert_eq!(broken(&twice).0, 5);
        let mut early = whole.clone();
        early[3].seq = Some(b"-4".to_vec());
        early.sort_by_key(|kept| {
            String::from_utf8(kept.seq.clone().unwrap())
                .unwrap()
                .parse::<i64>()
                .unwrap()
        });
        assert_eq!(broken(&early), (4, "entry 4 stands at -4".to_owned()));

        let mut walk = Walk::new(written, &[]);
        for kept in &whole[..4] {
            walk.step(kept).unwrap();
        }
        let cut = walk.end(Some((b"6", b"x")), "a").unwrap_err();
        assert_eq!(cut.seq, 5);
        assert!(
            cut.detail.contains("ends at 4, but its head says 6"),
            "{}",
            cut.detail
        );
    }

    #[test]
    fn a_statement_outlives_the_end_that_was_cut_off() {
        let whole = chain(9, &[]);
        let says = [statement("a", &whole, 4), statement("a", &whole, 9)];
        let verdicts = walk(&whole, &says, "a").unwrap().verdicts;
        assert_eq!(verdicts, [Verdict::Fits, Verdict::Fits]);
        let verdicts = walk(&whole[..7], &says, "a").unwrap().verdicts;
        assert_eq!(verdicts[0], Verdict::Fits);
        let Verdict::Contradicts(detail) = &verdicts[1] else {
            panic!("{verdicts:?}")
        };
        assert_eq!(
            detail,
            "the chain ends at 7, but a signed checkpoint says 9"
        );
        let other = Statement {
            hash: "0".repeat(64),
            ..says[0].clone()
        };
        assert!(matches!(
            walk(&whole, &[other], "a").unwrap().verdicts[0],
            Verdict::Contradicts(_)
        ));
    }

    #[test]
    fn a_restore_is_called_a_restore() {
        let before = chain(9, &[]);
        let after = chain(12, &[(6, "a", "b")]);
        let says = [
            statement("a", &before, 5),
            statement("a", &before, 9),
            statement("b", &after, 8),
            statement("c", &before, 7),
        ];
        let verdicts = walk(&after, &says, "b").unwrap().verdicts;
        assert_eq!(
            (&verdicts[0], &verdicts[2]),
            (&Verdict::Fits, &Verdict::Fits)
        );
        let Verdict::Restored(detail) = &verdicts[1] else {
            panic!("{verdicts:?}")
        };
        assert!(
            detail.contains("of epoch a, which ended at entry 5"),
            "{detail}"
        );
        assert!(detail.contains("6 to 9"), "{detail}");
        assert!(matches!(&verdicts[3], Verdict::Restored(_)), "{verdicts:?}");
        // Without a restore on record, an epoch that nobody knows explains nothing.
        let foreign = walk(&before, &[says[3].clone(), statement("z", &after, 12)], "a").unwrap();
        assert_eq!(foreign.verdicts[0], Verdict::Fits);
        assert!(matches!(&foreign.verdicts[1], Verdict::Contradicts(_)));
    }
}
