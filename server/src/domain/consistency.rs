//! Consistency runs: the rows of two stores are compared, on demand or by a schedule.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use switchover::{ConsistencyKind, ConsistencyOrder, ConsistencyResult, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::evidence::Verdict;
use crate::domain::guard::{GuardReport, GuardState};
use crate::domain::number::real;
use crate::domain::policy::{Guard, Measure, Policy};

/// How many keys a sample has when nobody says.
pub const SAMPLE: u64 = 100;
/// How many it may have.
pub const SAMPLES: std::ops::RangeInclusive<u64> = 1..=100_000;
/// How often a run is handed to a process that then says nothing.
const MOST_HANDINGS: u32 = 2;
/// A run that no process takes is given up after that long.
const WAITING_HOURS: i64 = 1;
/// Keys of a run that are kept, as examples.
const MOST_KEPT: usize = 20;

/// A consistency run on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its identity.
    pub id: String,
    /// Of which route.
    pub route: RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
    /// How the stores are compared.
    pub kind: ConsistencyKind,
    /// How many keys a sample has; 0 where a process chose.
    pub sample: u64,
    /// Who wanted it.
    pub origin: Origin,
    /// The person, or the process.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// How far it is.
    pub state: RunState,
}

/// Who wanted a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A person.
    Person,
    /// The schedule.
    Schedule,
    /// A process, by itself.
    Process,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum RunState {
    /// No process has it yet.
    Waiting,
    /// A process has it.
    Handed {
        /// Which.
        to: String,
        /// Since when.
        at: DateTime<Utc>,
        /// How many have had it.
        times: u32,
    },
    /// Nobody has answered.
    Failed {
        /// When it was given up.
        at: DateTime<Utc>,
        /// Why.
        why: String,
    },
    /// It is done.
    Done(Box<Findings>),
}

impl RunState {
    /// The name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            RunState::Waiting => "waiting",
            RunState::Handed { .. } => "handed",
            RunState::Failed { .. } => "failed",
            RunState::Done(_) => "done",
        }
    }
}

/// What a run has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The process that compared.
    pub instance: String,
    /// The generation when it began.
    pub generation: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// In numbers.
    pub compared: Compared,
    /// Some of the keys whose rows differ.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The checksum of the old store's rows and of the new one's.
    #[serde(default)]
    pub checksums: Option<[String; 2]>,
    /// Whether the share of differing rows is within the policy's limit.
    pub verdict: Verdict,
    /// Whether guards have looked at it.
    pub acted: bool,
}

/// What a run has found, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// How the stores were compared.
    pub kind: ConsistencyKind,
    /// Keys that were compared.
    pub compared: u64,
    /// Those whose rows differ.
    pub differing: u64,
    /// Those that could not be compared.
    pub failed: u64,
    /// Whether that was all of them, and no sample of more.
    pub whole: bool,
    /// Whether a backfill was complete when it began: rows that were never copied are none that differ.
    pub counts: bool,
}

impl Compared {
    /// Whether all rows that were looked at are equal.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differing == 0 && self.failed == 0 && (self.compared > 0 || self.whole)
    }

    /// The share of the rows that differ.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.compared == 0 {
            0.0
        } else {
            real(self.differing) / real(self.compared)
        }
    }

    /// Whether it says enough to act on: all rows, or as many as a limit needs to be told from
    /// chance.
    #[must_use]
    pub fn suffices(&self, guard: &Guard) -> bool {
        let least = real(guard.min_calls.unwrap_or(1));
        self.counts && (self.whole || real(self.compared) >= (1.0 / guard.limit).max(least))
    }

    /// As a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = format!(
            "{} of {} rows compared differ",
            self.differing, self.compared
        );
        if self.failed > 0 {
            told.push_str(&format!(", {} could not be compared", self.failed));
        }
        told
    }
}

/// When rows are compared by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// How.
    pub kind: ConsistencyKind,
    /// How many keys a sample has.
    pub sample: u64,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Each hour.
    Hourly,
    /// Each day.
    Daily,
}

impl Every {
    /// How long that is.
    #[must_use]
    pub fn period(self) -> Duration {
        match self {
            Every::Hourly => Duration::hours(1),
            Every::Daily => Duration::days(1),
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Every::Hourly => "hourly",
            Every::Daily => "daily",
        }
    }
}

impl Schedule {
    /// What it is where a policy watches consistency, and nobody has set anything.
    pub const BY_POLICY: Schedule = Schedule {
        every: Every::Daily,
        kind: ConsistencyKind::Sample,
        sample: SAMPLE,
    };
}

/// The greatest share of differing rows that a policy lets by; none where it says nothing.
#[must_use]
pub fn limit(policy: &Policy) -> f64 {
    let guards = policy.guards.iter();
    let watching = guards.filter(|guard| guard.measure == Measure::Inconsistency);
    watching
        .map(|guard| guard.limit)
        .fold(None, least)
        .unwrap_or(0.0)
}

fn least(known: Option<f64>, limit: f64) -> Option<f64> {
    Some(known.map_or(limit, |known| known.min(limit)))
}

impl Run {
    /// Hands it to a process, if it waits or who had it says nothing.
    #[must_use]
    pub fn hand_to(&mut self, instance: &str, now: DateTime<Utc>) -> Option<ConsistencyOrder> {
        let times = match &self.state {
            RunState::Waiting => 0,
            RunState::Handed { at, times, .. }
                if now >= *at + self.patience() && *times < MOST_HANDINGS =>
            {
                *times
            }
            _ => return None,
        };
        self.state = RunState::Handed {
            to: instance.to_owned(),
            at: now,
            times: times + 1,
        };
        Some(ConsistencyOrder {
            id: self.id.clone(),
            kind: self.kind,
            sample: self.sample,
        })
    }

