//! Two stores, a server and processes that die, all in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Copying, Doubled};
use crate::authority::{Authority, Form};
use crate::backoff::Delays;
use crate::decide::Path;
use crate::rollout::RouteKey;
use crate::store::{Both, Checksum, Copied, CopyError, Pair, Saved, Store, StoreError};
use crate::transport::{Failure, ReportFailure};
use crate::writers::{
    BackfillOrder, BackfillProgress, BackfillStart, BackfillState, ConsistencyResult, Step,
};

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rows: Mutex<BTreeMap<String, i64>>,
    /// Keys that cannot be written.
    pub(crate) broken: Mutex<BTreeSet<String>>,
    /// Whether it can compute checksums.
    pub(crate) has_checksums: AtomicBool,
    /// Rows that were loaded.
    pub(crate) loads: AtomicU64,
}

impl Store for Table {
    type Row = i64;

    fn load(&self, key: &str) -> Result<Option<i64>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Ok(self.rows.lock().unwrap().get(key).copied())
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&i64>,
        row: Option<&i64>,
        _generation: u64,
    ) -> Result<Saved, StoreError> {
        if self.broken.lock().unwrap().contains(key) {
            return Err("the disk is full".into());
        }
        let mut rows = self.rows.lock().unwrap();
        if rows.get(key) != expected {
            return Ok(Saved::Changed);
        }
        match row {
            Some(row) => drop(rows.insert(key.to_owned(), *row)),
            None => drop(rows.remove(key)),
        }
        Ok(Saved::Stored)
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let rows = self.rows.lock().unwrap();
        let is_after = |next: &&String| key.is_none_or(|key| next.as_str() > key);
        Ok(rows.keys().filter(is_after).take(limit).cloned().collect())
    }

    fn checksum(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<Checksum>, StoreError> {
        if !self.has_checksums.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut checksum = Checksum::default();
        for (key, row) in self.rows.lock().unwrap().iter() {
            let key = key.as_str();
            if after.is_none_or(|after| key > after) && up_to.is_none_or(|up_to| key <= up_to) {
                checksum.rows += 1;
                checksum.sum = checksum.sum.wrapping_add(row * 31 + 7);
            }
        }
        Ok(Some(checksum))
    }
}

/// Two tables.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) old: Arc<Table>,
    pub(crate) new: Arc<Table>,
}

impl Disk {
    /// The old one with this many rows; the new one is empty.
    pub(crate) fn with(rows: u64) -> Disk {
        let disk = Disk::default();
        let mut old = disk.old.rows.lock().unwrap();
        old.extend((0..rows).map(|n| (format!("k{n:06}"), i64::try_from(n).unwrap())));
        drop(old);
        disk
    }

    pub(crate) fn are_equal(&self) -> bool {
        *self.old.rows.lock().unwrap() == *self.new.rows.lock().unwrap()
    }
}

/// What the server keeps, and does when.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) backfill: Option<BackfillOrder>,
    runner: String,
    number: u32,
    pub(crate) failed: BTreeSet<String>,
    /// Messages about progress, as they came for the first time.
    pub(crate) parts: Vec<BackfillProgress>,
    pub(crate) results: Vec<ConsistencyResult>,
    /// How often each request is answered with a failure before it is taken, and after.
    pub(crate) lost: (u32, u32),
    tries: u32,
    /// What becomes of the backfill once so many parts have come, and asks after that.
    pub(crate) script: BTreeMap<usize, BackfillState>,
    pub(crate) asks: u32,
    pub(crate) refuses: Option<String>,
}

impl Server {
    fn post(&mut self, path: &str, body: &[u8]) -> Result<String, ReportFailure> {
        let later = || Err(ReportFailure::Later(Failure::failed("lost")));
        if let Some(why) = &self.refuses {
            return Err(ReportFailure::Refused(why.clone()));
        }
        self.tries += 1;
        if self.tries <= self.lost.0 {
            return later();
        }
        let answer = match path.strip_prefix("/sdk/v1/backfills/") {
            _ if path == "/sdk/v1/consistency" => {
                self.results.push(read(body));
                return Ok(String::new());
            }
            None => self.start(&read(body)),
            Some(id) => self.take(id, read(body)),
        };
        if self.tries <= self.lost.0 + self.lost.1 {
            return later();
        }
        self.tries = 0;
        Ok(serde_json::to_string(&answer).unwrap())
    }

