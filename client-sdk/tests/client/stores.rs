//! Stores in memory that fail, hang and tell as a test wants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use switchover::{Saved, Store, StoreError};

/// What a store does when it is asked for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Well,
    Fails,
    Panics,
    /// Until it is told something else.
    Hangs,
}

/// A store of texts. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Locked before the fence.
    rows: Mutex<BTreeMap<String, String>>,
    /// `None` where it has none.
    fence: Mutex<Option<u64>>,
    manner: Mutex<Manner>,
    /// How long whatever the SDK asks takes before it is done.
    delay: Mutex<Duration>,
    changed: Condvar,
    /// How many of the SDK's requests hang.
    hanging: AtomicUsize,
}

impl Shelf {
    /// One with a fence.
    pub(crate) fn fenced() -> Shelf {
        let shelf = Shelf::default();
        *shelf.inner.fence.lock().unwrap() = Some(0);
        shelf
    }

    /// What an application writes to one with a fence; `None` deletes.
    pub(crate) fn put(&self, key: &str, row: Option<&str>, generation: u64) -> Result<(), String> {
        let mut rows = self.inner.rows.lock().unwrap();
        if self.refuses(generation) {
            return Err("it has seen a higher generation".to_owned());
        }
        match row {
            Some(row) => rows.insert(key.to_owned(), row.to_owned()),
            None => rows.remove(key),
        };
        Ok(())
    }

    pub(crate) fn delay(&self, delay: Duration) {
        *self.inner.delay.lock().unwrap() = delay;
    }

    /// Whether a request of the SDK hangs.
    pub(crate) fn is_asked(&self) -> bool {
        self.inner.hanging.load(Ordering::SeqCst) > 0
    }

    fn refuses(&self, generation: u64) -> bool {
        let seen = *self.inner.fence.lock().unwrap();
        seen.is_some_and(|seen| seen > generation)
    }

    pub(crate) fn set(&self, key: &str, row: &str) {
        let mut rows = self.inner.rows.lock().unwrap();
        rows.insert(key.to_owned(), row.to_owned());
    }

    pub(crate) fn delete(&self, key: &str) {
        self.inner.rows.lock().unwrap().remove(key);
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.inner.rows.lock().unwrap().get(key).cloned()
    }

    /// What it does with what the SDK asks of it; [`set`](Shelf::set) and [`get`](Shelf::get) always
    /// work.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
        self.inner.changed.notify_all();
    }

    fn asked(&self) -> Result<(), StoreError> {
        let delay = *self.inner.delay.lock().unwrap();
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let manner = self.inner.manner.lock().unwrap();
        let hangs = |manner: &mut Manner| *manner == Manner::Hangs;
        self.inner.hanging.fetch_add(1, Ordering::SeqCst);
        let manner = *self.inner.changed.wait_while(manner, hangs).unwrap();
        self.inner.hanging.fetch_sub(1, Ordering::SeqCst);
        match manner {
            Manner::Fails => Err("the shelf fails: SECRET-ERROR".into()),
            Manner::Panics => panic!("the shelf panics"),
            Manner::Well | Manner::Hangs => Ok(()),
        }
    }
}

impl Store for Shelf {
    type Row = String;

    fn load(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.asked()?;
        Ok(self.get(key))
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&String>,
        row: Option<&String>,
        generation: u64,
    ) -> Result<Saved, StoreError> {
        self.asked()?;
        let mut rows = self.inner.rows.lock().unwrap();
        if self.refuses(generation) {
            return Ok(Saved::Fenced);
        }
        if rows.get(key) != expected {
            return Ok(Saved::Changed);
        }
        match row {
            Some(row) => rows.insert(key.to_owned(), row.clone()),
            None => rows.remove(key),
        };
        Ok(Saved::Stored)
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.asked()?;
        let rows = self.inner.rows.lock().unwrap();
        let after = |row: &&String| key.is_none_or(|key| row.as_str() > key);
        Ok(rows.keys().filter(after).take(limit).cloned().collect())
    }
    fn is_fenced(&self) -> bool {
        self.inner.fence.lock().unwrap().is_some()
    }

    fn raise(&self, generation: u64) -> Result<(), StoreError> {
        self.asked()?;
        // Excludes whoever is writing.
        let _rows = self.inner.rows.lock().unwrap();
        let mut fence = self.inner.fence.lock().unwrap();
        *fence = fence.map(|seen| seen.max(generation));
        Ok(())
    }
}
