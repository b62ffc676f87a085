//! What the server hears of a data route, and asks about it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Keeper, lock, now_ms};
use crate::decide::Path;
use crate::spool::MOST_ENTRIES;
use crate::spool::form::Kept;
use crate::writers::{MOST_KEYS, Repair, Unverified, WriterOrder, WriterRoute};

impl Keeper {
    /// The server knows that this process writes the route.
    pub(crate) fn is_known_now(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.back_in_contact();
            self.around.mender.ring();
        }
    }

    /// The server knows whom this process has replaced: all whom there were when it began.
    pub(crate) fn adoption_told(&self) {
        let mut adopted = lock(&self.adopted);
        let told = adopted.len().min(MOST_KEYS);
        adopted.drain(..told);
    }

    /// The generation whose hold this process has done its part for.
    pub(crate) fn drained(&self) -> Option<u64> {
        let has_raised = self.has_raised(Path::Old) && self.has_raised(Path::New);
        let generation = self.gate.standing().drained.filter(|_| has_raised)?;
        // After that: whatever has ended by then has its repair by then.
        let repairs = self.repairs();
        let mut keys = repairs.unequal().map(|kept| kept.key.as_str());
        let waits = self.gate.moves_any(&mut keys);
        (!waits).then_some(generation)
    }

    /// What the server is told, with as many repairs as there is room for.
    pub(crate) fn tell(&self, most: (usize, usize)) -> (WriterRoute, Vec<(u64, Kept)>) {
        let drained = self.drained();
        lock(&self.recent).report();
        let mut repairs = self.repairs();
        let untold = repairs.tell(most);
        let now_ms = now_ms();
        let told = WriterRoute {
            route: self.route.clone(),
            generation: self.gate.standing().form.generation,
            drained,
            fenced: self.pair.is_fenced(),
            adopted: lock(&self.adopted)
                .iter()
                .take(MOST_KEYS)
                .cloned()
                .collect(),
            unverified: self.unverified(),
            open_repairs: u64::try_from(repairs.unequal().count()).unwrap_or(u64::MAX),
            repairs: untold
                .iter()
                .map(|(_, kept)| kept.as_repair(now_ms))
                .collect(),
        };
        (told, untold)
    }

    /// The server knows these, and whether this process was current when it told them.
    pub(crate) fn told(&self, known: &[(u64, Kept)], was_current: bool) {
        self.repairs().told(known, Instant::now());
        if was_current {
            lock(&self.recent).confirmed();
        }
    }

    /// Since when there is a repair that the server does not know of, or not as it is now.
    pub(crate) fn untold_since(&self) -> Option<Instant> {
        self.repairs().untold_since()
    }

    /// Does what the server asks for, but for comparing.
    pub(crate) fn obey(&self, order: &WriterOrder) {
        let now = Instant::now();
        let mut repairs = self.repairs();
        for repair in &order.repairs {
            let kept = match repairs.retry(&repair.key, now) {
                Some(kept) => kept,
                None if repairs.len() >= MOST_ENTRIES => break,
                None => {
                    let kept = Kept::from_repair(repair.clone(), now_ms());
                    repairs.adopt(kept.clone(), now);
                    kept
                }
            };
            self.note(|spool| spool.keep(&kept));
        }
        for key in &order.settled {
            if repairs.settle(key) {
                self.note(|spool| spool.settle(key));
            }
        }
        drop(repairs);
        if order.verified {
            *lock(&self.unverified) = None;
            self.note(|spool| spool.set_unverified(None));
        }
        self.around.mender.ring();
        self.around.attendant.ring();
    }

    /// Takes an order to compare the stores, unless one is under way.
    pub(crate) fn begin_comparing(&self, order: &str) -> bool {
        let mut comparing = lock(&self.comparing);
        let is_free = comparing.is_none();
        comparing.get_or_insert_with(|| order.to_owned());
        is_free
    }

    pub(crate) fn end_comparing(&self) {
        *lock(&self.comparing) = None;
    }

    pub(crate) fn unverified(&self) -> Option<Unverified> {
        *lock(&self.unverified)
    }

    /// The repairs that are open, or wait for a person.
    pub(crate) fn unequal(&self) -> Vec<Repair> {
        let now_ms = now_ms();
        let repairs = self.repairs();
        let unequal = repairs.unequal();
        unequal.map(|kept| kept.as_repair(now_ms)).collect()
    }

    pub(crate) fn repairs_count(&self) -> usize {
        self.repairs().unequal().count()
    }
}
