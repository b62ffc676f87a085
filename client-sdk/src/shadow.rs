//! One run of the other path beside a read: begun, ended or given up, and brought together with the
//! result that the caller got.
//!
//! Nobody waits for anybody here. Whichever of the two results comes second has them compared, on a
//! thread of the crew. What is late, refused or dropped leaves its place at once, so that a shadow
//! which hangs holds nothing but itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::cells::Outcome;
use crate::clock::Started;
use crate::crew::{Deadline, Late, Work};
use crate::decide::Path;
use crate::mirror::Run;
use crate::route::Route;
use crate::slot::Slot;

/// Compares the caller's result with the shadow's, in this order.
pub(crate) type Judge<T> = Box<dyn FnOnce(T, T) + Send>;

/// A run that is due or under way. `T` is what is compared; nothing where nothing is.
pub(crate) struct Shadow<T> {
    slot: Arc<Slot>,
    path: Path,
    phase: AtomicU8,
    started: OnceLock<Started>,
    meeting: Mutex<Meeting<T>>,
    /// Of the future that runs, to be told that its deadline has passed.
    waker: Mutex<Option<Waker>>,
}

/// It is due.
const DUE: u8 = 0;
const RUNNING: u8 = 1;
/// It has ended, or is given up; and is counted.
const ENDED: u8 = 2;

/// Where the two results meet.
enum Meeting<T> {
    /// Nobody has come yet.
    Open(Judge<T>),
    Caller(Judge<T>, T),
    Shadow(Judge<T>, T),
    /// There is nothing to compare, or not any more.
    Over,
}

/// Whose result it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Shadow,
}

impl<T: Send + 'static> Shadow<T> {
    /// Due, on the path that the call does not take.
    pub(crate) fn new(route: &Route, path: Path, judge: Option<Judge<T>>) -> Shadow<T> {
        Shadow {
            slot: Arc::clone(route.slot()),
            path,
            phase: AtomicU8::new(DUE),
            started: OnceLock::new(),
            meeting: Mutex::new(judge.map_or(Meeting::Over, Meeting::Open)),
            waker: Mutex::default(),
        }
    }

    /// Whether it may run, which it does from now on.
    pub(crate) fn begin(&self) -> bool {
        let _ = self.started.set(Started::now());
        let (done, not) = (Ordering::AcqRel, Ordering::Acquire);
        self.phase.compare_exchange(DUE, RUNNING, done, not).is_ok()
    }

    /// Counts how it ended, unless it was given up before.
    pub(crate) fn end(&self, outcome: Outcome) -> bool {
        let is_first = self.phase.swap(ENDED, Ordering::AcqRel) == RUNNING;
        if is_first {
            self.count(outcome, false);
        }
        if outcome != Outcome::Success {
            self.close();
        }
        is_first
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase.load(Ordering::Acquire) == RUNNING
    }

    /// It does not run, or not to its end.
    pub(crate) fn give_up(&self, outcome: Outcome, is_late: bool) {
        match self.phase.swap(ENDED, Ordering::AcqRel) {
            DUE => self.slot.counters().mirror().drop_one(self.path),
            RUNNING => self.count(outcome, is_late),
            _ => return,
        }
        self.close();
    }

    fn count(&self, outcome: Outcome, is_late: bool) {
        self.slot.counters().end_run(Run {
            path: self.path,
            outcome,
            nanos: self.started.get().map_or(0, Started::elapsed_nanos),
            is_late,
        });
    }

    /// Whether a result of the caller's may still be compared.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.meeting(), Meeting::Over)
    }

    /// Nothing will be compared.
    pub(crate) fn close(&self) {
        let over = std::mem::replace(&mut *self.meeting(), Meeting::Over);
        // Not under the lock: what it holds is anybody's.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(over)));
    }

    /// A result has come. The comparison, if it is the second one.
    pub(crate) fn meet(&self, side: Side, result: T) -> Option<Work> {
        let mut meeting = self.meeting();
        let (judge, caller, shadow) = match (std::mem::replace(&mut *meeting, Meeting::Over), side)
        {
            (Meeting::Open(judge), Side::Caller) => {
                *meeting = Meeting::Caller(judge, result);
                return None;
            }
            (Meeting::Open(judge), Side::Shadow) => {
                *meeting = Meeting::Shadow(judge, result);
                return None;
            }
            (Meeting::Shadow(judge, shadow), Side::Caller) => (judge, result, shadow),
            (Meeting::Caller(judge, caller), Side::Shadow) => (judge, caller, result),
            (over, _) => {
                drop(meeting);
                drop((over, result));
                return None;
            }
        };
        Some(Box::new(move || judge(caller, shadow)))
    }

    fn meeting(&self) -> MutexGuard<'_, Meeting<T>> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this told when the run is given up.
    pub(crate) fn wake_by(&self, waker: &Waker) {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }
}

