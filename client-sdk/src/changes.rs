//! Telling the application that something has changed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::engine::Engine;
use crate::published::Published;
use crate::rollout::RouteKey;
use crate::snapshot::Version;

/// A snapshot has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The environment's name.
    pub environment: String,
    /// The version that is decided by from now on.
    pub version: Version,
    /// The routes about which it says something else than what was known before; may be none.
    pub routes: Vec<RouteKey>,
}

type Callback = Arc<dyn Fn(&Change) + Send + Sync>;
type Callbacks = Vec<(u64, Callback)>;

pub(crate) struct Subscribers {
    next: AtomicU64,
    callbacks: Published<Callbacks>,
}

impl Default for Subscribers {
    fn default() -> Subscribers {
        Subscribers {
            next: AtomicU64::new(0),
            callbacks: Published::new(Arc::default()),
        }
    }
}

impl Subscribers {
    /// Whoever is subscribed now.
    pub(crate) fn audience(&self) -> Audience {
        Audience(self.callbacks.get())
    }

    fn change(&self, change: impl FnOnce(&mut Callbacks)) {
        let mut writer = self.callbacks.writer();
        let mut callbacks = Callbacks::clone(&writer.get());
        change(&mut callbacks);
        writer.set(Arc::new(callbacks));
    }
}

/// Those who were subscribed when a change was made.
pub(crate) struct Audience(Arc<Callbacks>);

impl Audience {
    /// Calls back. No lock is held, so that a callback may subscribe and unsubscribe.
    pub(crate) fn tell(&self, change: impl FnOnce() -> Change) {
        if self.0.is_empty() {
            return;
        }
        let change = change();
        for (_, callback) in self.0.iter() {
            if catch_unwind(AssertUnwindSafe(|| callback(&change))).is_err() {
                tracing::error!("callback for changes panicked");
            }
        }
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers").finish_non_exhaustive()
    }
}

/// Keeps a callback subscribed for as long as it lives.
#[derive(Debug)]
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    engine: Weak<Engine>,
    id: u64,
}

impl Subscription {
    pub(crate) fn new(
        engine: &Arc<Engine>,
        callback: impl Fn(&Change) + Send + Sync + 'static,
    ) -> Subscription {
        let subscribers = engine.subscribers();
        let id = subscribers.next.fetch_add(1, Ordering::Relaxed);
        let callback: Callback = Arc::new(callback);
        subscribers.change(|callbacks| callbacks.push((id, callback)));
        Subscription {
            engine: Arc::downgrade(engine),
            id,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            // What the callback owns is dropped after the lock: it may unsubscribe others.
            let mut gone = None;
            engine.subscribers().change(|callbacks| {
                let place = callbacks.iter().position(|(id, _)| *id == self.id);
                gone = place.map(|place| callbacks.remove(place));
            });
            drop(gone);
        }
    }
}
