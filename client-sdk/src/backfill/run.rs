//! A backfill that runs.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use super::{Backfill, BackfillError, BackfillReport};
use crate::doubled::{self, Doubled, Ended, Outcome};
use crate::progress::{BackfillStatus, Speed};
use crate::writers::{
    BackfillOrder, BackfillProgress, BackfillStart, BackfillState, LONGEST_KEY, MOST_KEYS,
};

/// How many keys are copied before it is looked at what is to be told.
const SLICE: usize = 100;
/// The most bytes of failed keys in one message, before those of another slice.
const MOST_FAILED_BYTES: usize = 48 * 1024;
/// How long a batch may take until the server hears of its first part.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How often a paused backfill asks whether it may go on.
const ASK: Duration = Duration::from_secs(1);
/// How often a store is asked for its next keys.
const MOST_READS: u32 = 5;
/// How long it waits for what the server says about the route, before it begins.
const READY: Duration = Duration::from_secs(30);
/// How long the server may be away: a backfill has time.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// See [`Backfill::run`].
pub(super) fn run(options: Backfill<'_>) -> Result<BackfillReport, BackfillError> {
    let begun = Instant::now();
    if !options.doubled.is_ready(READY) {
        return Err(BackfillError::NotReady);
    }
    let order = start(&options, options.anew)?;
    let run = Run {
        resumed: order.cursor.is_some(),
        begun,
        speed: Speed::default(),
        options,
    };
    run.run_out(order)
}

fn start(options: &Backfill<'_>, anew: bool) -> Result<BackfillOrder, BackfillError> {
    let message = BackfillStart {
        instance: options.doubled.instance(),
        route: options.doubled.route().clone(),
        batch: options.batch,
        total: options.total,
        anew,
    };
    tell(&*options.doubled, "/sdk/v1/backfills", &message)
}

fn tell(
    doubled: &dyn Doubled,
    path: &str,
    message: &impl serde::Serialize,
) -> Result<BackfillOrder, BackfillError> {
    let order: BackfillOrder = doubled::tell(doubled, path, message, PATIENCE)?;
    // It becomes a part of a path.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !order.id.is_empty() && order.id.bytes().all(is_plain) {
        true => Ok(order),
        false => Err(BackfillError::Refused(
            "it names the backfill in an unknown way".to_owned(),
        )),
    }
}

/// What of a batch is done and not told yet.
#[derive(Default)]
struct Part {
    cursor: Option<String>,
    keys: u64,
    copied: u64,
    failed: Vec<String>,
    failed_bytes: usize,
}

impl Part {
    fn add(&mut self, key: &str, outcome: Outcome) {
        self.keys = self.keys.saturating_add(1);
        match outcome {
            Outcome::Equal => {}
            Outcome::Copied => self.copied = self.copied.saturating_add(1),
            Outcome::Failed => {
                self.failed_bytes = self.failed_bytes.saturating_add(key.len());
                self.failed.push(key.to_owned());
            }
        }
    }

    /// Whether another slice might not find room in one message.
    fn is_large(&self) -> bool {
        self.failed.len() > MOST_KEYS.saturating_sub(SLICE) || self.failed_bytes > MOST_FAILED_BYTES
    }

    fn failed(&self) -> u64 {
        u64::try_from(self.failed.len()).unwrap_or(u64::MAX)
    }
}

/// A backfill that runs.
struct Run<'a> {
    options: Backfill<'a>,
    resumed: bool,
    begun: Instant,
    speed: Speed,
}

