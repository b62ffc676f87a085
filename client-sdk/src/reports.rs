//! What this process reports, every few seconds, until the server has it.
//!
//! What was sent and not acknowledged is kept unchanged and sent again; meanwhile nothing else is
//! taken from the counters, so an outage costs no memory however long it lasts.

use std::sync::Arc;
use std::time::Instant;

use crate::backoff::{Backoff, Delays, Notice};
use crate::breaker::Fuse;
use crate::chance::Chance;
use crate::engine::Engine;
use crate::instance::Identity;
use crate::outbox::{Outbox, Report};
use crate::pace::Pace;
use crate::report::Registered;
use crate::rollout::RouteKey;
use crate::slot::Slot;
use crate::transport::{Failure, ReportFailure, Transport};

/// What this process reports, and how far it has come.
pub(crate) struct Reports {
    engine: Arc<Engine>,
    transport: Transport,
    identity: Arc<Identity>,
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

impl Reports {
    pub(crate) fn new(
        engine: Arc<Engine>,
        transport: Transport,
        identity: Arc<Identity>,
        pace: Pace,
    ) -> Reports {
        let now = Instant::now();
        let mut chance = Chance::default();
        Reports {
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

    /// Reports if it is time to.
    pub(crate) fn round(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + self.pace.report_soon;
        if self.outbox.is_empty() {
            let changed = self.engine.ledger().and_then(|ledger| ledger.changed());
            let is_young = changed.is_some_and(|at| now.duration_since(at) < self.pace.young);
            let is_due = now >= self.due;
            if !is_due && !is_young {
                return;
            }
            self.take(is_due, false);
        }
        self.send();
    }

    /// What ends a request that waits for the server.
    pub(crate) fn agent(&self) -> ureq::Agent {
        self.transport.agent()
    }

    /// When to look again whether there is something to do.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Reports now. Says whether the server has it.
    pub(crate) fn flush(&mut self) -> bool {
        // What is on its way already was counted before.
        if !self.send() {
            return false;
        }
        self.take(true, false);
        self.send()
    }

    /// Reports for the last time.
    pub(crate) fn say_goodbye(&mut self) -> bool {
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
        let routes = registered(&self.engine);
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
        } else if self.told.as_ref() != Some(message) {
            tracing::info!(server = self.transport.url(), "reports wait: {message}");
            self.told = Some(message.clone());
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

/// The routes that the process knows of.
fn registered(engine: &Engine) -> Vec<Registered> {
    let state = engine.state();
    let is_open = |slot: &Slot| slot.fuse().is_some_and(Fuse::is_open);
    let mut overridden = state.overridden();
    let slots = engine.slots().filter_map(|slot| {
        let route: RouteKey = slot.key().parse().ok()?;
        Some(Registered {
            flag: overridden.remove(&route),
            route,
            in_code: true,
            breaker_open: is_open(slot),
        })
    });
    let mut registered: Vec<Registered> = slots.collect();
    let others = overridden.into_iter().map(|(route, flag)| Registered {
        route: route.clone(),
        in_code: false,
        flag: Some(flag),
        breaker_open: false,
    });
    registered.extend(others);
    registered
}