impl<T: Send + 'static> Late for Shadow<T> {
    fn late(&self, _has_begun: bool) {
        self.give_up(Outcome::Error, true);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A shadow on its way to be run. Dropped before that, it is counted as dropped; dropped amid a run, as
/// cancelled.
pub(crate) struct OnItsWay<T: Send + 'static>(pub(crate) Arc<Shadow<T>>);

impl<T: Send + 'static> Drop for OnItsWay<T> {
    fn drop(&mut self) {
        self.0.give_up(Outcome::Cancelled, false);
    }
}

impl<T: Send + 'static> OnItsWay<T> {
    /// Runs it here, and compares if the caller's result has come already.
    pub(crate) fn run<R, E>(
        self,
        read: impl FnOnce() -> Result<R, E>,
        to_compare: impl FnOnce(R) -> Option<T>,
    ) {
        if !self.0.begin() {
            return;
        }
        let outcome = match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(result)) => {
                if self.0.end(Outcome::Success)
                    && let Some(result) = to_compare(result)
                    && let Some(comparison) = self.0.meet(Side::Shadow, result)
                {
                    comparison();
                }
                return;
            }
            Ok(Err(_)) => Outcome::Error,
            Err(_) => Outcome::Panic,
        };
        self.0.end(outcome);
    }
}

/// Has a shadow run on the crew's threads. What the crew refuses is counted as dropped.
pub(crate) fn begin<T, R, E>(
    route: &Route,
    shadow: &Arc<Shadow<T>>,
    read: impl FnOnce() -> Result<R, E> + Send + 'static,
    to_compare: fn(R) -> Option<T>,
) where
    T: Send + 'static,
    R: 'static,
    E: 'static,
{
    let on_its_way = OnItsWay(Arc::clone(shadow));
    let work = move || on_its_way.run(read, to_compare);
    if let Some(crew) = route.engine().shadows() {
        // Refused, it is dropped here, and counted by that.
        let _ = crew.offer(Box::new(work), Some(deadline(route, shadow)));
    }
}

pub(crate) fn deadline<T: Send + 'static>(route: &Route, shadow: &Arc<Shadow<T>>) -> Deadline {
    let patience = route.engine().settings().mirroring.deadline;
    let late: Arc<dyn Late> = Arc::<Shadow<T>>::clone(shadow);
    (Instant::now() + patience, late)
}

/// The caller's result has come: has a copy of it compared, if there is anything to compare it with.
pub(crate) fn bring<T: Clone + Send + 'static, E>(
    route: &Route,
    shadow: &Shadow<T>,
    result: &Result<T, E>,
) {
    let Ok(result) = result else {
        return shadow.close();
    };
    if !shadow.is_open() {
        return;
    }
    // The implementation of `Clone` is the application's: a panic in it is not the caller's matter.
    let Ok(result) = catch_unwind(AssertUnwindSafe(|| result.clone())) else {
        return shadow.close();
    };
    if let Some(comparison) = shadow.meet(Side::Caller, result)
        && let Some(crew) = route.engine().shadows()
    {
        // Refused, the two are not compared, and not counted as compared.
        let _ = crew.offer(comparison, None);
    }
}
