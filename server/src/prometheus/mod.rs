//! A Prometheus that gates and guards ask. Whatever it does, an answer comes within seconds, and is
//! either one number or why there is none.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
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
/// So many answers are remembered.
const MOST_REMEMBERED: usize = 1_000;
/// How often guards ask.
pub const GUARDS_ASK_EVERY: Duration = Duration::from_secs(15);

const NOT_SET_UP: &str =
    "no Prometheus is set up: the server has to be started with --prometheus-url";
const HANGS: &str =
    "Prometheus did not answer within 3 s: make the query cheaper, or record it by a rule";

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
        match self.fetch(settings, question) {
            Ok((status, body)) => answer::read(status, &body, SystemTime::now()),
            Err(why) => Sampled::Nothing(why),
        }
    }

    /// What it answers to these questions, now or a moment ago. They are asked side by side.
    #[must_use]
    pub fn ask_all(&self, questions: &BTreeSet<String>) -> BTreeMap<String, Sampled> {
        let mut answers = BTreeMap::new();
        let mut open = Vec::new();
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut is_away = false;
        for some in open.chunks(AT_ONCE) {
            let asked = if is_away {
                some.iter()
                    .map(|_| Sampled::Nothing(HANGS.to_owned()))
                    .collect()
            } else {
                self.ask_side_by_side(some)
            };
            // Where none of several is answered, the others would only be waited for.
            let silent = Sampled::Nothing(HANGS.to_owned());
            is_away = asked.iter().all(|answer| *answer == silent);
            let asked = some.iter().zip(asked);
            answers.extend(asked.map(|(question, answer)| ((*question).to_owned(), answer)));
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_REMEMBERED.saturating_sub(recent.len());
        for question in open.into_iter().take(room) {
            if let Some(answer) = answers.get(question) {
                recent.insert(question.to_owned(), (Instant::now(), answer.clone()));
            }
        }
        answers
    }

    fn ask_side_by_side(&self, questions: &[&str]) -> Vec<Sampled> {
        thread::scope(|scope| {
            let asking: Vec<_> = questions
                .iter()
                .map(|question| scope.spawn(|| self.ask(question)))
                .collect();
            let answers = asking.into_iter().map(|asked| {
                let broke = || Sampled::Nothing("asking Prometheus failed".to_owned());
                asked.join().unwrap_or_else(|_| broke())
            });
            answers.collect()
        })
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
