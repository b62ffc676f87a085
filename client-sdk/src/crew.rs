//! Threads for what runs beside callers: bounded in number, in front of a bounded queue.
//!
//! Whoever offers work never waits: the crew takes it or refuses it. Threads start when they are first
//! needed. Work that hangs keeps its thread for ever; when all of it hangs, everything is refused. A
//! clock of its own tells of work that is not done by its deadline, under way or not begun yet; what
//! has not begun then never does. A crew is one process's: after a fork the child needs another.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// What a crew does. A panic in it ends nothing else.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Hears when a deadline has passed.
pub(crate) trait Late: Send + Sync {
    /// Once, on the crew's clock, where nothing must wait. The work may come to its end at the same
    /// moment; what it and this make of that is theirs to settle.
    fn late(&self, has_begun: bool);
}

/// Until when, and who hears of it if it takes longer.
pub(crate) type Deadline = (Instant, Arc<dyn Late>);

/// The crew has as much to do as it may have, has ended, or gets no thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

pub(crate) struct Crew {
    process: u32,
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most_threads: usize,
    most_waiting: usize,
    most_watched: usize,
    state: Mutex<State>,
    /// There is work, or the end.
    work: Condvar,
    /// There is an earlier deadline, or the end.
    clock: Condvar,
    /// Nothing is under way and nothing waits.
    rest: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// By thread.
    running: Vec<Running>,
    /// What runs elsewhere; its deadline taken by the clock once it has passed.
    watched: BTreeMap<u64, Option<Deadline>>,
    /// The number of the last one.
    last_watched: u64,
    /// Threads that wait for work.
    idle: usize,
    has_clock: bool,
    /// When the clock looks next; `None` where it waits to be told.
    clock_wakes: Option<Instant>,
    is_closed: bool,
}

struct Job {
    work: Work,
    deadline: Option<Deadline>,
}

/// What one thread is at.
#[derive(Default)]
struct Running {
    is_busy: bool,
    /// Taken by the clock once it has passed.
    deadline: Option<Deadline>,
}

/// What a crew may have to do at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) threads: usize,
    /// Work that waits for one of them.
    pub(crate) waiting: usize,
    /// What runs elsewhere and is watched.
    pub(crate) watched: usize,
}

/// The place of what runs elsewhere; given back when it is dropped.
pub(crate) struct Watched {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let place = self.shared.state().watched.remove(&self.number);
        // Not under the lock: it may be the last to hold what hears of the deadline.
        drop(place);
    }
}

impl Crew {
    /// A crew without a thread as yet. Its threads are called after it.
    pub(crate) fn new(name: &'static str, caps: Caps) -> Crew {
        Crew {
            process: std::process::id(),
            shared: Arc::new(Shared {
                name,
                most_threads: caps.threads.max(1),
                most_waiting: caps.waiting,
                most_watched: caps.watched,
                state: Mutex::default(),
                work: Condvar::new(),
                clock: Condvar::new(),
                rest: Condvar::new(),
            }),
        }
    }

