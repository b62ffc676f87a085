//! The record: read, verified, and signed from time to time.

use std::cell::RefCell;
use std::sync::TryLockError;

use chrono::{DateTime, Utc};

use crate::domain::chain::BrokenChain;
use crate::domain::checkpoint::{Statement, Verdict, is_due};
use crate::service::{Answer, Ctx, Failure, Render, Services, epoch};
use crate::store::{AuditFilter, KeptCheckpoint, StoreError, StoredCheckpoint, StoredEntry, Tx};
use crate::token::{PublicKey, SignedStatement, TokenKeys};

/// The most statements that one verification looks for.
pub const MOST_GIVEN: usize = 100;

/// What a walk along the record has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many entries fit.
    pub entries: u64,
    /// The first place that does not fit.
    pub broken: Option<BrokenChain>,
    /// How many stored checkpoints fit.
    pub checkpoints: usize,
    /// What somebody should know of the stored checkpoints.
    pub notes: Vec<String>,
    /// How the checkpoints fit that the caller has kept; empty when the chain itself is broken.
    pub given: Vec<(SignedStatement, Verdict)>,
}

impl Services {
    /// The newest `limit` entries that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<StoredEntry>, Failure> {
        Ok(self.store.read(|tx| tx.audit_page(filter, limit))?)
    }

    /// Walks the whole chain and compares it with the stored checkpoints and with those that the
    /// caller has kept elsewhere. One walk at a time: it takes seconds of a connection and of a
    /// processor, and anybody may ask for it.
    ///
    /// # Errors
    /// When a given checkpoint is none or is signed wrongly, when a walk is under way, or when the
    /// database cannot be used.
    pub fn verify_audit(
        &self,
        keys: &TokenKeys,
        given: &[String],
    ) -> Result<Verification, Failure> {
        let key = keys.public();
        let given = read_given(given, &key)?;
        let _alone = match self.verifying.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::UnderWay("a verification of the audit chain"));
            }
        };
        self.store.read(|tx| {
            let mut found = Stored::read(&tx.kept_checkpoints()?, &key);
            let stored = found.statements.len();
            let mut statements = std::mem::take(&mut found.statements);
            statements.extend(given.iter().map(|given| given.statement.clone()));
            let walked = match tx.verify_audit(&statements)? {
                Ok(walked) => walked,
                Err(broken) => {
                    return Ok(Verification {
                        entries: broken.seq.saturating_sub(1),
                        broken: Some(broken),
                        checkpoints: 0,
                        notes: found.notes,
                        given: Vec::new(),
                    });
                }
            };
            let (of_stored, of_given) = walked.verdicts.split_at(stored);
            for (statement, verdict) in statements.iter().zip(&walked.verdicts) {
                if let Verdict::Contradicts(detail) = verdict {
                    let seq = statement.seq.min(walked.entries + 1);
                    found.broken(seq, detail.clone());
                }
            }
            for (statement, verdict) in statements.iter().zip(of_stored) {
                if let Verdict::Restored(detail) = verdict {
                    let note = format!("the checkpoint of entry {}: {detail}", statement.seq);
                    found.notes.push(note);
                }
            }
            let fits = of_stored
                .iter()
                .filter(|verdict| **verdict == Verdict::Fits);
            Ok(Verification {
                entries: walked.entries,
                checkpoints: fits.count(),
                broken: found.broken,
                notes: found.notes,
                given: given.into_iter().zip(of_given.to_vec()).collect(),
            })
        })
    }

    /// The newest `limit` checkpoints, of those before a place; newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn checkpoints(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredCheckpoint>, Failure> {
        Ok(self.store.read(|tx| tx.checkpoints_page(before, limit))?)
    }

    /// Signs the record as it is, unless nothing is new since the last checkpoint, which is the
    /// answer then.
    ///
    /// # Errors
    /// When nothing is on record yet.
    pub fn make_checkpoint(
        &self,
        ctx: &Ctx,
        keys: &TokenKeys,
        render: Render<'_, StoredCheckpoint>,
    ) -> Result<Answer, Failure> {
        let made = RefCell::new(None);
        let answer = self.change(ctx, render, |work| {
            let taken = take(work.tx, keys, work.now, |_, _| true)?;
            let (checkpoint, is_new) = taken.ok_or_else(|| {
                Failure::Conflict("nothing is on record yet, so there is nothing to sign".into())
            })?;
            made.replace(is_new.then(|| checkpoint.clone()));
            Ok(checkpoint)
        })?;
        announce(made.into_inner());
        Ok(answer)
    }

    /// Signs the record when that is due. Several nodes may try; one does.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn checkpoint_when_due(&self, keys: &TokenKeys) -> Result<(), Failure> {
        let now = self.now();
        let is_due = |last: Option<&StoredCheckpoint>, head: u64| {
            is_due(last.map(|last| (last.seq, last.at)), head, now)
        };
        let (last, head) = self.store.read_first::<_, StoreError>(|tx| {
            Ok((tx.checkpoints_page(None, 1)?.pop(), tx.audit_head()?.0))
        })?;
        if is_due(last.as_ref(), head) {
            self.checkpoint_if(keys, is_due)?;
        }
        Ok(())
    }

    /// Signs the record at a clean stop, when anything is new.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn checkpoint_at_stop(&self, keys: &TokenKeys) -> Result<(), Failure> {
        self.checkpoint_if(keys, |_, _| true)
    }

    fn checkpoint_if(
        &self,
        keys: &TokenKeys,
        wanted: impl Fn(Option<&StoredCheckpoint>, u64) -> bool,
    ) -> Result<(), Failure> {
        let now = self.now();
        let taken = self
            .store
            .write::<_, Failure>(|tx| take(tx, keys, now, wanted))?;
        announce(taken.and_then(|(checkpoint, is_new)| is_new.then_some(checkpoint)));
        Ok(())
    }
}

