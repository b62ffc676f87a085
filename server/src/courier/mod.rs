//! Brings messages to webhooks: one node at a time, each message in a thread of its own, one at a time
//! for each receiver.
//!
//! A receiver that hangs holds one of a bounded number of threads for ten seconds, and receivers that
//! fail, or are new, share only a part of these: so nobody waits for another's receiver. What an attempt came to is
//! on record before the next is made; a node that dies between the two leaves a message that is sent
//! twice, under one name.

mod attempt;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::domain::webhook::Outcome;
use crate::outbound::Outbound;
use crate::service::{Failure, Outgoing, Sending, Services, Waiting};
use crate::store::{Candidate, Duty, StoreError};

/// How often a node looks whether there is something to send.
pub const DELIVER_EVERY: Duration = Duration::from_secs(1);

/// The most messages that are under way.
const MOST_FLIGHTS: usize = 32;
/// The most of these to receivers whose last attempt failed, or who never had one.
const MOST_DOUBTFUL: usize = 20;
/// How often it is looked whether to stop.
const STEP: Duration = Duration::from_millis(100);
/// How often what was finished long ago is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// How to bring messages.
#[derive(Clone, Debug)]
pub struct Delivering {
    /// How often to look: [`DELIVER_EVERY`].
    pub every: Duration,
    /// How to reach receivers.
    pub outbound: Outbound,
}

/// A message that has been tried.
struct Landed {
    webhook: String,
    delivery: String,
    turn: u32,
    outcome: Outcome,
}

/// The delivering loop of one node.
pub struct Courier {
    services: Arc<Services>,
    delivering: Delivering,
    candidate: Option<Candidate>,
    leads: bool,
    /// The receivers that something is under way to, and whether they are trusted to answer.
    flights: BTreeMap<String, bool>,
    /// When each receiver had its turn last.
    turns: BTreeMap<String, u64>,
    turn: u64,
    landing: Sender<Landed>,
    landed: Receiver<Landed>,
    forgotten: Instant,
    is_failing: bool,
}

impl Courier {
    /// A node that brings nothing yet.
    #[must_use]
    pub fn new(services: Arc<Services>, delivering: Delivering) -> Courier {
        let (landing, landed) = channel();
        Courier {
            services,
            delivering,
            candidate: None,
            leads: false,
            flights: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            landing,
            landed,
            forgotten: Instant::now(),
            is_failing: false,
        }
    }

    /// Brings messages as long as `running` says so. What is under way then is brought again by
    /// whoever comes next.
    pub fn run(mut self, running: &AtomicBool) {
        let every = self.delivering.every;
        let mut looked: Option<Instant> = None;
        while running.load(Ordering::Relaxed) {
            // A panic would be a mistake of ours; messages must not end with it.
            let stepped = catch_unwind(AssertUnwindSafe(|| {
                let is_due = looked.is_none_or(|looked| looked.elapsed() >= every);
                if is_due {
                    looked = Some(Instant::now());
                }
                self.step(is_due, STEP.min(every));
            }));
            if stepped.is_err() {
                tracing::error!("the courier panicked; it begins anew from what is on record");
                self.candidate = None;
                self.leads = false;
                thread::sleep(STEP);
            }
        }
    }