impl Run<'_> {
    fn run_out(mut self, mut order: BackfillOrder) -> Result<BackfillReport, BackfillError> {
        loop {
            self.show(&order, &Part::default());
            order = match order.state {
                BackfillState::Running => self.batch(order)?,
                BackfillState::Paused => {
                    self.rest(ASK)?;
                    self.ask(&order)?
                }
                BackfillState::Reset => {
                    self.rest(ASK)?;
                    self.resumed = false;
                    start(&self.options, false)?
                }
                BackfillState::TakenOver => return Err(BackfillError::TakenOver),
                BackfillState::Complete => return Ok(self.report(order)),
            };
        }
    }

    /// The next batch, and the pause after it. Ends early when the server has other orders.
    fn batch(&mut self, mut order: BackfillOrder) -> Result<BackfillOrder, BackfillError> {
        let most = usize::try_from(self.options.batch).unwrap_or(usize::MAX);
        // One more than asked for tells whether there are more.
        let mut keys = self.keys(order.cursor.as_deref(), most.saturating_add(1))?;
        let is_last = keys.len() <= most;
        keys.truncate(most);
        let mut part = Part {
            cursor: order.cursor.clone(),
            ..Part::default()
        };
        let mut told = Instant::now();
        let mut slices = keys.chunks(SLICE).peekable();
        loop {
            let slice = slices.next().unwrap_or_default();
            for (key, outcome) in slice.iter().zip(self.copy(slice)?) {
                part.add(key, outcome);
            }
            if let Some(last) = slice.last() {
                part.cursor = Some(last.clone());
            }
            let is_end = slices.peek().is_none();
            if !is_end && !part.is_large() && told.elapsed() < SIGN_OF_LIFE {
                self.show(&order, &part);
                continue;
            }
            let done = part.cursor.clone();
            order = self.tell(&order, mem::take(&mut part), is_end && is_last)?;
            told = Instant::now();
            if is_end || order.state != BackfillState::Running || order.cursor != done {
                break;
            }
        }
        if order.state == BackfillState::Running {
            self.show(&order, &Part::default());
            self.rest(self.options.pause)?;
        }
        Ok(order)
    }

    fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BackfillError> {
        let mut wait = Duration::from_millis(500);
        let mut reads = 1;
        let keys = loop {
            match doubled::keys_after(&*self.options.doubled, after, limit) {
                Ok(keys) => break keys,
                Err(error) if reads >= MOST_READS => return Err(BackfillError::Store(error)),
                Err(_) => self.rest(wait)?,
            }
            reads += 1;
            wait = wait.saturating_mul(2);
        };
        let is_legal = |key: &String| (1..=LONGEST_KEY).contains(&key.len());
        match keys.iter().all(is_legal) {
            true => Ok(keys),
            false => Err(BackfillError::Key),
        }
    }

    /// What came of each key, in their order.
    fn copy(&self, keys: &[String]) -> Result<Vec<Outcome>, Ended> {
        let doubled = &*self.options.doubled;
        let copy_all = |keys: &[String]| -> Result<Vec<Outcome>, Ended> {
            keys.iter().map(|key| doubled::copy(doubled, key)).collect()
        };
        let copy_all = &copy_all;
        let share = keys.len().div_ceil(self.options.workers).max(1);
        if share == keys.len() {
            return copy_all(keys);
        }
        thread::scope(|scope| {
            let shares = keys.chunks(share).map(|keys| {
                let name = thread::Builder::new().name("switchover-backfill".to_owned());
                (keys, name.spawn_scoped(scope, move || copy_all(keys)))
            });
            // All begin before the first is waited for.
            let shares: Vec<_> = shares.collect();
            let mut outcomes = Vec::with_capacity(keys.len());
            for (keys, worker) in shares {
                outcomes.extend(match worker {
                    // Nothing in it panics; were it to, its keys are to be looked at again.
                    Ok(worker) => match worker.join() {
                        Ok(outcomes) => outcomes?,
                        Err(_) => vec![Outcome::Failed; keys.len()],
                    },
                    // The system gives no thread.
                    Err(_) => copy_all(keys)?,
                });
            }
            Ok(outcomes)
        })
    }

    fn tell(
        &self,
        order: &BackfillOrder,
        part: Part,
        complete: bool,
    ) -> Result<BackfillOrder, BackfillError> {
        let message = BackfillProgress {
            instance: self.options.doubled.instance(),
            cursor: part.cursor,
            keys: part.keys,
            copied: part.copied,
            failed: part.failed,
            complete,
        };
        let path = format!("/sdk/v1/backfills/{}", order.id);
        tell(&*self.options.doubled, &path, &message)
    }

    fn ask(&self, order: &BackfillOrder) -> Result<BackfillOrder, BackfillError> {
        self.tell(order, Part::default(), false)
    }

    fn rest(&self, time: Duration) -> Result<(), Ended> {
        doubled::rest(&*self.options.doubled, time)
    }

    fn show(&mut self, order: &BackfillOrder, part: &Part) {
        let Some(progress) = &mut self.options.progress else {
            return;
        };
        let keys = order.keys.saturating_add(part.keys);
        self.speed.read(self.begun.elapsed(), keys);
        let total = self.options.total.or(order.total);
        progress.show(&BackfillStatus {
            route: self.options.doubled.route().to_string(),
            state: order.state,
            keys,
            copied: order.copied.saturating_add(part.copied),
            failed: order.failed.saturating_add(part.failed()),
            total,
            per_second: self.speed.per_second(),
            left: total.and_then(|total| self.speed.left(total)),
        });
    }

    fn report(self, order: BackfillOrder) -> BackfillReport {
        BackfillReport {
            id: order.id,
            keys: order.keys,
            copied: order.copied,
            failed: order.failed,
            resumed: self.resumed,
            took: self.begun.elapsed(),
        }
    }
}