/// The checkpoint of the record's end: the last one when that says it all or no other is wanted, else
/// a new one. `None` while there is nothing to sign.
fn take(
    tx: &mut Tx<'_>,
    keys: &TokenKeys,
    now: DateTime<Utc>,
    wanted: impl Fn(Option<&StoredCheckpoint>, u64) -> bool,
) -> Result<Option<(StoredCheckpoint, bool)>, Failure> {
    // Under the lock, so that two nodes do not sign one after the other what one signature covers.
    let (seq, hash) = tx.lock_audit_head()?;
    let last = tx.checkpoints_page(None, 1)?.pop();
    let covered = last.as_ref().is_some_and(|last| last.seq >= seq);
    if seq == 0 || covered || !wanted(last.as_ref(), seq) {
        return Ok(last.map(|last| (last, false)));
    }
    let statement = Statement {
        epoch: epoch(tx)?,
        seq,
        hash,
        at: now,
    };
    let signed = keys
        .sign_statement(&statement)
        .map_err(|error| Failure::Store(StoreError::Unavailable(error.to_string())))?;
    let made = StoredCheckpoint {
        seq,
        hash: statement.hash,
        at: now,
        signed,
    };
    tx.add_checkpoint(&made)?;
    Ok(Some((made, true)))
}

/// A copy leaves the machine with the log.
fn announce(made: Option<StoredCheckpoint>) {
    if let Some(made) = made {
        tracing::info!(seq = made.seq, hash = %made.hash, checkpoint = %made.signed, "the record is signed");
    }
}

fn read_given(given: &[String], key: &PublicKey) -> Result<Vec<SignedStatement>, Failure> {
    if given.len() > MOST_GIVEN {
        let detail =
            format!("must be at most {MOST_GIVEN}: the newest says what those before it say");
        return Err(Failure::invalid("checkpoints", detail));
    }
    let read = given.iter().enumerate().map(|(index, signed)| {
        SignedStatement::read(signed.trim(), Some(key))
            .map_err(|error| Failure::invalid(format!("checkpoints[{index}]"), error.to_string()))
    });
    read.collect()
}

/// The stored checkpoints: what they say, and what is wrong with them.
#[derive(Default)]
struct Stored {
    statements: Vec<Statement>,
    broken: Option<BrokenChain>,
    notes: Vec<String>,
}

impl Stored {
    fn read(kept: &[KeptCheckpoint], key: &PublicKey) -> Stored {
        let mut stored = Stored::default();
        for checkpoint in kept {
            let seq = checkpoint.seq.unwrap_or_default();
            match SignedStatement::read(&checkpoint.signed, Some(key)) {
                Err(error) => {
                    stored.broken(
                        seq,
                        format!("the stored checkpoint of entry {seq}: {error}"),
                    );
                }
                Ok(read) if !checkpoint.fits(&read.statement) => {
                    let detail = "says other than what is signed in it";
                    let seq = read.statement.seq;
                    stored.broken(
                        seq,
                        format!("the stored checkpoint of entry {seq} {detail}"),
                    );
                }
                Ok(read) => {
                    if !read.checked {
                        stored.notes.push(format!(
                            "the checkpoint of entry {seq} is signed with the key {}, which this \
                             server does not have: its signature was not checked",
                            read.key
                        ));
                    }
                    stored.statements.push(read.statement);
                }
            }
        }
        stored
    }

    /// Keeps the first place that is broken.
    fn broken(&mut self, seq: u64, detail: String) {
        if self.broken.as_ref().is_none_or(|first| seq < first.seq) {
            self.broken = Some(BrokenChain { seq, detail });
        }
    }
}
