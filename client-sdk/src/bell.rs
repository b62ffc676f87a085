//! What a thread sleeps by until somebody rings.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    has_rung: bool,
    is_over: bool,
}

impl Bell {
    /// Wakes who sleeps by it, or who will next.
    pub(crate) fn ring(&self) {
        self.lock().has_rung = true;
        self.rung.notify_all();
    }

    /// The same, for the last time.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.rung.notify_all();
    }

    /// Sleeps until it rings or the time has come. Says whether it goes on.
    pub(crate) fn sleep(&self, until: Instant) -> bool {
        let mut state = self.lock();
        while !state.has_rung && !state.is_over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.rung.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.has_rung = false;
        !state.is_over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
