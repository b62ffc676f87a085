//! The thread that reports what was counted: every few seconds, until the server has it.
//!
//! What was sent and not acknowledged is kept unchanged and sent again; meanwhile nothing else is
//! taken from the counters, so an outage costs no memory however long it lasts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use crate::backoff::{Backoff, Delays, Notice};
use crate::chance::Chance;
use crate::engine::Engine;
use crate::instance::{Identity, Labels};
use crate::outbox::{Outbox, Report};
use crate::pace::Pace;
use crate::report::Registered;
use crate::transport::{Failure, ReportFailure, Server, Transport};

/// The running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    agent: ureq::Agent,
    /// Dropped to tell the thread to end.
    orders: Sender<Flush>,
    /// Says so when the thread has ended.
    ended: Receiver<std::convert::Infallible>,
}

/// Send what was counted, and say whether the server has it.
type Flush = Sender<bool>;

pub(crate) fn start(
    engine: Arc<Engine>,
    server: &Server,
    labels: &Labels,
) -> std::io::Result<Thread> {
    let transport = Transport::new(server.clone(), engine.settings().pace);
    let agent = transport.agent();
    let identity = Identity::new(labels);
    let (orders, received) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    thread::Builder::new()
        .name("switchover-report".to_owned())
        .spawn(move || {
            Reporter::new(engine, transport, identity).run(&received);
            drop(end);
        })?;
    Ok(Thread {
        agent,
        orders,
        ended,
    })
}

impl Thread {
    /// Has what was counted sent. The receiver hears whether the server has it.
    pub(crate) fn flush(&self) -> Receiver<bool> {
        let (reply, answer) = mpsc::channel();
        // A thread that has ended drops the reply, and the receiver hears that.
        let _ = self.orders.send(reply);
        answer
    }

    /// Has the thread say goodbye and end.
    pub(crate) fn end(self) -> Ending {
        drop(self.orders);
        Ending {
            agent: self.agent,
            ended: self.ended,
        }
    }
}

/// A thread that was told to end.
pub(crate) struct Ending {
    agent: ureq::Agent,
    ended: Receiver<std::convert::Infallible>,
}

impl Ending {
    /// Waits for the goodbye, and past the half of the time interrupts it.
    pub(crate) fn wait(self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(left / 2) {
            self.agent.shutdown();
            let left = until.saturating_duration_since(Instant::now());
            let _ = self.ended.recv_timeout(left);
        }
    }
}

struct Reporter {
    engine: Arc<Engine>,
    transport: Transport,
    identity: Identity,
    pace: Pace,
    outbox: Outbox,
    backoff: Backoff,
    chance: Chance,
    /// When to look again whether there is something to do.
    next: Instant,
    /// When to report in any case.
    due: Instant,
    /// When counts were last taken.
    taken: Instant,
    /// The routes as they were last reported, and when.
    routes: Option<(Vec<Registered>, Instant)>,
    /// What the log has been told, so that it is told once.
    told: Option<String>,
}

impl Reporter {
    fn new(engine: Arc<Engine>, transport: Transport, identity: Identity) -> Reporter {
        let pace = engine.settings().pace;
        let now = Instant::now();
        let mut chance = Chance::default();
        Reporter {
            engine,
            transport,
            identity,
            pace,
            outbox: Outbox::default(),
            backoff: Backoff::new(Delays {
                first: pace.first_retry,
                longest: pace.longest_retry,
                slow: pace.slow_retry,
            }),
            // Processes that were started together do not report together.
            next: now + pace.report_soon.mul_f64(chance.draw()),
            due: now + pace.report.mul_f64(chance.draw()),
            chance,
            taken: now,
            routes: None,
            told: None,
        }
    }

