//! Whether this process knows who the authority is.
//!
//! Flips wait for every process that the server knows to write. So one that it knows, and that hears of
//! each hold, may copy from the side that it takes for the authority. One that is cut off may be wrong:
//! a maintainer can have declared it gone. It goes on writing, and copies nothing until it is back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    made: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the last report was sent that was answered, and the revision that the answer named, which
    /// the process may have yet to hear of.
    answered: Option<(Instant, u64)>,
    /// The same of the last answer whose revision it has heard of.
    confirmed: Option<Instant>,
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
            made: Condvar::new(),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.lock().is_there(self.has_server)
    }

    /// Waits for it. Whether it is there.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let is_away = |inner: &mut Inner| !inner.is_there(self.has_server) && !inner.is_closed;
        let waited = self.made.wait_timeout_while(self.lock(), timeout, is_away);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.is_there(self.has_server)
    }

    /// The server has answered a report that was sent at this time. Where it had believed the process
    /// to be gone, what was known before is void.
    pub(crate) fn answered(&self, sent: Instant, revision: u64, was_gone: bool) {
        let mut inner = self.lock();
        inner.answered = Some((sent, revision));
        if was_gone {
            inner.confirmed = None;
            inner.until = None;
        }
    }

    /// Looks again, by what the process has heard. Says whether contact is made by that.
    pub(crate) fn look(&self, heard: Heard, now: Instant) -> bool {
        let mut inner = self.lock();
        let was_there = inner.until.is_some_and(|until| now < until);
        inner.until = inner.until_when(heard);
        let is_there = inner.until.is_some_and(|until| now < until);
        drop(inner);
        let is_made = is_there && !was_there;
        if is_made {
            self.made.notify_all();
        }
        is_made
    }

    /// Ends it: the process says goodbye.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.made.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_there(&self, has_server: bool) -> bool {
        let is_heard = || self.until.is_some_and(|until| Instant::now() < until);
        !self.is_closed && (!has_server || is_heard())
    }

    fn until_when(&mut self, heard: Heard) -> Option<Instant> {
        if let Some((sent, revision)) = self.answered
            && heard.live.is_some_and(|live| live >= revision)
        {
            self.confirmed = Some(sent);
        }
        Some((self.confirmed? + AFTER_ANSWER).min(heard.at? + AFTER_STREAM))
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
        contact.answered(now, 8, false);
        assert!(!contact.look(heard(None), now));
        assert!(!contact.look(heard(Some(7)), now));
        assert!(!contact.is_there());
        assert!(contact.look(heard(Some(8)), now));
        assert!(contact.is_there());
        assert!(!contact.look(heard(Some(9)), now), "it was there before");
        // A change that it has yet to hear of does not end it; having been declared gone does.
        contact.answered(now, 12, false);
        contact.look(heard(Some(9)), now);
        assert!(contact.is_there());
        contact.answered(now, 12, true);
        contact.look(heard(Some(9)), now);
        assert!(!contact.is_there());
        assert!(contact.look(heard(Some(12)), now));
        contact.close();
        assert!(!contact.is_there());
    }

    #[test]
    fn silence_on_either_way_ends_it() {
        let contact = Contact::new(true);
        let began = Instant::now();
        contact.answered(began, 1, false);
        let heard = |seconds| Heard {
            live: Some(1),
            at: Some(began + Duration::from_secs(seconds)),
        };
        assert!(contact.look(heard(5), began));
        // The answers stay away.
        assert!(!contact.look(heard(20), began + Duration::from_secs(11)));
        contact.answered(began + Duration::from_secs(19), 1, false);
        assert!(contact.look(heard(20), began + Duration::from_secs(20)));
        // The stream does.
        contact.answered(began + Duration::from_secs(60), 1, false);
        assert!(!contact.look(heard(20), began + Duration::from_secs(60)));
    }

    #[test]
    fn without_a_server_there_is_nobody_to_lose() {
        assert!(Contact::new(false).is_there());
    }
}