    /// Has this done, on one of the crew's threads, or lets it go. Waits for nothing but a lock that is
    /// held for moments.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn offer(&self, work: Work, deadline: Option<Deadline>) -> Result<(), Refused> {
        let shared = &self.shared;
        let until = deadline.as_ref().map(|(until, _)| *until);
        let job = Job { work, deadline };
        let mut state = shared.state();
        if state.is_closed {
            return Err(Refused);
        }
        let has_room = state.waiting.len() < shared.most_waiting;
        let thread = state.running.len();
        let is_for_new_thread = state.idle <= state.waiting.len() && thread < shared.most_threads;
        if state.idle <= state.waiting.len() && !is_for_new_thread && !has_room {
            return Err(Refused);
        }
        let needs_clock = until.is_some_and(|until| shared.tell_clock(&mut state, until));
        let job = match is_for_new_thread {
            true => {
                state.running.push(Running::at(&job));
                Some(job)
            }
            false => {
                state.waiting.push_back(job);
                shared.work.notify_one();
                None
            }
        };
        drop(state);
        if needs_clock {
            self.start_clock();
        }
        job.map_or(Ok(()), |job| self.start_thread(thread, job))
    }

    /// Has the clock look after something that runs elsewhere. Waits for nothing but the same lock.
    ///
    /// # Errors
    /// When as much is watched as may be, or the crew has ended.
    pub(crate) fn watch(&self, deadline: Deadline) -> Result<Watched, Refused> {
        let shared = &self.shared;
        let mut state = shared.state();
        if state.is_closed || state.watched.len() >= shared.most_watched {
            return Err(Refused);
        }
        let needs_clock = shared.tell_clock(&mut state, deadline.0);
        state.last_watched += 1;
        let number = state.last_watched;
        state.watched.insert(number, Some(deadline));
        drop(state);
        if needs_clock {
            self.start_clock();
        }
        Ok(Watched {
            shared: Arc::clone(shared),
            number,
        })
    }

    fn start_thread(&self, thread: usize, job: Job) -> Result<(), Refused> {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name(format!("switchover-{}", shared.name))
            .spawn(move || shared.work(thread, job));
        started.map(drop).map_err(|error| {
            tracing::warn!(%error, "the system gives no thread for what runs beside calls");
            // Its place goes to the next who asks, if nobody has taken one after it.
            let mut state = self.shared.state();
            match state.running.len() == thread + 1 {
                true => drop(state.running.pop()),
                false => state.finish(thread),
            }
            Refused
        })
    }

    fn start_clock(&self) {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name(format!("switchover-{}-clock", shared.name))
            .spawn(move || shared.watch());
        if started.is_err() {
            // The next who asks tries again.
            self.shared.state().has_clock = false;
        }
    }

    /// Waits until all that was offered is done; `false` when it takes longer than that.
    pub(crate) fn rest(&self, until: Instant) -> bool {
        let mut state = self.shared.state();
        while !state.is_at_rest() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.rest.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Takes nothing any more, and forgets what waits. What is under way is not waited for; the
    /// threads end by themselves.
    pub(crate) fn close(&self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.shared.work.notify_all();
        self.shared.clock.notify_all();
        self.shared.rest.notify_all();
        waiting.into_iter().for_each(Job::forget);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // In a forked child its threads are the parent's, and one of them may have held the lock.
        if self.process == std::process::id() {
            self.close();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the clock look in time. Whether it has to be started for that.
    fn tell_clock(&self, state: &mut State, until: Instant) -> bool {
        if state.clock_wakes.is_none_or(|wakes| until < wakes) {
            self.clock.notify_one();
        }
        !std::mem::replace(&mut state.has_clock, true)
    }

    /// A thread's life.
    fn work(&self, thread: usize, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            // What it holds is dropped in there, too.
            let _ = catch_unwind(AssertUnwindSafe(job.work));
            next = self.next(thread);
        }
    }

    fn next(&self, thread: usize) -> Option<Job> {
        let mut state = self.state();
        state.finish(thread);
        if state.is_at_rest() {
            self.rest.notify_all();
        }
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                if let Some(place) = state.running.get_mut(thread) {
                    *place = Running::at(&job);
                }
                return Some(job);
            }
            state.idle += 1;
            let waited = self.work.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// The clock's life.
    fn watch(&self) {
        loop {
            let mut state = self.state();
            if state.is_closed {
                return;
            }
            let now = Instant::now();
            let (begun, waiting) = state.take_late(now);
            if begun.is_empty() && waiting.is_empty() {
                state.clock_wakes = state.next_deadline();
                // Nobody panics under this lock; and if somebody did, what is there is whole.
                match state.clock_wakes {
                    None => drop(self.clock.wait(state)),
                    Some(at) => {
                        let left = at.saturating_duration_since(now);
                        drop(self.clock.wait_timeout(state, left));
                    }
                }
                continue;
            }
            if state.is_at_rest() {
                self.rest.notify_all();
            }
            drop(state);
            for late in begun {
                let _ = catch_unwind(AssertUnwindSafe(|| late.late(true)));
            }
            for job in waiting {
                let late = job.deadline.as_ref().map(|(_, late)| Arc::clone(late));
                job.forget();
                let _ = catch_unwind(AssertUnwindSafe(|| late.map(|late| late.late(false))));
            }
        }
    }
}

impl State {
    fn is_at_rest(&self) -> bool {
        self.waiting.is_empty() && !self.running.iter().any(|running| running.is_busy)
    }

    fn finish(&mut self, thread: usize) {
        if let Some(place) = self.running.get_mut(thread) {
            *place = Running::default();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let running = self.running.iter().filter_map(|it| it.deadline.as_ref());
        let waiting = self.waiting.iter().filter_map(|it| it.deadline.as_ref());
        let watched = self.watched.values().filter_map(Option::as_ref);
        let all = running.chain(waiting).chain(watched);
        all.map(|(until, _)| *until).min()
    }

    /// Who is to hear that work is under way for too long, and the work that has waited for too long.
    fn take_late(&mut self, now: Instant) -> (Vec<Arc<dyn Late>>, VecDeque<Job>) {
        let is_late = |deadline: &mut Deadline| deadline.0 <= now;
        let running = self.running.iter_mut();
        let running = running.filter_map(|it| it.deadline.take_if(is_late));
        let watched = self.watched.values_mut();
        let watched = watched.filter_map(|it| it.take_if(is_late));
        let begun = running.chain(watched).map(|(_, late)| late).collect();
        let waits_too_long = |job: &Job| job.deadline.as_ref().is_some_and(|(at, _)| *at <= now);
        if !self.waiting.iter().any(waits_too_long) {
            return (begun, VecDeque::new());
        }
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (late, others) = all.partition(waits_too_long);
        self.waiting = others;
        (begun, late)
    }
}

impl Running {
    fn at(job: &Job) -> Running {
        Running {
            is_busy: true,
            deadline: job.deadline.clone(),
        }
    }
}

impl Job {
    /// Drops what it holds, which may be anybody's.
    fn forget(self) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.work)));
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Crew").field(&self.shared.name).finish()
    }
}

#[cfg(test)]
mod tests;
