//! The thread that tells the server which data routes this process writes, how far it is, and which
//! rows it has yet to make equal.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Delays, Notice};
use crate::chance::Chance;
use crate::consistency;
use crate::contact::Heard;
use crate::doubled::Live;
use crate::engine::Engine;
use crate::keeper::{Around, Keeper};
use crate::rollout::RouteKey;
use crate::spool::form::Kept;
use crate::transport::{Failure, ReportFailure, Server, Transport};
use crate::writers::{ConsistencyOrder, MOST_KEYS, WriterAnswer, WriterReport};

/// Between two reports where nothing happens.
const PERIOD: Duration = Duration::from_secs(5);
/// How long changes of repairs are gathered.
const GATHERING: Duration = Duration::from_millis(50);
/// Reports with repairs before a goodbye, at most: a spool's worth.
const MOST_FAREWELLS: usize = 100;
/// How often contact is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The most bytes of keys in a report: each may be escaped to six on the wire.
const MOST_KEY_BYTES: usize = 24 * 1024;

/// The running thread.
pub(crate) struct Thread {
    agent: ureq::Agent,
    /// Says so when the thread has ended.
    ended: Receiver<Infallible>,
}

pub(crate) fn start(
    engine: Arc<Engine>,
    server: &Server,
    around: Arc<Around>,
) -> std::io::Result<Thread> {
    let pace = engine.settings().pace;
    let transport = Transport::new(server.clone(), pace);
    let agent = transport.agent();
    let (end, ended) = mpsc::channel();
    let now = Instant::now();
    let mut attendant = Attendant {
        engine,
        around,
        transport,
        backoff: Backoff::new(Delays {
            first: pace.first_retry,
            longest: PERIOD,
            slow: pace.slow_retry,
        }),
        chance: Chance::default(),
        not_before: now,
        due: now,
        told: Vec::new(),
        logged: None,
    };
    let thread = thread::Builder::new().name("switchover-writers".to_owned());
    thread.spawn(move || {
        attendant.run();
        drop(end);
    })?;
    Ok(Thread { agent, ended })
}

impl Thread {
    /// Waits for the goodbye, and past the half of the time interrupts it.
    pub(crate) fn wait(self, until: Instant) {
        let left = || until.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(left() / 2) {
            self.agent.shutdown();
            let _ = self.ended.recv_timeout(left());
        }
    }
}

struct Attendant {
    engine: Arc<Engine>,
    around: Arc<Around>,
    transport: Transport,
    backoff: Backoff,
    chance: Chance,
    /// The server has not answered, and is left alone until then.
    not_before: Instant,
    /// When the next report is due if nothing happens.
    due: Instant,
    /// What the server knows of each route: what it has drained.
    told: Vec<(RouteKey, Option<u64>)>,
    /// What the log has been told, so that it is told once.
    logged: Option<String>,
}

/// A report, and what of it is to be noted once the server has it.
struct Report {
    message: WriterReport,
    /// The revision that the process decided by.
    revision: Option<u64>,
    repairs: Vec<(Arc<Keeper>, Untold)>,
}

/// Repairs with the change of each that the server is told.
type Untold = Vec<(u64, Kept)>;

impl Attendant {
    fn run(&mut self) {
        let around = Arc::clone(&self.around);
        let mut until = Instant::now();
        while around.attendant.sleep(until) {
            // A panic would be a mistake of ours; it must not end the reports.
            let next = catch_unwind(AssertUnwindSafe(|| self.round()));
            until = next.unwrap_or_else(|_| {
                thread::sleep(LOOK);
                Instant::now()
            });
        }
        self.say_goodbye();
    }

    /// Reports if there is a reason to, and says when the next look is.
    fn round(&mut self) -> Instant {
        let now = Instant::now();
        self.look();
        let reason = self.reason(now);
        if now < self.not_before {
            return self.not_before.min(now + LOOK);
        }
        if reason <= now {
            self.report(false);
            self.look();
        }
        self.reason(now).max(self.not_before).min(now + LOOK)
    }

    /// When there is something to tell.
    fn reason(&self, now: Instant) -> Instant {
        let keepers = self.engine.keepers();
        let is_news = |keeper: &Arc<Keeper>| {
            let mut told = self.told.iter();
            let known = told.find(|(route, _)| route == keeper.route());
            let drained = keeper.drained();
            known.is_none_or(|(_, known)| drained.is_some() && drained != *known)
        };
        if keepers.iter().any(is_news) {
            return now;
        }
        let untold = keepers.iter().filter_map(|keeper| keeper.untold_since());
        let untold = untold.min().map(|since| since + GATHERING);
        untold.map_or(self.due, |untold| untold.min(self.due))
    }

    /// Looks whether this process is in contact.
    fn look(&self) {
        let state = self.engine.state();
        let live = state.live().map(|live| live.version().revision);
        let at = self.engine.last_life().health().last_heard;
        let is_back = self.around.contact.look(Heard { live, at }, Instant::now());
        if is_back {
            for keeper in self.engine.keepers() {
                keeper.back_in_contact();
            }
            self.around.mender.ring();
        }
    }

    fn report(&mut self, ends: bool) -> bool {
        let report = self.collect(ends);
        if report.message.routes.is_empty() {
            self.due = Instant::now() + PERIOD;
            return true;
        }
        let sent = Instant::now();
        match self.send(&report.message) {
            Ok(answer) => {
                self.due = sent + PERIOD;
                self.not_before = sent;
                self.taken(report, &answer, sent);
                true
            }
            Err(failure) => {
                self.wait_after(&failure);
                false
            }
        }
    }

