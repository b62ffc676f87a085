//! The routes that one process has asked for.
//!
//! Lists that only grow, and that are walked without a lock; the key's hash says which one, so that
//! thousands of routes are found in short ones. A forked child begins one of its own
//! and only reads its parent's, where a thread that is gone may have been about to add something.
//! Handles are resolved once and kept; a walk is for resolving them, and for whoever applies a
//! snapshot.

use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::slot::Slot;

#[derive(Debug)]
pub(crate) struct Slots {
    chains: [Link; CHAINS],
}

const CHAINS: usize = 1 << u8::BITS;

type Link = OnceLock<Box<Node>>;

impl Default for Slots {
    fn default() -> Slots {
        Slots {
            chains: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

#[derive(Debug)]
struct Node {
    slot: Arc<Slot>,
    next: Link,
}

impl Slots {
    /// The route's slot, and whether it is new.
    pub(crate) fn find_or_add(&self, key: &str) -> (Arc<Slot>, bool) {
        let mut link = self.chain(key);
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
        slots(self.chain(key)).find(|slot| slot.key() == key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.chains.iter().flat_map(slots)
    }

    fn chain(&self, key: &str) -> &Link {
        let [low, ..] = xxh3_64(key.as_bytes()).to_le_bytes();
        let [first, ..] = &self.chains;
        self.chains.get(usize::from(low)).unwrap_or(first)
    }
}

fn slots(chain: &Link) -> impl Iterator<Item = &Arc<Slot>> {
    std::iter::successors(chain.get(), |node| node.next.get()).map(|node| &node.slot)
}

impl Drop for Slots {
    /// One node after the other: by recursion, thousands of routes would need much stack.
    fn drop(&mut self) {
        for chain in &mut self.chains {
            let mut next = chain.take();
            while let Some(mut node) = next {
                next = node.next.take();
            }
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
        assert!(Arc::ptr_eq(slots.find("r7").unwrap(), &slot));
        assert!(slots.find("r500").is_none());
    }

    #[test]
    fn thousands_of_routes_make_short_chains() {
        let slots = Slots::default();
        for n in 0..5_000 {
            slots.find_or_add(&format!("r{n}"));
        }
        let longest = slots.chains.iter().map(|chain| super::slots(chain).count());
        assert!(longest.max().unwrap() < 60);
        assert_eq!(slots.iter().count(), 5_000);
    }
}
