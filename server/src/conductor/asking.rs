//! Guards that ask Prometheus. They are asked on threads of their own: however slowly it answers, no
//! other guard waits.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::domain::policy::Sampled;
use crate::prometheus::Prometheus;
use crate::service::{Asking, Services};
use crate::store::StoreError;

/// So many questions are open at once.
const AT_ONCE: usize = 4;
/// So many rollouts are asked about in one round; the others in the next.
const MOST: usize = 500;

/// A rollout's guards, with what was answered to each, by name.
pub(super) type Answered = (Asking, Vec<(String, Sampled)>);

/// One round of questions after the other.
#[derive(Default)]
pub(super) struct Round {
    began: Option<Instant>,
    /// Where the next round begins, when there are too many for one.
    from: usize,
    /// The answers of the round that is under way; its threads are done when nothing can come any more.
    answers: Option<Receiver<Answered>>,
}

impl Round {
    /// What has been answered since, and begins the next round when it is time.
    pub(super) fn go_on(&mut self, services: &Services) -> Result<Vec<Answered>, StoreError> {
        let mut answered = Vec::new();
        if let Some(answers) = &self.answers {
            loop {
                match answers.try_recv() {
                    Ok(answer) => answered.push(answer),
                    Err(mpsc::TryRecvError::Empty) => return Ok(answered),
                    Err(mpsc::TryRecvError::Disconnected) => break,
                }
            }
            self.answers = None;
        }
        let every = services.prometheus().every();
        if self.began.is_some_and(|began| began.elapsed() < every) {
            return Ok(answered);
        }
        self.began = Some(Instant::now());
        let mut open = services.asking()?;
        if open.is_empty() {
            return Ok(answered);
        }
        if open.len() > MOST {
            tracing::warn!(
                rollouts = open.len(),
                "guards ask Prometheus in several rounds"
            );
            let from = self.from % open.len();
            open.rotate_left(from);
            open.truncate(MOST);
            self.from = from.saturating_add(MOST);
        }
        self.answers = Some(ask(services.prometheus(), open));
        Ok(answered)
    }
}

/// Asks all of this, on threads that end by themselves.
fn ask(prometheus: &Arc<Prometheus>, open: Vec<Asking>) -> Receiver<Answered> {
    let (answers, answered) = mpsc::channel();
    let open = Arc::new(Mutex::new(VecDeque::from(open)));
    for number in 0..AT_ONCE {
        let (prometheus, open) = (Arc::clone(prometheus), Arc::clone(&open));
        let answers = answers.clone();
        let asking = thread::Builder::new()
            .name(format!("switchover-ask-{number}"))
            .spawn(move || answer(&prometheus, &open, &answers));
        if let Err(error) = asking {
            tracing::warn!(%error, "guards cannot ask Prometheus now");
        }
    }
    answered
}

fn answer(prometheus: &Prometheus, open: &Mutex<VecDeque<Asking>>, answers: &Sender<Answered>) {
    loop {
        let next = open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(asking) = next else {
            return;
        };
        let questions = asking.questions.iter();
        let answered = questions
            .map(|(name, question)| (name.clone(), prometheus.ask(question)))
            .collect();
        // Nobody listens any more when another node acts, or this one stops.
        if answers.send((asking, answered)).is_err() {
            return;
        }
    }
}