    fn run(&mut self, orders: &Receiver<Flush>) {
        loop {
            let wait = self.next.saturating_duration_since(Instant::now());
            let order = orders.recv_timeout(wait);
            // A panic would be a mistake of ours; it must not end the reports.
            let done = catch_unwind(AssertUnwindSafe(|| match &order {
                Ok(_) => self.flush(),
                Err(RecvTimeoutError::Timeout) => self.round(),
                Err(RecvTimeoutError::Disconnected) => self.say_goodbye(),
            }));
            match order {
                Ok(reply) => drop(reply.send(done.unwrap_or(false))),
                Err(RecvTimeoutError::Timeout) if done.is_ok() => {}
                Err(RecvTimeoutError::Timeout) => self.next = Instant::now() + self.pace.report,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reports if it is time to. Says whether the server has all that it was to have.
    fn round(&mut self) -> bool {
        let now = Instant::now();
        self.next = now + self.pace.report_soon;
        if self.outbox.is_empty() {
            let changed = self.engine.ledger().and_then(|ledger| ledger.changed());
            let is_young = changed.is_some_and(|at| now.duration_since(at) < self.pace.young);
            let is_due = now >= self.due;
            if !is_due && !is_young {
                return true;
            }
            self.take(is_due, false);
        }
        self.send()
    }

    fn flush(&mut self) -> bool {
        // What is on its way already was counted before.
        if !self.send() {
            return false;
        }
        self.take(true, false);
        self.send()
    }

    fn say_goodbye(&mut self) -> bool {
        if !self.send() {
            return false;
        }
        self.take(true, true);
        self.send()
    }

    /// Packs what was counted since the last time, if anything was or if it must be.
    fn take(&mut self, must: bool, ends: bool) {
        let counts = match self.engine.ledger() {
            Some(mut ledger) => ledger.collect(),
            None => return,
        };
        if counts.is_empty() && !must {
            return;
        }
        let now = Instant::now();
        let state = self.engine.state();
        let report = Report {
            instance: self.identity.instance(&state),
            interval: now.duration_since(self.taken),
            routes: self.routes_if_new(now),
            counts,
            ends,
        };
        self.outbox.pack(report, now);
        self.taken = now;
        self.due = now + self.pace.report;
    }

    /// The routes, where the server does not know them or may have forgotten them.
    fn routes_if_new(&mut self, now: Instant) -> Option<Vec<Registered>> {
        let routes = self.engine.registered();
        let is_known = self.routes.as_ref().is_some_and(|(known, told)| {
            *known == routes && now.duration_since(*told) < self.pace.report_routes
        });
        if is_known {
            return None;
        }
        self.routes = Some((routes.clone(), now));
        Some(routes)
    }

    /// Sends what is packed, in its order. Stops at the first batch that has to wait.
    fn send(&mut self) -> bool {
        while let Some(batch) = self.outbox.next(Instant::now()) {
            match self.transport.report(&batch) {
                Ok(()) => {
                    self.outbox.done();
                    self.told = None;
                    if self.backoff.recovered() == Some(Notice::Recovered) {
                        tracing::info!(
                            server = self.transport.url(),
                            "the server takes this process's reports again"
                        );
                    }
                }
                Err(ReportFailure::Refused(why)) => {
                    self.outbox.done();
                    self.tell(&format!(
                        "the server refuses a report, which is lost: {why}"
                    ));
                }
                Err(ReportFailure::Later(failure)) => {
                    self.wait_after(&failure);
                    return false;
                }
            }
        }
        true
    }

    fn wait_after(&mut self, failure: &Failure) {
        let chance = self.chance.draw();
        let (wait, notice) = self
            .backoff
            .after(failure.attempt, failure.retry_after, chance);
        self.next = Instant::now() + wait;
        let message = &failure.message;
        if notice == Some(Notice::SlowedDown) {
            tracing::warn!(
                server = self.transport.url(),
                "the server refuses this process's reports again and again ({message}): trying \
                 seldom from now on, and counting on"
            );
        } else {
            tracing::debug!(
                server = self.transport.url(),
                "a report has to wait: {message}"
            );
        }
    }

    /// The log hears of it once.
    fn tell(&mut self, message: &str) {
        if self.told.as_deref() != Some(message) {
            tracing::warn!(server = self.transport.url(), "{message}");
            self.told = Some(message.to_owned());
        }
    }
}
