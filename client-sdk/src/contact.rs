//! Whether this process knows who the authority is.
//!
//! Flips wait for every process that the server knows to write. So one that it knows, and that hears of
//! each hold, may copy from the side that it takes for the authority. One that is cut off may be wrong:
//! a maintainer can have declared it gone. It goes on writing, and copies nothing until it is back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a report that the server has answered. Later the server counts the process as vanished (15 s
/// after the last report that it has on record, which may be 5 s older), and somebody may say that it is
/// gone.
const AFTER_ANSWER: Duration = Duration::from_secs(10);
/// After anything was heard on the stream: two and a half heartbeats.
const AFTER_STREAM: Duration = Duration::from_secs(25);

#[derive(Debug)]
pub(crate) struct Contact {
    has_server: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the last report was sent that was answered, and the revision that the answer named.
    answered: Option<(Instant, u64)>,
    until: Option<Instant>,
    is_closed: bool,
}

/// What the process knows of the server's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// The revision that it decides by; `None` where that is not the server's own.
    pub(crate) live: Option<u64>,
    /// When it last heard from the server.
    pub(crate) at: Option<Instant>,
}

impl Contact {
    /// Without a server nobody moves a key but the process itself.
    pub(crate) fn new(has_server: bool) -> Contact {
        Contact {
            has_server,
            inner: Mutex::default(),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        let inner = self.lock();
        !inner.is_closed
            && (!self.has_server || inner.until.is_some_and(|until| Instant::now() < until))
    }

    /// The server has answered a report that was sent at this time.
    pub(crate) fn answered(&self, sent: Instant, revision: u64) {
        self.lock().answered = Some((sent, revision));
    }

    /// Looks again, by what the process has heard. Says whether contact is made by that.
    pub(crate) fn look(&self, heard: Heard, now: Instant) -> bool {
        let mut inner = self.lock();
        let was_there = inner.until.is_some_and(|until| now < until);
        inner.until = inner.until_when(heard);
        let is_there = inner.until.is_some_and(|until| now < until);
        is_there && !was_there
    }

    /// Ends it: the process says goodbye.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn until_when(&self, heard: Heard) -> Option<Instant> {
        let (sent, revision) = self.answered?;
        let is_current = heard.live? >= revision;
        let until = (sent + AFTER_ANSWER).min(heard.at? + AFTER_STREAM);
        is_current.then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_an_answer_and_the_state_that_the_answer_names() {
        let contact = Contact::new(true);
        let now = Instant::now();
        let heard = |live| Heard {
            live,
            at: Some(now),
        };
        assert!(!contact.look(heard(Some(7)), now));
        contact.answered(now, 8);
        assert!(!contact.look(heard(None), now));
        assert!(!contact.look(heard(Some(7)), now));
        assert!(!contact.is_there());
        assert!(contact.look(heard(Some(8)), now));
        assert!(contact.is_there());
        assert!(!contact.look(heard(Some(9)), now), "it was there before");
        contact.close();
        assert!(!contact.is_there());
    }

    #[test]
    fn silence_on_either_way_ends_it() {
        let contact = Contact::new(true);
        let began = Instant::now();
        contact.answered(began, 1);
        let heard = |seconds| Heard {
            live: Some(1),
            at: Some(began + Duration::from_secs(seconds)),
        };
        assert!(contact.look(heard(5), began));
        // The answers stay away.
        assert!(!contact.look(heard(20), began + Duration::from_secs(11)));
        contact.answered(began + Duration::from_secs(19), 1);
        assert!(contact.look(heard(20), began + Duration::from_secs(20)));
        // The stream does.
        contact.answered(began + Duration::from_secs(60), 1);
        assert!(!contact.look(heard(20), began + Duration::from_secs(60)));
    }

    #[test]
    fn without_a_server_there_is_nobody_to_lose() {
        assert!(Contact::new(false).is_there());
    }
}
