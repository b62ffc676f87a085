//! One message to one receiver: attempts, and when the next is due.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::text::misleads;

/// How long after each failed attempt the next is due, in seconds, before jitter. After the last one
/// the delivery is given up: three days after the first attempt.
const WAITS: [i64; 10] = [
    5, 30, 120, 600, 3_600, 10_800, 28_800, 43_200, 86_400, 86_400,
];
/// How far a wait is off, at most: a fifth of it, so that receivers are not all asked at once.
const JITTER_PARTS: i64 = 5;
/// The longest that a receiver may put off the next attempt.
const LONGEST_WAIT: i64 = 86_400;
/// What is older is not sent any more.
pub const GIVE_UP_AFTER: Duration = Duration::hours(73);
/// The first so many bytes of an answer are kept.
pub const LONGEST_ANSWER: usize = 1_024;
/// So many attempts of a delivery are kept, the latest.
pub const MOST_ATTEMPTS_KEPT: usize = 12;

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its identity. Later ones sort behind.
    pub id: String,
    /// To which webhook.
    pub webhook: String,
    /// The message's name, by which its receiver knows it again.
    pub message: String,
    /// What the event is called.
    pub kind: String,
    /// The entry's place in the record; `None` of a test.
    pub seq: Option<u64>,
    /// On which route.
    pub route: Option<String>,
    /// In which environment.
    pub environment: Option<String>,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// What is sent, to the byte.
    pub body: String,
    /// Since when it is to be sent.
    pub created_at: DateTime<Utc>,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it is sent next.
    pub due_at: Option<DateTime<Utc>>,
    /// Failed attempts since it was last ordered.
    pub tries: u32,
    /// Rises with each attempt and each order: what an attempt came to counts only in the turn that it
    /// was made in.
    pub turn: u32,
    /// The latest attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Who had it sent, where it was not by itself.
    pub ordered_by: Option<String>,
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// Its receiver has it.
    Delivered,
    /// The last attempt failed; another follows.
    Failed,
    /// No attempt follows.
    GivenUp,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 4] = [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::GivenUp,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
            DeliveryState::GivenUp => "given_up",
        }
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// Why there was no answer that will do.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: String,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is kept of it.
    pub attempt: Attempt,
    /// When the receiver wants to be asked again, in seconds from now.
    pub retry_after: Option<u64>,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its receiver has it.
    Delivered,
    /// Another attempt follows.
    Again,
    /// No attempt follows.
    GivenUp,
    /// The receiver says that it is gone for good (410).
    Gone,
}

impl Delivery {
    /// Takes an attempt down and says what follows. `jitter` is random.
    pub fn take(&mut self, outcome: Outcome, jitter: u16, now: DateTime<Utc>) -> Verdict {
        let status = outcome.attempt.status;
        self.turn = self.turn.saturating_add(1);
        self.attempts.push(outcome.attempt);
        let surplus = self.attempts.len().saturating_sub(MOST_ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
        self.due_at = None;
        match status {
            Some(200..=299) => {
                self.state = DeliveryState::Delivered;
                return Verdict::Delivered;
            }
            Some(410) => {
                self.state = DeliveryState::GivenUp;
                return Verdict::Gone;
            }
            _ => {}
        }
        let wait = usize::try_from(self.tries)
            .ok()
            .and_then(|tries| WAITS.get(tries));
        self.tries = self.tries.saturating_add(1);
        let Some(wait) = wait else {
            self.state = DeliveryState::GivenUp;
            return Verdict::GivenUp;
        };
        self.state = DeliveryState::Failed;
        self.due_at = Some(now + next(*wait, outcome.retry_after, jitter));
        Verdict::Again
    }

    /// Orders it anew, from the first attempt on.
    pub fn order(&mut self, by: &str, now: DateTime<Utc>) {
        self.state = DeliveryState::Pending;
        self.due_at = Some(now);
        self.tries = 0;
        self.turn = self.turn.saturating_add(1);
        self.ordered_by = Some(by.to_owned());
    }

    /// Gives it up where it waits.
    pub fn give_up(&mut self) {
        self.state = DeliveryState::GivenUp;
        self.due_at = None;
    }
}

/// The wait, a fifth off at most; longer when the receiver asks for that, within bounds.
fn next(wait: i64, retry_after: Option<u64>, jitter: u16) -> Duration {
    let wait_ms = wait * 1_000;
    let span = 2 * wait_ms / JITTER_PARTS;
    let off = span * i64::from(jitter) / i64::from(u16::MAX) - span / 2;
    let asked = retry_after.map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let asked = asked.min(LONGEST_WAIT) * 1_000;
    Duration::milliseconds((wait_ms + off).max(asked))
}

/// The beginning of an answer, or of what is said about one, as text that neither controls a terminal nor turns the direction of
/// writing.
#[must_use]
pub fn clean(answer: &[u8]) -> String {
    let kept = answer.get(..LONGEST_ANSWER).unwrap_or(answer);
    let text = String::from_utf8_lossy(kept);
    text.chars()
        .map(|c| if misleads(c) { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}