    /// How long a process has for it: every row takes longer than some.
    fn patience(&self) -> Duration {
        match self.kind {
            ConsistencyKind::Sample => Duration::seconds(60),
            ConsistencyKind::Checksum => Duration::minutes(15),
        }
    }

    /// Gives it up where nobody answers; whether it was.
    pub fn give_up(&mut self, now: DateTime<Utc>) -> bool {
        let why = match &self.state {
            RunState::Waiting if now >= self.asked_at + Duration::hours(WAITING_HOURS) => {
                "no process that writes this route was there to take it"
            }
            RunState::Handed { at, times, .. }
                if *times >= MOST_HANDINGS && now >= *at + self.patience() =>
            {
                "no process that took it has said what it found"
            }
            RunState::Handed { at, .. } if now >= *at + Duration::hours(WAITING_HOURS) => {
                "the process that took it has said nothing, and there is no other"
            }
            _ => return false,
        };
        self.state = RunState::Failed {
            at: now,
            why: why.to_owned(),
        };
        true
    }

    /// Whether a process may still take it or answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, RunState::Waiting | RunState::Handed { .. })
    }

    /// What it has found, if it is done.
    #[must_use]
    pub fn findings(&self) -> Option<&Findings> {
        match &self.state {
            RunState::Done(findings) => Some(findings),
            _ => None,
        }
    }

    /// Takes what a process found; late is better than never. `false` where it is known.
    pub fn take(
        &mut self,
        result: &ConsistencyResult,
        (limit, backfilled_at): (f64, Option<DateTime<Utc>>),
        now: DateTime<Utc>,
    ) -> bool {
        if self.findings().is_some() {
            return false;
        }
        let most = Duration::days(7);
        let took = i64::try_from(result.duration_ms).ok();
        let took = took.and_then(Duration::try_milliseconds).unwrap_or(most);
        let began_at = now - took.min(most);
        let whole = match result.kind {
            ConsistencyKind::Checksum => true,
            ConsistencyKind::Sample => self.sample > 0 && result.compared < self.sample,
        };
        let compared = Compared {
            began_at,
            at: now,
            kind: result.kind,
            compared: result.compared,
            differing: result.differing,
            failed: result.failed,
            whole: whole && result.failed == 0,
            counts: backfilled_at.is_some_and(|at| at <= began_at),
        };
        let fails = compared.share() > limit || (!compared.is_clean() && compared.differing == 0);
        self.kind = result.kind;
        self.state = RunState::Done(Box::new(Findings {
            instance: result.instance.clone(),
            generation: result.generation,
            duration_ms: result.duration_ms,
            compared,
            keys: result.keys.iter().take(MOST_KEPT).cloned().collect(),
            checksums: result.checksums.clone(),
            verdict: if fails { Verdict::Fail } else { Verdict::Pass },
            acted: false,
        }));
        true
    }
}

/// What a guard on consistency answers, by the latest run; `since` is when copies came to be made as
/// they are now, and `window` is how long a run says something.
#[must_use]
pub fn answer(
    guard: &Guard,
    latest: Option<&Compared>,
    (since, window): (Option<DateTime<Utc>>, Duration),
    now: DateTime<Utc>,
) -> GuardReport {
    let report = |state, detail: String, numbers| GuardReport {
        guard: guard.clone(),
        state,
        detail,
        numbers,
        instance: None,
    };
    let unknown =
        |detail: &str, numbers| report(GuardState::Insufficient, detail.to_owned(), numbers);
    let Some(latest) = latest else {
        let detail = "the rows of the two stores were not compared yet";
        return unknown(detail, Map::new());
    };
    let numbers = numbers(guard, latest, now);
    let told = latest.told();
    if since.is_none_or(|since| latest.began_at < since) {
        let detail = "the rows were not compared since writes are copied as they are now";
        return unknown(detail, numbers);
    }
    if !latest.suffices(guard) {
        let detail = if latest.counts {
            format!("{told}: too few to tell")
        } else {
            format!("{told}, and no backfill was complete then")
        };
        return unknown(&detail, numbers);
    }
    let limit = guard.limit * 100.0;
    if latest.share() > guard.limit {
        return report(
            GuardState::Breach,
            format!("{told}, limit {limit} %"),
            numbers,
        );
    }
    if now > latest.at + window {
        let hours = window.num_hours();
        return unknown(
            &format!("{told}, but that was more than {hours} h ago"),
            numbers,
        );
    }
    report(
        GuardState::Pass,
        format!("{told}, limit {limit} %"),
        numbers,
    )
}

/// What a guard saw, in numbers.
#[must_use]
pub fn numbers(
    guard: &Guard,
    seen: &Compared,
    now: DateTime<Utc>,
) -> Map<String, serde_json::Value> {
    Map::from_iter([
        ("limit".to_owned(), guard.limit.into()),
        ("trials".to_owned(), seen.compared.into()),
        ("violations".to_owned(), seen.differing.into()),
        ("rate".to_owned(), seen.share().into()),
        (
            "last_report_seconds_ago".to_owned(),
            (now - seen.at).num_seconds().into(),
        ),
    ])
}

#[cfg(test)]
mod tests;
