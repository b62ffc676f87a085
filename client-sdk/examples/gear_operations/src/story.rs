//! The story: who does what, in which order, and what must have come of it before the next thing.

mod close;
mod double;
mod prepare;
mod ramp;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use switchover::Client;
use tempfile::TempDir;

use crate::house::House;
use crate::traffic::{Application, Traffic};
use crate::{Failed, Options, Summary};

/// The route.
const ROUTE: &str = "gear_items";
/// Where it is taken through its stages.
const ENVIRONMENT: &str = "dev";
/// How long something may take that the server or the application does by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether that is done.
const LOOK: Duration = Duration::from_millis(200);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tells it.
pub(crate) fn tell(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Summary, Failed> {
    let mut story = prepare::prepare(options, say)?;
    let told = story.run();
    if told.is_err() {
        let complaints = story.house.complaints();
        if !complaints.is_empty() {
            (story.say)(&format!("what the server has complained of:\n{complaints}"));
        }
    }
    told?;
    Ok(story.summary)
}

struct Story<'a> {
    options: &'a Options,
    say: &'a mut dyn FnMut(&str),
    application: Arc<Application>,
    traffic: Option<Traffic>,
    client: Client,
    house: House,
    summary: Summary,
    // Dropped last: the server and the stores write into it.
    directory: TempDir,
}

impl Story<'_> {
    fn run(&mut self) -> Result<(), Failed> {
        self.double_writing()?;
        self.backfill()?;
        self.ramp_up()?;
        self.close()?;
        self.count()
    }

    fn title(&mut self, title: &str) {
        (self.say)(&format!("\n== {title}"));
    }

    fn tell(&mut self, line: &str) {
        (self.say)(line);
    }

    /// A command that somebody gives and that has to succeed.
    fn order(&mut self, who: &str, arguments: &[&str]) -> Result<String, Failed> {
        let shown: Vec<String> = arguments
            .iter()
            .map(|word| match word.contains(' ') {
                true => format!("\"{word}\""),
                false => (*word).to_owned(),
            })
            .collect();
        (self.say)(&format!("{who}$ switchover {}", shown.join(" ")));
        let said = self.house.ask(who, arguments)?;
        for line in said.lines() {
            (self.say)(&format!("    {line}"));
        }
        Ok(said)
    }

    /// The same, of the form COMMAND ROUTE ENVIRONMENT OPTIONS….
    fn order_here(&mut self, who: &str, command: &[&str], rest: &[&str]) -> Result<String, Failed> {
        let here = [ROUTE, ENVIRONMENT];
        let words: Vec<&str> = [command, &here, rest].concat();
        self.order(who, &words)
    }

    /// The rollout as it is.
    fn rollout(&self) -> Result<Value, Failed> {
        self.house.look(&["ramp", ROUTE, ENVIRONMENT])
    }

    /// Waits until something is so.
    fn until(
        &self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> Result<bool, Failed>,
    ) -> Result<Duration, Failed> {
        let began = Instant::now();
        while !is_so(self)? {
            if began.elapsed() > PATIENCE {
                return Err(Failed(format!("never: {what}")));
            }
            thread::sleep(LOOK);
        }
        Ok(began.elapsed())
    }

    /// Waits until the rollout is so.
    fn until_rollout(
        &self,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Duration, Failed> {
        let waited = self.until(what, |story| Ok(is_so(&story.rollout()?)));
        waited.map_err(|error| {
            let rollout = self
                .rollout()
                .map_or_else(|error| error.0, |value| value.to_string());
            Failed(format!("{error}; the rollout is {rollout}"))
        })
    }

    /// Waits until every gate of the next promotion passes for whoever looks.
    fn until_gates(&self, waits_for: &[&str]) -> Result<(), Failed> {
        let are_met = |gates: &Value| {
            let all = gates.get("gates").and_then(Value::as_array);
            all.into_iter().flatten().all(|gate| {
                let is = |field: &str, value: &str| {
                    gate.get(field).and_then(Value::as_str) == Some(value)
                };
                is("state", "pass") || waits_for.iter().any(|later| is("gate", later))
            })
        };
        let gates = || self.house.look(&["gates", ROUTE, ENVIRONMENT]);
        let waited = self.until("the gates pass", |_| Ok(are_met(&gates()?)));
        waited.map(drop).map_err(|error| {
            let text = self.house.ask("ann", &["gates", ROUTE, ENVIRONMENT]);
            Failed(format!("{error}: {}", text.unwrap_or_else(|error| error.0)))
        })
    }

    /// Time passes, for the server.
    fn pass(&mut self, time: Duration) -> Result<(), Failed> {
        let days = (time.as_secs() + HOUR.as_secs() / 2) / DAY.as_secs();
        let said = match days {
            0 => format!("-- {} h pass", time.as_secs() / HOUR.as_secs()),
            1 => "-- a day passes".to_owned(),
            _ => format!("-- {days} days pass"),
        };
        self.tell(&said);
        self.house.pass(time)
    }

    /// Remembers how long the longest write took in a part of the story.
    fn part(&mut self, what: &str) {
        let longest = self.application.longest_write().as_millis();
        let longest = u64::try_from(longest).unwrap_or(u64::MAX);
        self.tell(&format!("   (the longest write took {longest} ms)"));
        let part = (what.to_owned(), longest);
        self.summary.longest_writes_ms.push(part);
    }

    /// What is at this place in a JSON value, as text.
    fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default()
    }
}
