//! The repairs of one data route in one process: what is to be copied again, when, and what the server
//! has heard of it. Pure: the clock and the chance are given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::decide::Path;
use crate::spool::form::Kept;
use crate::writers::{Cause, Repair, RepairState, Step};

/// The upper end of the first wait after a failed attempt.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The upper end of any such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How soon it is looked at again whether copies are made again.
const NOT_NOW: Duration = Duration::from_secs(5);
/// How soon rows are looked at again that differ, and how often they must in a row: a copy by another
/// process may be under way.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const MOST_LOOKS: u32 = 4;
/// After so many attempts a repair is given up.
const MOST_ATTEMPTS: u32 = 20;

#[derive(Debug)]
pub(crate) struct Repairs {
    /// Whether there is a server that hears of them.
    is_heard: bool,
    entries: BTreeMap<String, Entry>,
    /// Counts what happens, so that a copy is known to be younger than a repair or not.
    events: u64,
    /// When the first change came that the server does not know.
    untold_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    due: Instant,
    is_running: bool,
    /// How often in a row its rows were seen to differ.
    differed: u32,
    /// The event that made the repair, or made it anew.
    since: u64,
    /// Which change of it the last one is, and which one the server knows.
    change: u64,
    told: Option<u64>,
}

/// A repair that is to be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) key: String,
    /// The side that was written.
    pub(crate) written: Path,
    pub(crate) cause: Cause,
    pub(crate) began: u64,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    Equal,
    Differ,
    Failed(Option<Step>),
    /// They may be about to become equal.
    Soon,
    /// It was not tried: nothing may be copied at the moment.
    NotNow,
}

impl Repairs {
    pub(crate) fn new(is_heard: bool) -> Repairs {
        Repairs {
            is_heard,
            entries: BTreeMap::new(),
            events: 0,
            untold_since: None,
        }
    }

    /// The present event, for what begins now.
    pub(crate) fn now(&self) -> u64 {
        self.events
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A repair more, or another reason for one there is. Gives it as it is to be kept.
    pub(crate) fn add(&mut self, kept: Kept, now: Instant) -> Kept {
        let is_over = kept.state == RepairState::Resolved && !self.is_heard;
        if is_over && !self.entries.contains_key(&kept.key) {
            return kept;
        }
        self.events += 1;
        let since = self.events;
        self.untold_since.get_or_insert(now);
        let entry = self.entries.entry(kept.key.clone()).or_insert(Entry {
            kept: kept.clone(),
            due: now + FIRST_RETRY,
            is_running: false,
            differed: 0,
            since,
            change: since,
            told: None,
        });
        let before = entry.kept.clone();
        let is_given_up = before.state == RepairState::Failed;
        entry.kept = Kept {
            // A person decides about it, whatever was written since.
            state: match before.state {
                RepairState::Conflict => RepairState::Conflict,
                _ => kept.state,
            },
            attempts: match is_given_up {
                true => 0,
                false => before.attempts.max(kept.attempts),
            },
            ..kept
        };
        if is_given_up {
            entry.due = now + FIRST_RETRY;
        }
        entry.since = since;
        entry.differed = 0;
        entry.change = since;
        entry.kept.clone()
    }

    /// Keys whose authority moved without waiting for what was open: each is at risk, whatever the
    /// reason was before. Gives what is changed by that.
    pub(crate) fn list_moved(&mut self, path: impl Fn(&str) -> Path, now: Instant) -> Vec<Kept> {
        let mut changed = Vec::new();
        let mut events = self.events;
        for (key, entry) in &mut self.entries {
            let is_open = matches!(entry.kept.state, RepairState::Open | RepairState::Failed);
            if is_open && path(key) != entry.kept.written {
                entry.kept.cause = Cause::AtRisk;
                entry.kept.state = RepairState::Open;
                entry.due = now;
                // The server hears of it, also where the rows turn out to be equal.
                entry.told.get_or_insert(0);
                events += 1;
                entry.change = events;
                changed.push(entry.kept.clone());
            }
        }
        self.events = events;
        if !changed.is_empty() {
            self.untold_since.get_or_insert(now);
        }
        changed
    }

    /// A repair that somebody else has told the server of.
    pub(crate) fn adopt(&mut self, kept: Kept, now: Instant) {
        let key = kept.key.clone();
        self.add(kept, now);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.told.get_or_insert(0);
            entry.due = now;
        }
    }

