//! The clock of the call runner: the processor's counter where it can be had.
//!
//! Calibrating it takes up to 200 ms, so that is done beside the caller; until then the system's
//! clock serves.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();
static IS_CALIBRATING: AtomicBool = AtomicBool::new(false);

/// Begins the calibration, once per process.
pub(crate) fn warm_up() {
    if !IS_CALIBRATING.swap(true, Ordering::Relaxed) {
        // Without a thread for it the system's clock goes on serving.
        let _ = thread::Builder::new()
            .name("switchover-clock".to_owned())
            .spawn(|| COUNTER.get_or_init(quanta::Clock::new));
    }
}

/// A moment in the past.
pub(crate) enum Started {
    Counter(&'static quanta::Clock, u64),
    System(Instant),
}

impl Started {
    #[inline]
    pub(crate) fn now() -> Started {
        match COUNTER.get() {
            Some(clock) => Started::Counter(clock, clock.raw()),
            None => Started::System(Instant::now()),
        }
    }

    /// Nanoseconds since then.
    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        match self {
            Started::Counter(clock, start) => clock.delta_as_nanos(*start, clock.raw()),
            Started::System(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
