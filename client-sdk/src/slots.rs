//! The routes that one process has asked for.
//!
//! A list that only grows, and that is walked without a lock. A forked child begins one of its own
//! and only reads its parent's, where a thread that is gone may have been about to add something.
//! Handles are resolved once and kept; a walk is for resolving them, and for whoever applies a
//! snapshot.

use std::sync::{Arc, OnceLock};

use crate::slot::Slot;

#[derive(Debug, Default)]
pub(crate) struct Slots {
    first: OnceLock<Box<Node>>,
}

#[derive(Debug)]
struct Node {
    slot: Arc<Slot>,
    next: OnceLock<Box<Node>>,
}

impl Slots {
    /// The route's slot, and whether it is new.
    pub(crate) fn find_or_add(&self, key: &str) -> (Arc<Slot>, bool) {
        let mut link = &self.first;
        loop {
            let mut is_new = false;
            let node = link.get_or_init(|| {
                is_new = true;
                Box::new(Node {
                    slot: Arc::new(Slot::new(key)),
                    next: OnceLock::new(),
                })
            });
            if is_new || node.slot.key() == key {
                return (Arc::clone(&node.slot), is_new);
            }
            link = &node.next;
        }
    }

    /// The route's slot, if there is one.
    pub(crate) fn find(&self, key: &str) -> Option<&Arc<Slot>> {
        self.iter().find(|slot| slot.key() == key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        let first = self.first.get();
        std::iter::successors(first, |node| node.next.get()).map(|node| &node.slot)
    }
}

impl Drop for Slots {
    /// One node after the other: by recursion, thousands of routes would need much stack.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_key_has_one_slot_whoever_asks() {
        let slots = Slots::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..500 {
                        slots.find_or_add(&format!("r{n}"));
                    }
                });
            }
        });
        assert_eq!(slots.iter().count(), 500);
        let (slot, is_new) = slots.find_or_add("r7");
        assert!(!is_new);
        assert!(slots.iter().any(|other| Arc::ptr_eq(other, &slot)));
    }
}
