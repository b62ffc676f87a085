//! A value that one thread replaces and all others read without ever waiting.
//!
//! Two buffers: readers use the active one, the writer fills the other and then switches. A reader
//! only tries the lock, so nothing that happened to another thread can hold it up: neither a writer
//! at work nor, after a fork, a lock that a thread which is gone still holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

#[derive(Debug)]
pub(crate) struct Published<T> {
    buffers: [RwLock<Arc<T>>; 2],
    second_is_active: AtomicBool,
    writer: Mutex<()>,
}

impl<T> Published<T> {
    pub(crate) fn new(value: Arc<T>) -> Published<T> {
        Published {
            buffers: [RwLock::new(Arc::clone(&value)), RwLock::new(value)],
            second_is_active: AtomicBool::new(false),
            writer: Mutex::new(()),
        }
    }

    /// Calls `f` with the present value. `f` must not write.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Arc<T>) -> R) -> R {
        let [first, second] = &self.buffers;
        loop {
            let active = match self.second_is_active.load(Ordering::Acquire) {
                false => first,
                true => second,
            };
            // Busy only when the writer has switched in between: then the other one is free.
            match active.try_read() {
                Ok(value) => return f(&value),
                Err(TryLockError::Poisoned(poisoned)) => return f(&poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
    }

    /// The present value.
    pub(crate) fn get(&self) -> Arc<T> {
        self.with(Arc::clone)
    }

    /// The right to write; waits for other writers.
    pub(crate) fn writer(&self) -> Writer<'_, T> {
        Writer {
            published: self,
            _lock: self.writer.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

pub(crate) struct Writer<'a, T> {
    published: &'a Published<T>,
    _lock: MutexGuard<'a, ()>,
}

impl<T> Writer<'_, T> {
    pub(crate) fn get(&self) -> Arc<T> {
        self.published.get()
    }

    pub(crate) fn set(&mut self, value: Arc<T>) {
        let [first, second] = &self.published.buffers;
        let active = &self.published.second_is_active;
        let second_is_active = active.load(Ordering::Relaxed);
        let (idle, outdated) = match second_is_active {
            true => (first, second),
            false => (second, first),
        };
        let fill = |buffer: &RwLock<Arc<T>>, value| {
            *buffer.write().unwrap_or_else(PoisonError::into_inner) = value;
        };
        fill(idle, Arc::clone(&value));
        active.store(!second_is_active, Ordering::Release);
        // So that nothing outdated, and nothing it owns, is kept.
        fill(outdated, value);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn readers_see_whole_values_in_their_order() {
        let published = Published::new(Arc::new((0_u64, 0_u64)));
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=20_000 {
                    published.writer().set(Arc::new((n, n * 3)));
                }
            });
            let mut last = 0;
            while last < 20_000 {
                let (n, triple) = published.with(|value| **value);
                assert_eq!(n * 3, triple);
                assert!(n >= last);
                last = n;
            }
        });
    }
}
