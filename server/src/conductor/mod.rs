//! What happens by itself: guards look at what callers report and act, and ramps go on. One node at
//! a time does it, once a second; another takes over when that one is gone.
//!
//! Whatever it knows is on record, so whoever takes over goes on where the other was. Whatever it
//! does is compared, in its own transaction, with what it was decided by, so a node that does not
//! know yet that it was replaced does nothing twice.

mod asking;
mod watching;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::service::Services;
use crate::store::{Candidate, Duty, StoreError};

use asking::Questions;
use watching::Watching;

/// So many pages of reports are read in one tick; the rest waits for the next.
const MOST_PAGES: usize = 5;
/// How often it is looked whether to stop.
const STEP: Duration = Duration::from_millis(100);

/// The clock-driven loop of one node.
pub struct Conductor {
    services: Arc<Services>,
    candidate: Option<Candidate>,
    /// What only the node has that acts.
    watching: Option<Watching>,
    /// What is asked elsewhere.
    questions: Questions,
    failing: bool,
}

impl Conductor {
    /// A node that does not act yet.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Conductor {
        Conductor {
            services,
            candidate: None,
            watching: None,
            questions: Questions::default(),
            failing: false,
        }
    }

    /// Ticks in this interval as long as `running` says so.
    pub fn run(mut self, interval: Duration, running: &AtomicBool) {
        let mut ticked: Option<Instant> = None;
        while running.load(Ordering::Relaxed) {
            if ticked.is_none_or(|ticked| ticked.elapsed() >= interval) {
                ticked = Some(Instant::now());
                // A panic would be a mistake of ours; guards must not end with it.
                let ticked = catch_unwind(AssertUnwindSafe(|| self.tick()));
                if ticked.is_err() {
                    tracing::error!(
                        "the conductor panicked; it begins anew from what is on record"
                    );
                    self.watching = None;
                    self.candidate = None;
                    self.services.metrics().set_leads(false);
                }
            }
            thread::sleep(STEP.min(interval));
        }
    }

    /// One look at everything; whether this node is the one that acts.
    pub fn tick(&mut self) -> bool {
        match self.act() {
            Ok(()) => self.failing = false,
            Err(error) => {
                // What is not known for certain is read anew.
                self.watching = None;
                let passes = matches!(error, StoreError::Busy | StoreError::Stale);
                if !passes {
                    self.candidate = None;
                    if !self.failing {
                        tracing::error!(%error, "guards and ramps stand still");
                    }
                }
                self.failing = !passes;
            }
        }
        let leads = self.watching.is_some();
        self.services.metrics().set_leads(leads);
        leads
    }

    fn act(&mut self) -> Result<(), StoreError> {
        let candidate = match &mut self.candidate {
            Some(candidate) => candidate,
            none => none.insert(self.services.store().stand(Duty::Conduct)?),
        };
        if !candidate.leads()? {
            return Ok(());
        }
        let watching = match &mut self.watching {
            Some(watching) => watching,
            none => {
                tracing::info!("this node acts for guards and ramps");
                none.insert(Watching::load(&self.services)?)
            }
        };
        // What is due acts before anything is read: nobody can keep a halt waiting by reporting much.
        watching.act(&self.services);
        for _ in 0..MOST_PAGES {
            let is_all = watching.read(&self.services)?;
            watching.act(&self.services);
            if is_all {
                break;
            }
        }
        let answered = self.questions.go_on(&self.services)?;
        if !answered.is_empty() {
            watching.hear(&self.services, answered)?;
            watching.act(&self.services);
        }
        // Whoever has announced a flip ends it; this is for nodes that are gone.
        self.services.settle_due()?;
        self.services.tend_comparisons()?;
        let moved = self
            .services
            .advance_ramps(&|target| watching.answers(&self.services, target))?;
        for step in moved {
            let (route, environment) = (&step.after.route, &step.after.environment);
            if step.after.data.hold.is_some() {
                tracing::info!(%route, %environment, "a step of a ramp is announced");
            } else {
                tracing::info!(%route, %environment, "a ramp went on");
            }
        }
        Ok(())
    }
}
