//! What comes in is handed to one writer, which commits what there is at once and then answers all
//! who handed it in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use crate::domain::telemetry::REPORTS_KEPT_MINUTES;
use crate::gathering::gathered;
use crate::store::StoreError;
use crate::telemetry::{Arrived, Outcome, TelemetryStore};

/// Batches that wait.
const MOST_WAITING: usize = 8_192;
/// Bytes of batches that wait, as they were sent.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// How long the first batch of a transaction waits for others.
const GATHERING: Duration = Duration::from_millis(20);
/// How often the writer looks what is to be forgotten when nothing comes in.
const IDLE: Duration = Duration::from_secs(1);
/// How often old reports are forgotten, by the server's clock.
const FORGET_EVERY_SECONDS: i64 = 60;

/// Why a batch was not taken. Nothing of it is counted, and trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// More comes in than can be written.
    Overloaded,
    /// The database cannot be used now.
    NoStore,
}

/// Takes batches.
pub struct Ingest {
    /// Nothing is the end.
    sender: SyncSender<Option<Handed>>,
    waiting: Arc<AtomicUsize>,
}

struct Handed {
    arrived: Arrived,
    answer: oneshot::Sender<Result<Outcome, NotTaken>>,
    /// Given back when the batch is done with.
    _bytes: Bytes,
}

/// Bytes that wait, as long as this lives.
struct Bytes {
    waiting: Arc<AtomicUsize>,
    size: usize,
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// Writes batches, on a thread of its own.
pub struct Writer {
    store: Arc<TelemetryStore>,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    receiver: Receiver<Option<Handed>>,
    forgot_at: Option<DateTime<Utc>>,
}

impl Ingest {
    /// A way in, and the writer at its end.
    #[must_use]
    pub fn new(
        store: Arc<TelemetryStore>,
        clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ) -> (Ingest, Writer) {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let ingest = Ingest {
            sender,
            waiting: Arc::default(),
        };
        let writer = Writer {
            store,
            clock,
            receiver,
            forgot_at: None,
        };
        (ingest, writer)
    }

    /// Hands in a batch that was sent as so many bytes; answers when it is durable.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn hand_in(&self, arrived: Arrived, size: usize) -> Result<Outcome, NotTaken> {
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        let bytes = Bytes {
            waiting: Arc::clone(&self.waiting),
            size,
        };
        if before.saturating_add(size) > MOST_BYTES {
            return Err(NotTaken::Overloaded);
        }
        let (answer, answered) = oneshot::channel();
        let handed = Handed {
            arrived,
            answer,
            _bytes: bytes,
        };
        self.sender
            .try_send(Some(handed))
            .map_err(|_| NotTaken::Overloaded)?;
        answered.await.unwrap_or(Err(NotTaken::NoStore))
    }

    /// Lets the writer end when it has written what was handed in.
    pub fn stop(&self) {
        // Where it has ended already, nobody listens.
        let _ = self.sender.send(None);
    }
}

impl Writer {
    /// Writes until it is told to stop.
    pub fn run(mut self) {
        loop {
            let (group, stops) = gathered(&self.receiver, IDLE, GATHERING);
            if !group.is_empty() {
                self.write(group);
            }
            if stops {
                return;
            }
            self.forget();
        }
    }

    fn write(&self, group: Vec<Handed>) {
        let now = (self.clock)();
        let (arrived, waiting): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|handed| (handed.arrived, (handed.answer, handed._bytes)))
            .unzip();
        match self
            .store
            .write::<_, StoreError>(|tx| tx.take(&arrived, now))
        {
            Ok(outcomes) => {
                for ((answer, _), outcome) in waiting.into_iter().zip(outcomes) {
                    // A sender that has gone sends it again, and is told that it was counted.
                    let _ = answer.send(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::warn!(%error, batches = waiting.len(), "reports cannot be counted now");
                for (answer, _) in waiting {
                    let _ = answer.send(Err(NotTaken::NoStore));
                }
            }
        }
    }

    fn forget(&mut self) {
        let now = (self.clock)();
        let is_due = self.forgot_at.is_none_or(|at| {
            let since = now.signed_duration_since(at).num_seconds();
            !(0..FORGET_EVERY_SECONDS).contains(&since)
        });
        if !is_due {
            return;
        }
        self.forgot_at = Some(now);
        if let Err(error) = self.store.forget_old(now) {
            tracing::warn!(%error, "old reports are still kept");
        }
    }
}

impl TelemetryStore {
    /// Forgets what is kept no longer.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_old(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let before = now - chrono::Duration::minutes(REPORTS_KEPT_MINUTES);
        // Each in a transaction of its own: others want to write.
        while self.write::<_, StoreError>(|tx| tx.forget_reports(before))? > 0 {}
        self.write::<_, StoreError>(|tx| tx.forget_windows(now))?;
        self.write::<_, StoreError>(|tx| tx.forget_usage(now))?;
        self.write::<_, StoreError>(|tx| tx.forget_instances(now))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use switchover::Batch;

    use super::*;
    use crate::store::Database;

    fn arrived() -> Arrived {
        let batch = r#"{"sequence":1,"instance":{"id":"i","name":"n","application":"a",
            "version":"1","sdk":"rust/0"}}"#;
        Arrived {
            environment: "dev".parse().unwrap(),
            epoch: "e".to_owned(),
            batch: Batch::from_json(batch.as_bytes()).unwrap(),
        }
    }

    /// What becomes of a batch while nobody writes.
    fn hand_in(ingest: &Ingest, size: usize) -> Poll<Result<Outcome, NotTaken>> {
        let handed = pin!(ingest.hand_in(arrived(), size));
        handed.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn more_than_may_wait_is_refused_at_once() {
        let store = TelemetryStore::beside(&Database::Sqlite("nowhere/switchover.db".into()));
        let clock = Arc::new(|| DateTime::UNIX_EPOCH);
        let (ingest, writer) = Ingest::new(Arc::new(store), clock);
        let refused = Poll::Ready(Err(NotTaken::Overloaded));
        assert_eq!(hand_in(&ingest, MOST_BYTES + 1), refused);
        assert_eq!(hand_in(&ingest, MOST_BYTES), Poll::Pending);
        assert_eq!(hand_in(&ingest, 1), refused);
        for _ in 1..MOST_WAITING {
            assert_eq!(hand_in(&ingest, 0), Poll::Pending);
        }
        assert_eq!(hand_in(&ingest, 0), refused);
        // With the batches goes what they took.
        drop(writer);
        assert_eq!(hand_in(&ingest, 1), refused, "nobody takes it");
        assert_eq!(ingest.waiting.load(Ordering::Relaxed), 0);
    }
}
