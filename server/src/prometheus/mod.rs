//! A Prometheus that gates and guards ask. Whatever it does, an answer comes within seconds, and is
//! either one number or why there is none.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ureq::{Agent, Error};

use crate::domain::policy::Sampled;

/// An answer that takes longer is none.
const DEADLINE: Duration = Duration::from_secs(3);
/// An answer that is larger is none, in bytes.
const LARGEST: u64 = 1_000_000;
/// What was answered holds for so long: whoever reloads a page does not ask anew.
const RECENT: Duration = Duration::from_secs(5);
/// So many questions are asked at once.
const AT_ONCE: usize = 4;
/// So long questions that are asked together are begun; the others are not asked.
const PATIENCE: Duration = Duration::from_secs(6);
/// So many answers are remembered.
const MOST_REMEMBERED: usize = 1_000;
/// How often guards ask.
pub const GUARDS_ASK_EVERY: Duration = Duration::from_secs(15);

const NOT_SET_UP: &str =
    "no Prometheus is set up: the server has to be started with --prometheus-url";
const HANGS: &str =
    "Prometheus did not answer within 3 s: make the query cheaper, or record it by a rule";
const NO_TIME: &str = "Prometheus was not asked: what was asked before this took too long; make the queries cheaper, or \
     record them by rules";

/// How to reach it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address, without a slash at the end; what its API's paths come after.
    pub url: String,
    /// A file with the token that it wants. It is read each time, so that it can change.
    pub token_file: Option<PathBuf>,
    /// How often guards ask.
    pub every: Duration,
}

/// A Prometheus, or that none is set up.
pub struct Prometheus {
    settings: Option<Settings>,
    agent: Agent,
    recent: Mutex<BTreeMap<String, (Instant, Sampled)>>,
    /// Until when it is not asked for gates, as it answers nothing.
    away: Mutex<Option<Instant>>,
}

impl Prometheus {
    /// The one that is set up, if one is.
    #[must_use]
    pub fn new(settings: Option<Settings>) -> Prometheus {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A token goes where it was sent, and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(DEADLINE));
        Prometheus {
            settings,
            agent: config.build().into(),
            recent: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// How often guards ask.
    #[must_use]
    pub fn every(&self) -> Duration {
        let every = self.settings.as_ref().map(|settings| settings.every);
        every.unwrap_or(GUARDS_ASK_EVERY)
    }

    /// What it answers to a question now.
    #[must_use]
    pub fn ask(&self, question: &str) -> Sampled {
        let Some(settings) = &self.settings else {
            return Sampled::Nothing(NOT_SET_UP.to_owned());
        };
        let answer = match self.fetch(settings, question) {
            Ok((status, body)) => answer::read(status, &body, SystemTime::now()),
            Err(why) => Sampled::Nothing(why),
        };
        if !Prometheus::is_silence(&answer) {
            *lock(&self.away) = None;
        }
        answer
    }

    /// Whether this is no answer because none came in time.
    #[must_use]
    pub fn is_silence(answer: &Sampled) -> bool {
        matches!(answer, Sampled::Nothing(why) if why == HANGS)
    }

    /// That no answer came in time.
    #[must_use]
    pub fn silence() -> Sampled {
        Sampled::Nothing(HANGS.to_owned())
    }

    /// What it answers to these questions, now or a moment ago. They are asked side by side, and all
    /// of them together are waited for as long as for three.
    #[must_use]
    pub fn ask_all(&self, questions: &BTreeSet<String>) -> BTreeMap<String, Sampled> {
        let mut answers = BTreeMap::new();
        let mut open = Vec::new();
        {
            let mut recent = lock(&self.recent);
            recent.retain(|_, (at, _)| at.elapsed() < RECENT);
            for question in questions {
                match recent.get(question) {
                    Some((_, known)) => {
                        answers.insert(question.clone(), known.clone());
                    }
                    None => open.push(question.as_str()),
                }
            }
        }
        if open.is_empty() {
            return answers;
        }
        let asked = self.ask_side_by_side(&open);
        let why = if self.is_away() { HANGS } else { NO_TIME };
        let mut recent = lock(&self.recent);
        for question in open {
            // What was not asked is not remembered: whoever asks next may be told.
            let answer = match asked.get(question) {
                Some(answer) => {
                    if recent.len() < MOST_REMEMBERED {
                        recent.insert(question.to_owned(), (Instant::now(), answer.clone()));
                    }
                    answer.clone()
                }
                None => Sampled::Nothing(why.to_owned()),
            };
            answers.insert(question.to_owned(), answer);
        }
        answers
    }

    /// What it answers to those of these questions that there was time for.
    fn ask_side_by_side(&self, questions: &[&str]) -> BTreeMap<String, Sampled> {
        let began = Instant::now();
        let open = Mutex::new(questions.iter());
        let answers = Mutex::new(BTreeMap::new());
        let silent = AtomicUsize::new(0);
        let ask = || {
            while !self.is_away() && began.elapsed() < PATIENCE {
                let next = lock(&open).next();
                let Some(question) = next else {
                    return;
                };
                let answer = self.ask(question);
                let is_silent = Prometheus::is_silence(&answer);
                lock(&answers).insert((*question).to_owned(), answer);
                if !is_silent {
                    silent.store(0, Ordering::Relaxed);
                    continue;
                }
                if silent.fetch_add(1, Ordering::Relaxed) >= AT_ONCE - 1 {
                    *lock(&self.away) = Instant::now().checked_add(RECENT);
                }
                // Where none of several is answered, the others would only be waited for.
                return;
            }
        };
        thread::scope(|scope| {
            let more = 1..questions.len().min(AT_ONCE);
            let more = more.filter_map(|_| thread::Builder::new().spawn_scoped(scope, ask).ok());
            let more: Vec<_> = more.collect();
            ask();
            for asking in more {
                // What nobody has answered then is told as such.
                let _ = asking.join();
            }
        });
        answers.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self) -> bool {
        lock(&self.away).is_some_and(|until| Instant::now() < until)
    }

    fn fetch(&self, settings: &Settings, question: &str) -> Result<(u16, Vec<u8>), String> {
        let mut request = self.agent.post(format!("{}/api/v1/query", settings.url));
        if let Some(file) = &settings.token_file {
            let token = fs::read_to_string(file);
            let token =
                token.map_err(|error| format!("the token's file cannot be read: {error}"))?;
            request = request.header("Authorization", format!("Bearer {}", token.trim()));
        }
        let mut response = request
            .send_form([("query", question), ("timeout", "3s")])
            .map_err(|error| told(&error))?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST)
            .read_to_vec();
        Ok((status, body.map_err(|error| told(&error))?))
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no answer. An address may hold a secret, so it is not told.
fn told(error: &Error) -> String {
    match error {
        Error::Timeout(_) => HANGS.to_owned(),
        Error::BodyExceedsLimit(_) => format!("Prometheus answered more than {LARGEST} bytes"),
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => HANGS.to_owned(),
        Error::Io(error) => format!("Prometheus cannot be reached: {error}"),
        Error::HostNotFound => "Prometheus cannot be reached: its host is not found".to_owned(),
        Error::ConnectionFailed => "Prometheus cannot be reached: no connection".to_owned(),
        _ => "Prometheus cannot be reached: see that --prometheus-url is its address".to_owned(),
    }
}
