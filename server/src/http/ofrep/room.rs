//! How much room there is for clients that listen, on this node and for each SDK key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most of these streams on one node. Pages are public, and so are their keys: SDKs always find room
/// beside them.
const MOST: usize = 10_000;
/// The most with one key: whoever takes a key out of a page shuts out the others of that key alone.
const MOST_OF_KEY: usize = 2_000;

/// Who listens on this node.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    /// By the key's identity; no entry for none.
    of_key: HashMap<Box<str>, usize>,
}

/// What has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Node,
    Key,
}

/// A listener's place, as long as it lives.
pub(super) struct Place {
    listeners: Listeners,
    key: Box<str>,
}

impl Listeners {
    /// A place for one more with this key.
    pub(super) fn enter(&self, key: &str) -> Result<Place, Full> {
        let mut counts = self.counts();
        if counts.all >= MOST {
            return Err(Full::Node);
        }
        let of_key = counts.of_key.get(key).copied().unwrap_or(0);
        if of_key >= MOST_OF_KEY {
            return Err(Full::Key);
        }
        counts.all += 1;
        counts.of_key.insert(key.into(), of_key + 1);
        Ok(Place {
            listeners: self.clone(),
            key: key.into(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.listeners.counts();
        counts.all = counts.all.saturating_sub(1);
        match counts.of_key.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.of_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(listeners: &Listeners, key: &str) -> (Vec<Place>, Full) {
        let mut places = Vec::new();
        loop {
            match listeners.enter(key) {
                Ok(place) => places.push(place),
                Err(full) => return (places, full),
            }
        }
    }

    #[test]
    fn a_key_takes_no_more_than_its_share() {
        let listeners = Listeners::default();
        let (mut crowd, full) = crowd(&listeners, "page");
        assert_eq!((crowd.len(), full), (MOST_OF_KEY, Full::Key));
        let other = listeners.enter("another");
        assert!(other.is_ok(), "others find room");
        crowd.pop();
        let back = listeners.enter("page");
        assert!(back.is_ok());
        assert_eq!(listeners.enter("page").err(), Some(Full::Key));
        drop((crowd, other, back));
        let counts = listeners.counts();
        assert_eq!((counts.all, counts.of_key.len()), (0, 0));
    }

    #[test]
    fn a_node_takes_no_more_than_its_own_whatever_the_keys() {
        let listeners = Listeners::default();
        let keys = MOST / MOST_OF_KEY;
        let crowds: Vec<_> = (0..keys)
            .map(|key| crowd(&listeners, &key.to_string()).0)
            .collect();
        assert_eq!(crowds.iter().map(Vec::len).sum::<usize>(), MOST);
        assert_eq!(listeners.enter("one more").err(), Some(Full::Node));
        drop(crowds);
        assert!(listeners.enter("one more").is_ok());
    }
}
