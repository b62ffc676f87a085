//! Stores in memory that fail, hang and tell as a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

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
    rows: Mutex<BTreeMap<String, String>>,
    manner: Mutex<Manner>,
    changed: Condvar,
}

impl Shelf {
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
        let manner = self.inner.manner.lock().unwrap();
        let hangs = |manner: &mut Manner| *manner == Manner::Hangs;
        let manner = *self.inner.changed.wait_while(manner, hangs).unwrap();
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
        _generation: u64,
    ) -> Result<Saved, StoreError> {
        self.asked()?;
        let mut rows = self.inner.rows.lock().unwrap();
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
}
