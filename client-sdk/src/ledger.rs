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
use crate::totals::{Booked, Counted, PerRole, Totals};

/// Cuts that one route may have waiting.
const MOST_CUTS: usize = 8;
/// Buckets of latencies that a route's cuts may have in all.
const MOST_CUT_BUCKETS: usize = 256;
/// What an account takes, but for the latencies that are booked.
pub(crate) const ACCOUNT_BYTES: usize = size_of::<Account>()
    + size_of::<[Booked; 2]>()
    + MOST_CUTS * (size_of::<Cut>() + size_of::<[Counted; 2]>())
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
    booked: PerRole<Booked>,
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
    /// The same for runs beside calls.
    mirror_limits: Vec<u32>,
}

#[derive(Debug)]
struct Cut {
    form: Form,
    counted: PerRole<Counted>,
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
                booked: PerRole::default(),
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
            let first = rows.len();
            for Cut { form, counted } in account.collect() {
                let PerRole { calls, mirror } = counted;
                let calls = PATHS.into_iter().zip(calls);
                let mirror = mirror
                    .into_iter()
                    .flat_map(|mirror| PATHS.into_iter().zip(*mirror));
                rows.extend(calls.filter_map(|(path, counted)| {
                    row(route, path, Role::Authoritative, &form, counted)
                }));
                rows.extend(
                    mirror.filter_map(|(path, counted)| {
                        row(route, path, Role::Mirror, &form, counted)
                    }),
                );
            }
            let mine = rows.iter_mut().skip(first);
            for row in mine.filter(|row| row.mismatches > 0) {
                let mirror = account.slot.counters().mirror();
                row.mismatching_keys = mirror.take_mismatching_keys(row.path);
            }
        }
        rows
    }
}

impl Account {
    fn set_form(&mut self, form: Form) {
        if form.limits != self.form.limits {
            self.slot.counters().set_slow_limits(&form.limits);
            self.booked.calls.iter_mut().for_each(Booked::forget_early);
        }
        if form.mirror_limits != self.form.mirror_limits {
            let mirror = self.slot.counters().mirror();
            mirror.set_slow_limits(&form.mirror_limits);
            let booked = self.booked.mirror.iter_mut();
            booked
                .flat_map(|booked| booked.iter_mut())
                .for_each(Booked::forget_early);
        }
        self.form = form;
    }

    /// What was counted since the last time.
    fn counted(&mut self, totals: &PerRole<Totals>) -> PerRole<Counted> {
        let take = |booked: &mut [Booked; 2], now: &[Totals; 2]| {
            let ([old, new], [old_now, new_now]) = (booked, now);
            [old.take(old_now), new.take(new_now)]
        };
        let mirror = totals.mirror.as_ref().map(|now| {
            let booked = self.booked.mirror.get_or_insert_default();
            take(booked, now)
        });
        let mirror = mirror.filter(|mirror| !mirror.iter().all(Counted::is_nothing));
        PerRole {
            calls: take(&mut self.booked.calls, &totals.calls),
            mirror: mirror.map(Box::new),
        }
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
        let nothing = Booked::default();
        let booked = self.booked.iter().chain(std::iter::repeat(&nothing));
        let more: usize = booked
            .zip(totals.iter())
            .map(|(booked, totals)| booked.buckets_to_take(&totals.stats.latency))
            .sum();
        let is_full = self.cuts.len() >= MOST_CUTS || waiting + more > MOST_CUT_BUCKETS;
        if is_full || self.next.is_some() {
            self.next = Some(form);
            return;
        }
        self.keep(&totals);
        self.set_form(form);
    }

    fn keep(&mut self, totals: &PerRole<Totals>) {
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
        let watch = state.watch(route);
        let few = |limits: Option<&Vec<u32>>| {
            let limits = limits.into_iter().flatten().copied();
            limits.take(MOST_LIMITS).collect()
        };
        Form {
            revision: state.revision(),
            limits: few(watch.map(|watch| &watch.slow_ms)),
            mirror_limits: few(watch.map(|watch| &watch.mirror_slow_ms)),
        }
    }
}

impl Cut {
    fn buckets(&self) -> usize {
        self.counted.iter().map(|path| path.latency.len()).sum()
    }

    /// Of the same revision, though perhaps with other limits.
    fn merge(&mut self, other: &Cut) {
        let merge = |mine: &mut [Counted; 2], theirs: &[Counted; 2], has_same_limits| {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                mine.merge(theirs, has_same_limits);
            }
        };
        let has_same_limits = self.form.limits == other.form.limits;
        merge(
            &mut self.counted.calls,
            &other.counted.calls,
            has_same_limits,
        );
        if !has_same_limits {
            self.form.limits.clear();
        }
        let has_same_limits = self.form.mirror_limits == other.form.mirror_limits;
        if let Some(theirs) = &other.counted.mirror {
            let mine = self.counted.mirror.get_or_insert_default();
            merge(mine, theirs, has_same_limits);
        }
        if !has_same_limits {
            self.form.mirror_limits.clear();
        }
    }
}

/// `None` where there is nothing to report.
fn row(
    route: &RouteKey,
    path: Path,
    role: Role,
    form: &Form,
    counted: Counted,
) -> Option<RouteCounts> {
    if counted.is_nothing() {
        return None;
    }
    let limits = match role {
        Role::Authoritative => &form.limits,
        Role::Mirror => &form.mirror_limits,
    };
    let slow = limits.iter().zip(&counted.slow);
    let slow = slow.map(|(limit_ms, slow)| Slow {
        limit_ms: *limit_ms,
        trials: slow.trials,
        violations: slow.violations,
    });
    let mut latency = Latency::default();
    for (bucket, count) in &counted.latency {
        latency.add(*bucket, *count);
    }
    Some(RouteCounts {
        route: route.clone(),
        path,
        role,
        revision: form.revision,
        calls: counted.calls(),
        errors: counted.errors,
        panics: counted.panics,
        cancelled: counted.cancelled,
        comparisons: counted.comparisons.trials,
        mismatches: counted.comparisons.violations,
        mismatching_keys: Vec::new(),
        dropped: counted.dropped,
        ramp: counted.ramp,
        slow: slow.collect(),
        latency,
    })
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
            mirror_limits: Vec::new(),
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
                    ..Form::default()
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
        let [_, totals] = slot.counters().totals().unwrap().calls;
        assert_eq!(latency, totals.stats.latency);
        let revisions: Vec<u64> = rows.iter().map(|row| row.revision).collect();
        assert!(revisions.is_sorted() && revisions.first() == Some(&0));
        assert!(ledger.collect().is_empty());
        slot.counters().add_many(Path::New, 1, 1);
        assert_eq!(ledger.collect().first().unwrap().revision, 60);
    }
}