    /// Has a repair tried at once, also one that was given up.
    pub(crate) fn retry(&mut self, key: &str, now: Instant) -> Option<Kept> {
        self.events += 1;
        let change = self.events;
        let entry = self.entries.get_mut(key)?;
        entry.kept.state = RepairState::Open;
        entry.kept.attempts = 0;
        entry.due = now;
        entry.change = change;
        Some(entry.kept.clone())
    }

    /// Has those tried at once that are open and for which this holds.
    pub(crate) fn hasten(&mut self, now: Instant, is_meant: impl Fn(&str) -> bool) {
        for entry in self.entries.values_mut() {
            if entry.kept.state == RepairState::Open && is_meant(&entry.kept.key) {
                entry.due = entry.due.min(now);
            }
        }
    }

    /// The next one that is to be tried.
    pub(crate) fn begin_next(&mut self, now: Instant) -> Option<Attempt> {
        let events = self.events;
        let due = self.entries.values_mut().filter(|entry| entry.is_waiting());
        let next = due
            .filter(|entry| entry.due <= now)
            .min_by_key(|entry| entry.due)?;
        next.is_running = true;
        Some(Attempt {
            key: next.kept.key.clone(),
            written: next.kept.written,
            cause: next.kept.cause,
            began: events,
        })
    }

