//! Looks at the clock for the breakers of all routes, and tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::breaker::{BreakerState, Timing};
use crate::engine::Engine;
use crate::slot::Slot;

/// The longest between two looks.
const LONGEST_TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Tending {
    timings: BTreeMap<Box<str>, Timing>,
    /// `None` as long as no route has a breaker.
    tick: Option<Duration>,
}

impl Tending {
    /// How long nothing has to be looked at.
    pub(crate) fn sleep(&self) -> Duration {
        self.tick.unwrap_or(Duration::MAX)
    }

    pub(crate) fn round(&mut self, engine: &Arc<Engine>) {
        if !engine.has_breakers() {
            return;
        }
        let now = Instant::now();
        for slot in engine.slots() {
            let Some(fuse) = slot.fuse() else { continue };
            let new = || Timing::new(fuse, now);
            let timing = self.timings.entry(slot.key().into()).or_insert_with(new);
            let tick = fuse.rules().tick().min(LONGEST_TICK);
            self.tick = Some(self.tick.map_or(tick, |least| least.min(tick)));
            if let Some(state) = fuse.tend(timing, now) {
                tell(slot, state);
                engine.publish(slot);
            }
        }
    }
}

fn tell(slot: &Slot, state: BreakerState) {
    let route = slot.key();
    match state {
        BreakerState::Open => {
            tracing::warn!(
                route,
                "the new path fails too often: this process takes the old one"
            );
        }
        BreakerState::HalfOpen => tracing::debug!(route, "a few calls try the new path again"),
        BreakerState::Closed => {
            tracing::info!(route, "this process goes as decided again");
        }
    }
}
