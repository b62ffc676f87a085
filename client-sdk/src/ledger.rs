//! What was counted, and how much of it has been put into reports.
//!
//! Counters only rise, and each route has an account of how much of them is booked; a report is the
//! difference. So what is counted while the server is away costs no memory, and nothing is lost or
//! counted twice. What was counted under one form of a rollout and under the next is kept apart by a
//! cut: a difference that is booked, but not yet reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::decide::Path;
use crate::latency::Latency;
use crate::report::{MOST_LIMITS, Role, RouteCounts, Slow};
use crate::rollout::RouteKey;
use crate::slot::Slot;
use crate::state::State;
use crate::totals::{Booked, Counted, Totals};

/// Cuts that one route may have waiting.
const MOST_CUTS: usize = 8;
/// Buckets of latencies that a route's cuts may have in all.
const MOST_CUT_BUCKETS: usize = 256;
/// What an account takes, but for the latencies that are booked.
pub(crate) const ACCOUNT_BYTES: usize = size_of::<Account>()
    + MOST_CUTS * size_of::<Cut>()
    + MOST_CUT_BUCKETS * size_of::<(u16, u64)>();

const PATHS: [Path; 2] = [Path::Old, Path::New];

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: BTreeMap<RouteKey, Account>,
    /// When a snapshot was last applied.
    changed: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    slot: Arc<Slot>,
    /// The form of the rollout under which the calls were made that are not booked yet.
    form: Form,
    booked: [Booked; 2],
    cuts: Vec<Cut>,
    /// The present form, where there was no room for a cut before it.
    next: Option<Form>,
}

/// One form of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Form {
    /// The snapshot's revision with which it came; 0 without one.
    revision: u64,
    /// Longer calls are slow, in milliseconds.
    limits: Vec<u32>,
}

#[derive(Debug)]
struct Cut {
    form: Form,
    counted: [Counted; 2],
}

impl Ledger {
    /// With an account for each of these routes, in which all that was counted so far is booked: a
    /// forked child reports nothing that its parent does.
    pub(crate) fn of<'a>(slots: impl Iterator<Item = &'a Arc<Slot>>, state: &State) -> Ledger {
        let mut ledger = Ledger::default();
        for slot in slots {
            ledger.open(slot, state);
        }
        ledger
    }

    /// Opens the account of a route that has none. A key that no route can have has none ever.
    pub(crate) fn open(&mut self, slot: &Arc<Slot>, state: &State) {
        let Ok(route) = slot.key().parse::<RouteKey>() else {
            return;
        };
        self.accounts.entry(route).or_insert_with(|| {
            let mut account = Account {
                slot: Arc::clone(slot),
                form: Form::default(),
                booked: Default::default(),
                cuts: Vec::new(),
                next: None,
            };
            slot.counters().disown_open_calls();
            if let Some(totals) = slot.counters().totals() {
                account.counted(&totals);
            }
            account.set_form(Form::of(slot.key(), state));
            account
        });
    }

    /// Cuts what was counted of the routes that a snapshot changes, which is about to be applied.
    pub(crate) fn change(&mut self, before: &State, after: &State) {
        let is_new = before.lineage() != after.lineage();
        for (route, account) in &mut self.accounts {
            if is_new {
                account.forget_revisions();
            }
            if is_new || after.differs_about(before, route.as_str()) {
                account.cut(Form::of(route.as_str(), after));
            }
        }
        self.changed = Some(Instant::now());
    }

    /// When a snapshot was last applied.
    pub(crate) fn changed(&self) -> Option<Instant> {
        self.changed
    }

    /// What is to be reported; it counts as reported from now on.
    pub(crate) fn collect(&mut self) -> Vec<RouteCounts> {
        let mut rows = Vec::new();
        for (route, account) in &mut self.accounts {
            for Cut { form, counted } in account.collect() {
                for (path, counted) in PATHS.into_iter().zip(counted) {
                    if !counted.is_nothing() {
                        rows.push(row(route, path, &form, counted));
                    }
                }
            }
        }
        rows
    }
}

impl Account {
    fn set_form(&mut self, form: Form) {
        if form.limits != self.form.limits {
            self.slot.counters().set_slow_limits(&form.limits);
            self.booked.iter_mut().for_each(Booked::forget_early);
        }
        self.form = form;
    }

    /// What was counted since the last time.
    fn counted(&mut self, totals: &[Totals; 2]) -> [Counted; 2] {
        let ([old, new], [old_now, new_now]) = (&mut self.booked, totals);
        [old.take(old_now), new.take(new_now)]
    }

    /// Revisions of another epoch say nothing in this one: what waits was counted under revision 0.
    fn forget_revisions(&mut self) {
        self.form.revision = 0;
        let mut merged: Option<Cut> = None;
        for mut cut in std::mem::take(&mut self.cuts) {
            cut.form.revision = 0;
            match &mut merged {
                None => merged = Some(cut),
                Some(merged) => merged.merge(&cut),
            }
        }
        self.cuts.extend(merged);
    }

    /// Keeps what was counted so far apart from what is counted from now on.
    ///
    /// Where too much waits already, the old form goes on until the next report: what is judged by
    /// the new form must not come from the old one.
    fn cut(&mut self, form: Form) {
        let Some(totals) = self.slot.counters().totals() else {
            self.next = Some(form);
            return;
        };
        let waiting: usize = self.cuts.iter().map(Cut::buckets).sum();
        let more: usize = self
            .booked
            .iter()
            .zip(&totals)
            .map(|(b, t)| b.buckets_to_take(&t.stats.latency))
            .sum();
        let is_full = self.cuts.len() >= MOST_CUTS || waiting + more > MOST_CUT_BUCKETS;
        if is_full || self.next.is_some() {
            self.next = Some(form);
            return;
        }
        self.keep(&totals);
        self.set_form(form);
    }