    fn start(&mut self, start: &BackfillStart) -> BackfillOrder {
        self.runner.clone_from(&start.instance);
        let is_void = |order: &BackfillOrder| order.state == BackfillState::Reset;
        if start.anew || self.backfill.as_ref().is_none_or(is_void) {
            self.number += 1;
            self.backfill = Some(BackfillOrder {
                id: format!("b{}", self.number),
                state: BackfillState::Running,
                cursor: None,
                keys: 0,
                copied: 0,
                failed: 0,
                total: start.total,
            });
        }
        self.backfill.clone().unwrap()
    }

    fn take(&mut self, id: &str, part: BackfillProgress) -> BackfillOrder {
        let order = self.backfill.as_mut().unwrap();
        assert_eq!(order.id, id);
        if part.instance != self.runner {
            let state = BackfillState::TakenOver;
            return BackfillOrder {
                state,
                ..order.clone()
            };
        }
        let is_new = part.cursor.is_some() && part.cursor > order.cursor;
        if is_new {
            order.cursor.clone_from(&part.cursor);
            order.keys += part.keys;
            order.copied += part.copied;
            order.failed += u64::try_from(part.failed.len()).unwrap();
            self.failed.extend(part.failed.iter().cloned());
            self.parts.push(part.clone());
        }
        if part.complete {
            order.state = BackfillState::Complete;
        }
        if order.state == BackfillState::Paused {
            self.asks += 1;
            if self.asks >= 3 {
                order.state = BackfillState::Running;
            }
        } else if let Some(state) = self.script.remove(&self.parts.len()) {
            order.state = state;
        }
        order.clone()
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

type Meanwhile = Box<dyn FnMut(&Process) + Send>;
type AtProcess = Box<dyn Fn(&Process) + Send>;
type AtKey = Box<dyn Fn(&Process, &str) + Send>;

/// A process. It dies after so many things that it does: then nothing of what it does happens.
pub(crate) struct Process {
    route: RouteKey,
    pub(crate) name: String,
    server: Option<Arc<Mutex<Server>>>,
    stores: Both<Table, Table>,
    pub(crate) lives: AtomicI64,
    /// Whether what it dies of is an answer that it does not hear.
    pub(crate) dies_after: bool,
    /// Keys in the order in which their copies began.
    pub(crate) copies: Mutex<Vec<String>>,
    /// The most keys that were asked for at once.
    pub(crate) most_keys: AtomicU64,
    pub(crate) authority: Mutex<Authority>,
    /// Keys whose authority is the new store.
    pub(crate) moved: Mutex<BTreeSet<String>>,
    /// Keys that are about to move.
    pub(crate) moving: Mutex<BTreeSet<String>>,
    pub(crate) is_ready: AtomicBool,
    pub(crate) waited: Mutex<Duration>,
    /// What happens while it waits, with how often it has waited.
    pub(crate) meanwhile: Mutex<Meanwhile>,
    /// What happens between the old store's checksum and the new one's.
    pub(crate) between_checksums: Mutex<AtProcess>,
    /// What happens while a key is copied.
    pub(crate) during_copies: Mutex<AtKey>,
}

impl Process {
    pub(crate) fn new(name: &str, disk: &Disk, server: Option<&Arc<Mutex<Server>>>) -> Process {
        Process {
            route: "equipment".parse().unwrap(),
            name: name.to_owned(),
            server: server.cloned(),
            stores: Both {
                old: Arc::clone(&disk.old),
                new: Arc::clone(&disk.new),
            },
            lives: AtomicI64::new(i64::MAX),
            dies_after: false,
            copies: Mutex::default(),
            most_keys: AtomicU64::new(0),
            authority: Mutex::new(Authority::new(Form {
                generation: 1,
                held: false,
            })),
            moved: Mutex::default(),
            moving: Mutex::default(),
            is_ready: AtomicBool::new(true),
            waited: Mutex::default(),
            meanwhile: Mutex::new(Box::new(|_| {})),
            between_checksums: Mutex::new(Box::new(|_| {})),
            during_copies: Mutex::new(Box::new(|_, _| {})),
        }
    }

    pub(crate) fn stores(&self) -> &Both<Table, Table> {
        &self.stores
    }

    /// Whether it is still there to do something.
    fn is_alive(&self) -> bool {
        self.lives.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

impl Pair for Process {
    fn copy(&self, key: &str, authority: Path, generation: u64) -> Result<Copied, CopyError> {
        if !self.is_alive() {
            return Err(CopyError {
                step: Step::LoadOld,
                source: None,
            });
        }
        self.copies.lock().unwrap().push(key.to_owned());
        let during = self.during_copies.lock();
        let during = during.unwrap_or_else(PoisonError::into_inner);
        during(self, key);
        self.stores.copy(key, authority, generation)
    }

    fn compare(&self, key: &str, authority: Path) -> Result<Option<bool>, CopyError> {
        self.stores.compare(key, authority)
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, CopyError> {
        let most = u64::try_from(limit).unwrap();
        self.most_keys.fetch_max(most, Ordering::Relaxed);
        self.stores.keys_after(key, limit)
    }

    fn checksums(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<[Checksum; 2]>, CopyError> {
        let failed = |source| CopyError {
            step: Step::LoadOld,
            source: Some(source),
        };
        let old = self.stores.old.checksum(after, up_to).map_err(failed)?;
        (self.between_checksums.lock().unwrap())(self);
        let new = self.stores.new.checksum(after, up_to).map_err(failed)?;
        Ok(old.zip(new).map(|(old, new)| [old, new]))
    }

    fn is_fenced(&self) -> bool {
        false
    }

    fn raise(&self, _: Path, _: u64) -> Result<(), CopyError> {
        Ok(())
    }
}

impl Doubled for &Process {
    fn pair(&self) -> &dyn Pair {
        *self
    }

    fn route(&self) -> &RouteKey {
        &self.route
    }

    fn instance(&self) -> String {
        self.name.clone()
    }

    fn generation(&self) -> u64 {
        self.authority.lock().unwrap().form().generation
    }

    fn authority_of(&self, key: &str) -> Path {
        match self.moved.lock().unwrap().contains(key) {
            true => Path::New,
            false => Path::Old,
        }
    }

    fn copy(&self, key: &str) -> Copying {
        let moves = self.moving.lock().unwrap().contains(key);
        let Some(token) = self.authority.lock().unwrap().begin(moves) else {
            return Copying::Moves;
        };
        let (path, generation) = (self.authority_of(key), token.generation());
        let pair = AssertUnwindSafe(|| Pair::copy(*self, key, path, generation));
        let copied = catch_unwind(pair);
        match self.authority.lock().unwrap().end(token) {
            true => Copying::AtRisk,
            false => Copying::Ended(copied.map_or(Err(None), |copied| copied.map_err(Some))),
        }
    }

    fn is_ready(&self, _patience: Duration) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    fn post(&self, path: &str, body: &[u8]) -> Option<Result<String, ReportFailure>> {
        let server = self.server.as_ref()?;
        let later = Err(ReportFailure::Later(Failure::failed("dead")));
        if self.is_alive() {
            return Some(server.lock().unwrap().post(path, body));
        }
        if self.dies_after && self.lives.load(Ordering::Relaxed) == -1 {
            let _ = server.lock().unwrap().post(path, body);
        }
        Some(later)
    }

    fn delays(&self) -> Delays {
        Delays {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            slow: Duration::from_secs(300),
        }
    }

    fn wait(&self, time: Duration) -> bool {
        *self.waited.lock().unwrap() += time;
        (self.meanwhile.lock().unwrap())(self);
        self.lives.load(Ordering::Relaxed) > 0
    }
}