    fn collect(&self, ends: bool) -> Report {
        let identity = self.engine.identity();
        let state = self.engine.state();
        let mut report = Report {
            revision: state.live().map(|live| live.version().revision),
            message: WriterReport {
                instance: identity.id().to_owned(),
                name: identity.name().to_owned(),
                routes: Vec::new(),
                ends,
            },
            repairs: Vec::new(),
        };
        let mut room = MOST_KEYS;
        let mut bytes = MOST_KEY_BYTES;
        for keeper in self.engine.keepers() {
            let (route, repairs) = keeper.tell((room, bytes));
            room -= repairs.len();
            let keys = repairs.iter().map(|(_, kept)| kept.key.len());
            bytes -= keys.sum::<usize>();
            report.message.routes.push(route);
            report.repairs.push((keeper, repairs));
        }
        report
    }

    fn send(&self, message: &WriterReport) -> Result<WriterAnswer, Failure> {
        let body =
            serde_json::to_vec(message).map_err(|error| Failure::failed(error.to_string()))?;
        let began = Instant::now();
        let answer = self
            .transport
            .tell("/sdk/v1/writers", &body)
            .or_else(|error| {
                // A connection that was idle may have been closed just then; a hold does not wait.
                match error {
                    ReportFailure::Later(_) if began.elapsed() < GATHERING => {
                        self.transport.tell("/sdk/v1/writers", &body)
                    }
                    error => Err(error),
                }
            });
        match answer {
            Ok(answer) => serde_json::from_str(&answer)
                .map_err(|error| Failure::failed(format!("the answer cannot be read: {error}"))),
            Err(ReportFailure::Refused(why)) => Err(Failure::failed(why)),
            Err(ReportFailure::Later(failure)) => Err(failure),
        }
    }

    fn taken(&mut self, report: Report, answer: &WriterAnswer, sent: Instant) {
        if self.backoff.recovered() == Some(Notice::Recovered) || self.logged.take().is_some() {
            let server = self.transport.url();
            tracing::info!(server, "the server knows again what this process writes");
        }
        let routes = &report.message.routes;
        self.told = routes
            .iter()
            .map(|route| (route.route.clone(), route.drained))
            .collect();
        let was_current = report.revision.is_some_and(|at| at >= answer.revision);
        for (keeper, repairs) in &report.repairs {
            if answer.was_gone {
                keeper.list_recent(|_, _| true);
            }
            keeper.adoption_told();
            keeper.is_known_now();
            keeper.told(repairs, was_current);
        }
        if answer.was_gone {
            tracing::warn!(
                "this process had been declared gone: what it wrote meanwhile is looked at"
            );
        }
        let contact = &self.around.contact;
        contact.answered(sent, answer.revision, answer.was_gone);
        for order in &answer.orders {
            let mut keepers = report.repairs.iter().map(|(keeper, _)| keeper);
            if let Some(keeper) = keepers.find(|keeper| *keeper.route() == order.route) {
                keeper.obey(order);
                if let Some(order) = &order.consistency {
                    self.compare(keeper, order.clone());
                }
            }
        }
    }

    /// Has a consistency run made beside this thread.
    fn compare(&self, keeper: &Arc<Keeper>, order: ConsistencyOrder) {
        let (engine, keeper) = (Arc::clone(&self.engine), Arc::clone(keeper));
        if !keeper.begin_comparing(&order.id) {
            return;
        }
        let thread = thread::Builder::new().name("switchover-compare".to_owned());
        let begun = thread.spawn(move || {
            let live = Live::new(keeper.route().clone(), Arc::clone(&keeper), engine);
            let run = || consistency::run_order(Box::new(live), &order);
            if let Ok(Err(error)) = catch_unwind(AssertUnwindSafe(run)) {
                tracing::warn!(route = %keeper.route(), %error, "the consistency run failed");
            }
            keeper.end_comparing();
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "a consistency run has no thread");
        }
    }

    /// Reports for the last time; with a goodbye where nothing is under way any more.
    fn say_goodbye(&mut self) {
        let keepers = self.engine.keepers();
        // Whoever stays has to know all that is left to be made equal; and nobody is forgotten before.
        let is_untold = |keeper: &Arc<Keeper>| keeper.untold_since().is_some();
        for _ in 0..MOST_FAREWELLS {
            let told = catch_unwind(AssertUnwindSafe(|| self.report(false)));
            if !told.unwrap_or(false) || !keepers.iter().any(is_untold) {
                break;
            }
        }
        let has_ended = |keeper: &Arc<Keeper>| keeper.gate().standing().under_way == 0;
        if keepers
            .iter()
            .all(|keeper| has_ended(keeper) && !is_untold(keeper))
        {
            let _ = catch_unwind(AssertUnwindSafe(|| self.report(true)));
        }
    }

    fn wait_after(&mut self, failure: &Failure) {
        let chance = self.chance.draw();
        let (wait, _) = self
            .backoff
            .after(failure.attempt, failure.retry_after, chance);
        self.not_before = Instant::now() + wait;
        if self.logged.as_ref() != Some(&failure.message) {
            tracing::warn!(
                server = self.transport.url(),
                "the server does not hear what this process writes: {}",
                failure.message
            );
            self.logged = Some(failure.message.clone());
        }
    }
}
