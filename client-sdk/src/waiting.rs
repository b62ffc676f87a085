//! The beginning of a write as a future: it waits while the key is about to move.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::decide::Path;
use crate::gate::PATIENCE;
use crate::keeper::Keeper;
use crate::lease::Lease;

pub(crate) struct Waiting {
    keeper: Arc<Keeper>,
    key: Arc<str>,
    forced: Option<Path>,
    /// From the first look on.
    until: Option<Instant>,
    /// Where its waker is kept.
    place: Option<u64>,
}

impl Waiting {
    pub(crate) fn new(keeper: Arc<Keeper>, key: Arc<str>, forced: Option<Path>) -> Waiting {
        Waiting {
            keeper,
            key,
            forced,
            until: None,
            place: None,
        }
    }

    fn forget(&mut self) {
        if let Some(place) = self.place.take() {
            self.keeper.gate().forget(place);
        }
    }
}

impl Future for Waiting {
    /// `None` where the key has been about to move for all this time.
    type Output = Option<Lease>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Lease>> {
        self.forget();
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        let (key, forced) = (Arc::clone(&self.key), self.forced);
        match self
            .keeper
            .begin_or_wake(&key, forced, (context.waker(), until))
        {
            Ok(lease) => Poll::Ready(Some(lease)),
            Err(place) => {
                self.place = Some(place);
                match until <= now {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.forget();
    }
}