    fn keep(&mut self, totals: &[Totals; 2]) {
        let counted = self.counted(totals);
        if counted.iter().all(Counted::is_nothing) {
            return;
        }
        let cut = Cut {
            form: self.form.clone(),
            counted,
        };
        match self.cuts.last_mut() {
            Some(last) if last.form.revision == cut.form.revision => last.merge(&cut),
            _ => self.cuts.push(cut),
        }
    }

    /// All that waits; nothing where it cannot be had at the moment.
    fn collect(&mut self) -> Vec<Cut> {
        let Some(totals) = self.slot.counters().totals() else {
            return Vec::new();
        };
        self.keep(&totals);
        if let Some(form) = self.next.take() {
            self.set_form(form);
        }
        std::mem::take(&mut self.cuts)
    }
}

impl Form {
    fn of(route: &str, state: &State) -> Form {
        let limits = state.watch(route).map(|watch| watch.slow_ms.as_slice());
        let limits = limits.unwrap_or_default().iter().take(MOST_LIMITS);
        Form {
            revision: state.revision(),
            limits: limits.copied().collect(),
        }
    }
}

impl Cut {
    fn buckets(&self) -> usize {
        self.counted.iter().map(|path| path.latency.len()).sum()
    }

    /// Of the same revision, though perhaps with other limits.
    fn merge(&mut self, other: &Cut) {
        let has_same_limits = self.form.limits == other.form.limits;
        for (mine, theirs) in self.counted.iter_mut().zip(&other.counted) {
            mine.merge(theirs, has_same_limits);
        }
        if !has_same_limits {
            self.form.limits.clear();
        }
    }
}

fn row(route: &RouteKey, path: Path, form: &Form, counted: Counted) -> RouteCounts {
    let slow = form.limits.iter().zip(&counted.slow);
    let slow = slow.map(|(limit_ms, slow)| Slow {
        limit_ms: *limit_ms,
        trials: slow.trials,
        violations: slow.violations,
    });
    let mut latency = Latency::default();
    for (bucket, count) in &counted.latency {
        latency.add(*bucket, *count);
    }
    RouteCounts {
        route: route.clone(),
        path,
        role: Role::Authoritative,
        revision: form.revision,
        calls: counted.calls(),
        errors: counted.errors,
        panics: counted.panics,
        cancelled: counted.cancelled,
        comparisons: 0,
        mismatches: 0,
        ramp: counted.ramp,
        slow: slow.collect(),
        latency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Found;

    fn state() -> State {
        State::new(Found::default(), None, Arc::default())
    }

    #[test]
    fn revisions_of_another_epoch_are_told_as_none() {
        let slot = Arc::new(Slot::new("blame"));
        let mut ledger = Ledger::default();
        ledger.open(&slot, &state());
        let account = ledger.accounts.values_mut().next().unwrap();
        let form = |revision, limits: &[u32]| Form {
            revision,
            limits: limits.to_vec(),
        };
        for (revision, limit) in [(7, 10), (8, 20)] {
            slot.counters().add_many(Path::New, 9, 1);
            account.cut(form(revision, &[limit]));
        }
        slot.counters().add_many(Path::New, 9, 1);
        account.forget_revisions();
        account.cut(form(8, &[20]));
        slot.counters().add_many(Path::New, 9, 1);
        let rows = ledger.collect();
        let told = rows
            .iter()
            .map(|row| (row.revision, row.calls, row.slow.len()));
        assert_eq!(told.collect::<Vec<_>>(), [(0, 3, 0), (8, 1, 1)]);
    }

    /// 100,000 calls a second for an hour, while nothing is taken, with a change every minute.
    #[test]
    fn an_hour_is_exact_and_takes_no_more_memory_than_a_minute() {
        let slot = Arc::new(Slot::new("blame"));
        let mut ledger = Ledger::default();
        ledger.open(&slot, &state());
        let route = "blame".parse::<RouteKey>().unwrap();
        for second in 0..3_600_u64 {
            for n in 0..100_u64 {
                let nanos = 1_000 + (second * 7_919 + n * 104_729) % 30_000_000;
                slot.counters().add_many(Path::New, nanos, 1_000);
            }
            let account = ledger.accounts.get_mut(&route).unwrap();
            if second % 60 == 0 {
                account.cut(Form {
                    revision: second / 60 + 1,
                    limits: Vec::new(),
                });
            }
            let buckets: usize = account.cuts.iter().map(Cut::buckets).sum();
            assert!(buckets <= MOST_CUT_BUCKETS && account.cuts.len() <= MOST_CUTS);
        }
        let rows = ledger.collect();
        let calls: u64 = rows.iter().map(|row| row.calls).sum();
        assert_eq!(calls, 360_000_000);
        let mut latency = Latency::default();
        rows.iter().for_each(|row| latency.merge(&row.latency));
        let [_, totals] = slot.counters().totals().unwrap();
        assert_eq!(latency, totals.stats.latency);
        let revisions: Vec<u64> = rows.iter().map(|row| row.revision).collect();
        assert!(revisions.is_sorted() && revisions.first() == Some(&0));
        assert!(ledger.collect().is_empty());
        slot.counters().add_many(Path::New, 1, 1);
        assert_eq!(ledger.collect().first().unwrap().revision, 60);
    }
}
