//! Where processes that write data routes report. What has come in within a few milliseconds is taken
//! in one transaction: when a flip is announced, all of them report at once.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::gathering::gathered;
use crate::service::Services;
use crate::service::writers::{HeardWriter, TakenWriter};

/// Reports that wait.
const MOST_WAITING: usize = 4_096;
/// How long the first report of a transaction waits for others.
const GATHERING: Duration = Duration::from_millis(2);
/// How often it is looked after flips whose time is over, when nobody reports.
const IDLE: Duration = Duration::from_millis(20);
/// The same while the database cannot be used.
const PAUSE: Duration = Duration::from_millis(500);

/// A report was not taken; trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeard;

/// The way in.
pub struct Reception {
    /// Nothing is the end.
    sender: SyncSender<Option<Handed>>,
}

struct Handed {
    heard: HeardWriter,
    answer: oneshot::Sender<Result<TakenWriter, NotHeard>>,
}

/// Takes what comes in, and looks after flips, on a thread of its own.
pub struct Receptionist {
    services: Arc<Services>,
    receiver: Receiver<Option<Handed>>,
}

impl Reception {
    /// A way in, and who takes what comes.
    #[must_use]
    pub fn new(services: Arc<Services>) -> (Reception, Receptionist) {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        (Reception { sender }, Receptionist { services, receiver })
    }

    /// Hands in a report; answers when it is durable.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn hand_in(&self, heard: HeardWriter) -> Result<TakenWriter, NotHeard> {
        let (answer, answered) = oneshot::channel();
        let handed = Some(Handed { heard, answer });
        self.sender.try_send(handed).map_err(|_| NotHeard)?;
        answered.await.unwrap_or(Err(NotHeard))
    }

    /// Ends it when what was handed in is taken.
    pub fn stop(&self) {
        // Where it has ended already, nobody listens.
        let _ = self.sender.send(None);
    }
}

impl Receptionist {
    /// Works until it is told to stop.
    pub fn run(self) {
        let mut idle = IDLE;
        loop {
            let (group, stops) = gathered(&self.receiver, idle, GATHERING);
            if !group.is_empty() {
                self.take(group);
            }
            if stops {
                return;
            }
            idle = if self.services.settle_announced() {
                IDLE
            } else {
                PAUSE
            };
        }
    }

    fn take(&self, group: Vec<Handed>) {
        let (heard, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|handed| (handed.heard, handed.answer))
            .unzip();
        match self.services.take_writers(&heard) {
            Ok(taken) => {
                for (answer, taken) in answers.into_iter().zip(taken) {
                    // A sender that has gone sends it again, and nothing changes.
                    let _ = answer.send(Ok(taken));
                }
                self.services.settle_after(&heard);
            }
            Err(error) => {
                tracing::warn!(%error, reports = answers.len(), "writers cannot be heard now");
                for answer in answers {
                    let _ = answer.send(Err(NotHeard));
                }
            }
        }
    }
}