    /// Looks at everything when that is due, and waits for messages that land otherwise.
    fn step(&mut self, is_due: bool, patience: Duration) {
        if is_due {
            let looked = self.look();
            self.said(looked);
        }
        match self.landed.recv_timeout(patience) {
            Ok(landed) => {
                let taken = self.take(landed);
                self.said(taken);
            }
            // This loop itself holds the other end.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn said(&mut self, done: Result<(), StoreError>) {
        match done {
            Ok(()) => self.is_failing = false,
            // Another look helps.
            Err(StoreError::Busy | StoreError::Stale) => {}
            Err(error) => {
                self.candidate = None;
                self.leads = false;
                if !self.is_failing {
                    tracing::error!(%error, "webhooks stand still");
                }
                self.is_failing = true;
            }
        }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let waiting = self.services.webhooks_waiting()?;
        if waiting == Waiting::Nobody {
            // No node needs to stand by for nobody.
            self.candidate = None;
            self.leads = false;
            return Ok(());
        }
        let candidate = match &mut self.candidate {
            Some(candidate) => candidate,
            none => none.insert(self.services.store().stand(Duty::Deliver)?),
        };
        let leads = candidate.leads()?;
        if leads && !self.leads {
            tracing::info!("this node brings messages to webhooks");
        }
        self.leads = leads;
        if !self.leads {
            return Ok(());
        }
        if waiting == Waiting::Entries {
            while self.services.derive_deliveries()? {}
        }
        self.send()?;
        if self.forgotten.elapsed() >= FORGET_EVERY {
            self.forgotten = Instant::now();
            self.services.forget_old_deliveries()?;
            // What is in no order is as good as what never had a turn.
            self.turns.clear();
        }
        Ok(())
    }

    /// Starts what is due, as far as there is room.
    fn send(&mut self) -> Result<(), StoreError> {
        if self.flights.len() >= MOST_FLIGHTS {
            return Ok(());
        }
        let mut due = self.services.deliveries_due()?;
        due.retain(|due| !self.flights.contains_key(&due.webhook));
        // Whoever has waited longest is first, so that those who fail share what there is for them.
        due.sort_by_key(|due| self.turns.get(&due.webhook).copied());
        for due in due {
            let is_trusted = due.health.is_good();
            let doubtful = self.flights.values().filter(|trusted| !**trusted).count();
            let is_full =
                self.flights.len() >= MOST_FLIGHTS || (!is_trusted && doubtful >= MOST_DOUBTFUL);
            if is_full {
                continue;
            }
            match self.services.to_be_sent(&due)? {
                Outgoing::Nothing => {}
                Outgoing::Ready(sending) => self.start(*sending, is_trusted),
                Outgoing::Unreadable => {
                    let said = self.services.webhook_needs_secret(&due.webhook);
                    said.or_else(|failure| stored(failure, &due.webhook))?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, sending: Sending, is_trusted: bool) {
        let webhook = sending.delivery.webhook.clone();
        let (outbound, landing) = (self.delivering.outbound.clone(), self.landing.clone());
        let now = self.services.now();
        let started = thread::Builder::new()
            .name("switchover-webhook".to_owned())
            .spawn(move || {
                let tried = AssertUnwindSafe(|| attempt::attempt(&outbound, &sending, now));
                // Nobody listens any more when the server stops.
                let _ = landing.send(Landed {
                    outcome: catch_unwind(tried).unwrap_or_else(|_| attempt::broken(now)),
                    webhook: sending.delivery.webhook,
                    delivery: sending.delivery.id,
                    turn: sending.delivery.turn,
                });
            });
        match started {
            Ok(_) => {
                self.turn += 1;
                self.turns.insert(webhook.clone(), self.turn);
                self.flights.insert(webhook, is_trusted);
            }
            Err(error) => tracing::warn!(%error, "no thread for a message to a webhook"),
        }
    }

    /// Takes down what has landed, and what landed meanwhile.
    fn take(&mut self, landed: Landed) -> Result<(), StoreError> {
        let mut next = Some(landed);
        while let Some(landed) = next {
            self.flights.remove(&landed.webhook);
            let (webhook, delivery) = (landed.webhook.as_str(), landed.delivery.as_str());
            let jitter = attempt::jitter();
            let place = (webhook, delivery, landed.turn);
            let taken = self.services.take_outcome(place, &landed.outcome, jitter);
            taken.or_else(|failure| stored(failure, &landed.webhook))?;
            next = self.landed.try_recv().ok();
        }
        if self.leads {
            self.send()?;
        }
        Ok(())
    }
}

/// What only the log can be told does not hold up anything else.
fn stored(failure: Failure, webhook: &str) -> Result<(), StoreError> {
    match failure {
        Failure::Store(error) => Err(error),
        other => {
            tracing::warn!(%webhook, failure = %other, "a webhook's state is not on record yet");
            Ok(())
        }
    }
}
