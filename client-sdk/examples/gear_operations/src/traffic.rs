//! The application: threads that write and read pieces of equipment all the time, as the SDK says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchover::{DataRoute, StoreError, WriteError};

use crate::faults::Faults;
use crate::gear::{Dice, Gear, id};
use crate::ledger::{End, Ledger};
use crate::stores::Equipment;

/// How many pieces everybody writes at once.
const HOT: u64 = 40;
/// Between two requests of one thread.
const BREATH: Duration = Duration::from_millis(20);

/// What the threads share.
pub(crate) struct Application {
    /// The route, with its two stores.
    pub(crate) data: DataRoute,
    /// What the old system's code writes to.
    pub(crate) old: Equipment,
    /// What the new system's code writes to.
    pub(crate) new: Equipment,
    /// What goes wrong with the new system.
    pub(crate) faults: Arc<Faults>,
    /// What was acknowledged.
    pub(crate) ledger: Ledger,
    /// How many users there are.
    pub(crate) users: u64,
    /// The number of the next write.
    next_stamp: AtomicU64,
    /// The number of the next piece.
    next_piece: AtomicU64,
    reads: AtomicU64,
    failed_reads: AtomicU64,
    longest_write_ms: AtomicU64,
    ends: AtomicBool,
    /// Held by whoever writes; taken in full by whoever wants silence.
    silence: RwLock<()>,
}

/// The running threads.
pub(crate) struct Traffic {
    application: Arc<Application>,
    threads: Vec<JoinHandle<()>>,
}

impl Application {
    /// With this many pieces in the old store, which were written by the first writes.
    #[must_use]
    pub(crate) fn new(
        data: DataRoute,
        (old, new): (Equipment, Equipment),
        faults: Arc<Faults>,
        (users, items): (u64, u64),
    ) -> Application {
        let ledger = Ledger::default();
        for n in 0..items {
            let begun = ledger.begin();
            ledger.end(begun, &id(n), Some(n), End::Acknowledged);
        }
        Application {
            data,
            old,
            new,
            faults,
            ledger,
            users,
            next_stamp: AtomicU64::new(items),
            next_piece: AtomicU64::new(items),
            reads: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            longest_write_ms: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            silence: RwLock::new(()),
        }
    }

    /// Waits until nobody writes, and keeps it so until what it gives is dropped.
    pub(crate) fn silence(&self) -> RwLockWriteGuard<'_, ()> {
        self.silence.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, and those of them that failed.
    #[must_use]
    pub(crate) fn reads(&self) -> [u64; 2] {
        [&self.reads, &self.failed_reads].map(|count| count.load(Ordering::Relaxed))
    }

    /// How long the longest write since the last look took.
    pub(crate) fn longest_write(&self) -> Duration {
        Duration::from_millis(self.longest_write_ms.swap(0, Ordering::Relaxed))
    }

    /// One write of twenty enters a piece, and two delete one, which others may enter again. Most meet
    /// on the same few pieces.
    fn write(&self, dice: &mut Dice) {
        let kind = dice.below(20);
        let pieces = self.next_piece.load(Ordering::Relaxed);
        let n = match (kind, dice.below(10)) {
            (0, _) => self.next_piece.fetch_add(1, Ordering::Relaxed),
            (_, 0) => dice.below(pieces),
            _ => dice.below(HOT.min(pieces)),
        };
        let stamp = match kind {
            1 | 2 => None,
            _ => Some(self.next_stamp.fetch_add(1, Ordering::Relaxed)),
        };
        let gear = stamp.map(|stamp| Gear::of_write(stamp, self.users));
        let key = id(n);
        let writing = self.silence.read();
        let (begun, began) = (self.ledger.begin(), Instant::now());
        let written = self
            .data
            .write(key.as_str())
            .old(|generation| self.old.put(&key, gear.as_ref(), generation))
            .new(|generation| self.new.put(&key, gear.as_ref(), generation))
            .run();
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest_write_ms.fetch_max(took, Ordering::Relaxed);
        let end = match written {
            Ok(()) => End::Acknowledged,
            Err(WriteError::Moving | WriteError::Key(_)) => End::Moving,
            Err(WriteError::Failed(_)) => End::Unknown,
        };
        self.ledger.end(begun, &key, stamp, end);
        drop(writing);
    }

    fn read(&self, dice: &mut Dice) {
        let key = id(dice.below(self.next_piece.load(Ordering::Relaxed)));
        let (old, new) = (self.old.clone(), self.new.clone());
        let (in_old, in_new) = (key.clone(), key.clone());
        let faults = Arc::clone(&self.faults);
        let read = self
            .data
            .route()
            .read(key.as_str())
            .old(move || old.get(&in_old))
            .new(move || Ok::<_, StoreError>(faults.shown(new.get(&in_new)?)))
            .compare(|old, new| old == new)
            // A write came between the two reads, or its copy is under way.
            .ignore(|old, new| stamp(old) != stamp(new))
            .run();
        self.reads.fetch_add(1, Ordering::Relaxed);
        if read.is_err() {
            self.failed_reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn stamp(gear: &Option<Gear>) -> Option<u64> {
    gear.as_ref().and_then(Gear::stamp)
}

type Work = fn(&Application, &mut Dice);

impl Traffic {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(
        application: &Arc<Application>,
        writers: u64,
        readers: u64,
    ) -> std::io::Result<Traffic> {
        let mut traffic = Traffic {
            application: Arc::clone(application),
            threads: Vec::new(),
        };
        let work: [(u64, Work); 2] = [(writers, Application::write), (readers, Application::read)];
        for (kind, (threads, work)) in (0..).zip(work) {
            for n in 0..threads {
                let application = Arc::clone(application);
                let mut dice = Dice::new(1_000_000 * kind + 1_000 * n + 7);
                let thread = thread::Builder::new().name("traffic".to_owned());
                traffic.threads.push(thread.spawn(move || {
                    while !application.ends.load(Ordering::Relaxed) {
                        work(&application, &mut dice);
                        thread::sleep(BREATH);
                    }
                })?);
            }
        }
        Ok(traffic)
    }

    /// Ends them, and waits until they have.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.application.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}
