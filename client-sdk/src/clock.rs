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

/// What the stamps of the system's clock count from.
static BASE: OnceLock<Instant> = OnceLock::new();

/// A moment in the past.
#[derive(Clone, Copy)]
pub(crate) enum Started {
    Counter(&'static quanta::Clock, u64),
    System(Instant),
}

impl Started {
    #[inline]
    pub(crate) fn now() -> Started {
        match COUNTER.get() {
            Some(clock) => Started::Counter(clock, clock.raw()),
            None => Started::by_system(),
        }
    }

    /// Apart: it is for the first moments of a process.
    #[cold]
    fn by_system() -> Started {
        Started::System(Instant::now())
    }

    /// Nanoseconds since then.
    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        match self {
            Started::Counter(clock, start) => clock.delta_as_nanos(*start, clock.raw()),
            Started::System(start) => elapsed_by_system(*start),
        }
    }
}

#[cold]
fn elapsed_by_system(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A moment as one number and the clock that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) ticks: u64,
    pub(crate) is_counter: bool,
}

impl Started {
    #[inline]
    pub(crate) fn stamp(self) -> Stamp {
        match self {
            Started::Counter(_, ticks) => Stamp {
                ticks,
                is_counter: true,
            },
            Started::System(at) => Stamp {
                ticks: since_base(at),
                is_counter: false,
            },
        }
    }
}

/// Now, on both clocks.
#[derive(Debug)]
pub(crate) struct Now {
    counter: Option<(&'static quanta::Clock, u64)>,
    system: u64,
}

impl Now {
    pub(crate) fn read() -> Now {
        Now {
            counter: COUNTER.get().map(|clock| (clock, clock.raw())),
            system: since_base(Instant::now()),
        }
    }

    /// Nanoseconds since a moment.
    pub(crate) fn since(&self, stamp: Stamp) -> u64 {
        match (stamp.is_counter, self.counter) {
            (false, _) => self.system.saturating_sub(stamp.ticks),
            (true, Some((clock, now))) => clock.delta_as_nanos(stamp.ticks, now),
            // Stamped after this moment.
            (true, None) => 0,
        }
    }
}

fn since_base(at: Instant) -> u64 {
    let base = BASE.get_or_init(Instant::now);
    let since = at.saturating_duration_since(*base).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX)
}
