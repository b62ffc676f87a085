//! What came of the story, for programs and for people.

use std::fmt;

use serde::Serialize;

use crate::ledger::Verdict;

/// What came of the story.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// How long it took, in seconds.
    pub seconds: u64,
    /// How many days passed in it.
    pub days: u64,
    /// How many times faster than life it went.
    pub compression: u64,
    /// Writes that were acknowledged, also those from before the migration.
    pub acknowledged: u64,
    /// Writes that failed: nobody knows whether they happened.
    pub failed_writes: u64,
    /// Writes that gave up because their key was moving; nothing was written.
    pub gave_up: u64,
    /// Reads.
    pub reads: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Keys that the backfill looked at.
    pub backfilled: u64,
    /// Keys that could not be copied while the new store was down, and were repaired.
    pub repaired: usize,
    /// The longest write in each part of the story, in milliseconds.
    pub longest_writes_ms: Vec<(String, u64)>,
    /// What guards did about each fault.
    pub guards: Vec<String>,
    /// The old store against the writes, when it was last written.
    pub old: Verdict,
    /// The new store against the writes at that moment: nobody wrote while both were read.
    pub new: Verdict,
    /// Whether the two had the same rows then.
    pub are_equal: bool,
    /// The new store against the writes at the end.
    pub at_the_end: Verdict,
}

impl Summary {
    /// Whether nothing was lost, nothing is wrong and nothing is too many.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.are_equal
            && [self.old, self.new, self.at_the_end]
                .iter()
                .all(Verdict::is_good)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            days,
            seconds,
            compression,
            acknowledged,
            ..
        } = self;
        writeln!(
            f,
            "{days} days in {seconds} s: {compression} times faster than life"
        )?;
        writeln!(
            f,
            "{acknowledged} writes acknowledged, {} failed, {} gave up while their key moved; {} reads, \
             {} failed",
            self.failed_writes, self.gave_up, self.reads, self.failed_reads
        )?;
        let verdicts = [
            ("old store before it was switched off", self.old),
            ("new store at that moment", self.new),
            ("new store at the end", self.at_the_end),
        ];
        for (what, verdict) in verdicts {
            let Verdict {
                rows,
                lost,
                wrong,
                extra,
            } = verdict;
            writeln!(
                f,
                "{what}: {rows} rows: {lost} lost, {wrong} wrong, {extra} extra"
            )?;
        }
        f.write_str(match self.are_equal {
            true => "row by row both stores were the same",
            false => "the two stores were NOT the same",
        })
    }
}