    /// When the next one is to be tried.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| entry.is_waiting());
        waiting.map(|entry| entry.due).min()
    }

    /// What came of an attempt; the chance is from 0 to 1. Gives the repair as it is to be kept; `None`
    /// where there is none any more.
    pub(crate) fn tried(
        &mut self,
        attempt: &Attempt,
        came: Tried,
        now: Instant,
        chance: f64,
    ) -> Option<Kept> {
        self.events += 1;
        let change = self.events;
        let entry = self.entries.get_mut(&attempt.key)?;
        entry.is_running = false;
        if entry.kept.state != RepairState::Open {
            return Some(entry.kept.clone());
        }
        match came {
            Tried::NotNow => {
                entry.due = now + NOT_NOW;
                return Some(entry.kept.clone());
            }
            // Something was written after this looked.
            Tried::Equal | Tried::Differ if entry.since > attempt.began => {
                entry.due = now;
                return Some(entry.kept.clone());
            }
            Tried::Equal => {
                self.resolve(&attempt.key, attempt.began, now);
                return None;
            }
            Tried::Soon => {
                entry.due = now + LOOK_AGAIN;
                return Some(entry.kept.clone());
            }
            Tried::Differ => {
                entry.differed += 1;
                if entry.differed < MOST_LOOKS {
                    entry.due = now + LOOK_AGAIN;
                    return Some(entry.kept.clone());
                }
                entry.kept.state = RepairState::Conflict;
            }
            Tried::Failed(step) => {
                entry.kept.attempts += 1;
                entry.kept.failed_at = step;
                if entry.kept.attempts >= MOST_ATTEMPTS {
                    entry.kept.state = RepairState::Failed;
                }
                entry.due = now + wait_after(entry.kept.attempts).mul_f64(0.5 + chance / 2.0);
            }
        }
        entry.change = change;
        self.untold_since.get_or_insert(now);
        Some(entry.kept.clone())
    }

    /// A copy that began at this event has made the rows of a key equal. Says whether that ends a
    /// repair.
    pub(crate) fn resolve(&mut self, key: &str, began: u64, now: Instant) -> bool {
        self.events += 1;
        let change = self.events;
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let is_open = matches!(entry.kept.state, RepairState::Open | RepairState::Failed);
        if !is_open || entry.since > began {
            return false;
        }
        // What a process wrote that was cut off, and nobody was told of, was well all the time.
        if entry.told.is_none() || !self.is_heard {
            self.entries.remove(key);
            return true;
        }
        entry.kept.state = RepairState::Resolved;
        entry.change = change;
        self.untold_since.get_or_insert(now);
        true
    }

    /// Ends a repair that a person has settled; not one of which something is younger than what the
    /// server knows.
    pub(crate) fn settle(&mut self, key: &str) -> bool {
        let is_known = self
            .entries
            .get(key)
            .is_some_and(|entry| !entry.is_untold());
        is_known && self.entries.remove(key).is_some()
    }

    /// The keys whose rows may differ.
    pub(crate) fn unequal(&self) -> impl Iterator<Item = &Kept> {
        let all = self.entries.values().map(|entry| &entry.kept);
        all.filter(|kept| kept.state != RepairState::Resolved)
    }

    /// Since when there is something that the server does not know.
    pub(crate) fn untold_since(&self) -> Option<Instant> {
        self.untold_since
    }

    /// What the server does not know, each with its change; at most so many, with so many bytes of
    /// keys. From then on it may know of them, whether it answers or not.
    pub(crate) fn tell(&mut self, (most, bytes): (usize, usize)) -> Vec<(u64, Kept)> {
        let mut left = bytes;
        let untold = self.entries.values_mut().filter(|entry| entry.is_untold());
        let fits = |entry: &&mut Entry| match left.checked_sub(entry.kept.key.len()) {
            Some(less) => {
                left = less;
                true
            }
            None => false,
        };
        let untold = untold.take(most).take_while(fits);
        let tell = |entry: &mut Entry| {
            entry.told.get_or_insert(0);
            (entry.change, entry.kept.clone())
        };
        untold.map(tell).collect()
    }

    /// The server knows these.
    pub(crate) fn told(&mut self, known: &[(u64, Kept)], now: Instant) {
        for (change, kept) in known {
            if let Some(entry) = self.entries.get_mut(&kept.key) {
                entry.told = Some(*change);
                if entry.kept.state == RepairState::Resolved && entry.change == *change {
                    self.entries.remove(&kept.key);
                }
            }
        }
        let is_all_told = !self.entries.values().any(Entry::is_untold);
        self.untold_since = (!is_all_told).then_some(now);
    }
}

impl Entry {
    fn is_waiting(&self) -> bool {
        self.kept.state == RepairState::Open && !self.is_running
    }

    fn is_untold(&self) -> bool {
        self.told != Some(self.change)
    }
}

impl Kept {
    /// As the server hears of it.
    pub(crate) fn as_repair(&self, now_ms: u64) -> Repair {
        Repair {
            key: self.key.clone(),
            written: self.written,
            generation: self.generation,
            cause: self.cause,
            state: self.state,
            attempts: self.attempts,
            failed_at: self.failed_at,
            age_ms: now_ms.saturating_sub(self.at_ms),
        }
    }

    /// As the server tells of it.
    pub(crate) fn from_repair(repair: Repair, now_ms: u64) -> Kept {
        Kept {
            key: repair.key,
            written: repair.written,
            generation: repair.generation,
            cause: repair.cause,
            state: RepairState::Open,
            attempts: 0,
            failed_at: repair.failed_at,
            at_ms: now_ms.saturating_sub(repair.age_ms),
        }
    }

    /// A write whose copy did not end well.
    pub(crate) fn new(key: &str, written: Path, generation: u64, cause: Cause) -> Kept {
        Kept {
            key: key.to_owned(),
            written,
            generation,
            cause,
            state: RepairState::Open,
            attempts: 0,
            failed_at: None,
            at_ms: u64::MAX,
        }
    }
}

/// The upper end of the wait after so many attempts.
fn wait_after(attempts: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1));
    let factor = doubled.filter(|_| attempts <= 16).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests;
