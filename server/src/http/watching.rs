//! The watch over the database: what others have changed is published, what has ended is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::health::Contact;
use crate::service::Services;
use crate::store::{Hints, StoreError};
use crate::token::TokenKeys;

/// How often another node's hints are looked for.
const HINTS_EVERY: Duration = Duration::from_millis(10);
/// How often the database is looked at in any case: a hint can be lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often pages are told whether callers report.
const REPORTS_EVERY: Duration = Duration::from_secs(5);
/// How often a look is taken whether the record is due to be signed.
const CHECKPOINTS_EVERY: Duration = Duration::from_secs(5);

/// Keeps what is published up to date with the database, and closes what has ended.
pub(super) struct Watch {
    services: Arc<Services>,
    keys: Arc<TokenKeys>,
    contact: Arc<Contact>,
    failing: bool,
    hints: Option<Hints>,
    forgotten: Instant,
    signed: Instant,
    told: Instant,
}

impl Watch {
    pub(super) fn new(
        services: Arc<Services>,
        keys: Arc<TokenKeys>,
        contact: Arc<Contact>,
    ) -> Watch {
        Watch {
            services,
            keys,
            contact,
            failing: false,
            hints: None,
            forgotten: Instant::now(),
            signed: Instant::now(),
            told: Instant::now(),
        }
    }

    pub(super) fn run(mut self, watching: &AtomicBool) {
        let mut looked = Instant::now();
        self.listen();
        while watching.load(Ordering::Relaxed) {
            thread::sleep(HINTS_EVERY);
            if self.heard() || looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look();
            }
        }
    }

    /// A connection that was lost may have lost hints too, so a look at the database follows.
    fn heard(&mut self) -> bool {
        match self.hints.as_mut().map(Hints::heard) {
            None => false,
            Some(Ok(heard)) => heard,
            Some(Err(_)) => {
                self.hints = None;
                true
            }
        }
    }

    fn listen(&mut self) {
        match self.services.store().listen() {
            Ok(hints) => self.hints = hints,
            Err(error) => tracing::warn!(%error, "no hints from other nodes"),
        }
    }

    fn look(&mut self) {
        // A window that cannot be closed now must not keep anything else from being published.
        if let Err(error) = self.services.close_windows_due() {
            tracing::warn!(%error, "acceptance windows that have ended are not closed yet");
        }
        let done = self.services.catch_up();
        match done {
            Ok(()) => {
                self.failing = false;
                if let Some(away) = self.contact.made() {
                    tracing::info!(away_s = away.as_secs(), "the database is back");
                }
                if self.hints.is_none() && self.services.store().database().is_shared() {
                    self.listen();
                }
                self.tell();
                self.sign();
                self.forget();
            }
            Err(StoreError::Busy) => {}
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "the database is out of reach; serving what is known");
                }
                self.failing = true;
            }
        }
    }

    fn tell(&mut self) {
        if self.told.elapsed() >= REPORTS_EVERY {
            self.told = Instant::now();
            self.services.tell_of_reports();
        }
    }

    fn sign(&mut self) {
        if self.signed.elapsed() < CHECKPOINTS_EVERY {
            return;
        }
        self.signed = Instant::now();
        if let Err(error) = self.services.checkpoint_when_due(&self.keys) {
            tracing::warn!(%error, "the record is not signed yet");
        }
    }

    fn forget(&mut self) {
        if self.forgotten.elapsed() < Duration::from_secs(600) {
            return;
        }
        self.forgotten = Instant::now();
        if let Err(error) = self.services.forget_old_receipts() {
            tracing::warn!(%error, "old idempotency keys are still kept");
        }
        if let Err(error) = self.services.forget_old_repairs() {
            tracing::warn!(%error, "repairs that were resolved long ago are still kept");
        }
        if let Err(error) = self.services.forget_gone_writers() {
            tracing::warn!(%error, "writers that are long gone are still kept");
        }
    }
}
