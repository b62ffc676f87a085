//! The thread that reports what was counted, and looks at the clock for the breakers.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::reports::Reports;
use crate::tending::Tending;
use crate::transport::Transport;

/// The longest that the thread sleeps: a route may have got a breaker meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    /// `None` where there is no server to report to.
    agent: Option<ureq::Agent>,
    /// Dropped to tell the thread to end.
    orders: Sender<Flush>,
    /// Says so when the thread has ended.
    ended: Receiver<Infallible>,
}

/// Send what was counted, and say whether the server has it.
type Flush = Sender<bool>;

pub(crate) fn start(engine: Arc<Engine>) -> std::io::Result<Thread> {
    let settings = engine.settings();
    let pace = settings.pace;
    let server = settings.server.as_ref().filter(|_| settings.reports);
    let reports = server.map(|server| {
        let transport = Transport::new(server.clone(), pace);
        Reports::new(Arc::clone(&engine), transport, engine.identity(), pace)
    });
    let agent = reports.as_ref().map(Reports::agent);
    let (orders, received) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let mut reporter = Reporter {
        tending: Tending::default(),
        engine,
        reports,
    };
    thread::Builder::new()
        .name("switchover-report".to_owned())
        .spawn(move || {
            reporter.run(&received);
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
    agent: Option<ureq::Agent>,
    ended: Receiver<Infallible>,
}

impl Ending {
    /// Waits for the goodbye, and past the half of the time interrupts it.
    pub(crate) fn wait(self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(left / 2) {
            if let Some(agent) = self.agent {
                agent.shutdown();
            }
            let left = until.saturating_duration_since(Instant::now());
            let _ = self.ended.recv_timeout(left);
        }
    }
}

struct Reporter {
    engine: Arc<Engine>,
    tending: Tending,
    /// `None` where there is no server to report to.
    reports: Option<Reports>,
}

impl Reporter {
    fn run(&mut self, orders: &Receiver<Flush>) {
        loop {
            let order = orders.recv_timeout(self.sleep());
            // A panic would be a mistake of ours; it must not end the reports.
            let done = catch_unwind(AssertUnwindSafe(|| self.take(&order)));
            match order {
                Ok(reply) => drop(reply.send(done.unwrap_or(false))),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if done.is_ok() => {}
                Err(RecvTimeoutError::Timeout) => thread::sleep(LONGEST_SLEEP),
            }
        }
    }

    fn sleep(&self) -> Duration {
        let next = self.reports.as_ref().map(Reports::next);
        let until_report = next.map_or(LONGEST_SLEEP, |next| {
            next.saturating_duration_since(Instant::now())
        });
        until_report.min(self.tending.sleep()).min(LONGEST_SLEEP)
    }

    fn take(&mut self, order: &Result<Flush, RecvTimeoutError>) -> bool {
        let Reporter {
            engine,
            tending,
            reports,
        } = self;
        tending.round(engine);
        let reports = reports.as_mut();
        match order {
            Ok(_) => return reports.is_none_or(Reports::flush),
            Err(RecvTimeoutError::Disconnected) => return reports.is_none_or(Reports::say_goodbye),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(reports) = reports {
            reports.round();
        }
        true
    }
}
