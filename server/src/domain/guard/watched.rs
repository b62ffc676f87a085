//! The guards of one rollout and what they have gathered: kept between ticks, and by a node that
//! takes over.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::guard::answer;
use crate::domain::guard::fleet::{Cells, Fleet};
use crate::domain::guard::reading::Gathered;
use crate::domain::guard::sequential::Finding;
use crate::domain::guard::{GuardReport, GuardState};
use crate::domain::policy::{Guard, Measure, Query, Sampled};
use crate::domain::telemetry::Reported;

/// Without a report for longer than two flush intervals, in seconds, nothing is known.
pub(super) const SILENT: i64 = 10;
/// What Prometheus answered says nothing any more after so many seconds: three times as long as guards
/// wait between two questions, and what an answer may take.
pub(super) const SAMPLE_HOLDS: i64 = 50;

/// What the guards of one rollout know. Bounded in size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    pub(super) epoch: u64,
    pub(super) published: u64,
    pub(super) fleet: Fleet,
    cells: Cells,
    guards: Vec<Watching>,
}

/// One guard in the present epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Watching {
    name: String,
    pub(super) measure: Measure,
    pub(super) limit: f64,
    #[serde(default)]
    query: Option<Query>,
    pub(super) gathered: Gathered,
    pub(super) last: Option<i64>,
    pub(super) tipped: Option<Tipped>,
}

/// That a limit was passed in this epoch, and by which numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tipped {
    pub(super) instance: Option<String>,
    pub(super) detail: String,
    pub(super) numbers: Map<String, Value>,
    acted: bool,
}

/// What is to be done about a guard, once in an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Which guard, and what it does.
    pub guard: Guard,
    /// In which epoch of the rollout.
    pub epoch: u64,
    /// The revision with which the rollout came to be as it is judged.
    pub published: u64,
    /// The one instance that carries what was seen: the ramp pauses, and nothing else happens.
    pub instance: Option<String>,
    /// What was seen.
    pub detail: String,
    /// In numbers.
    pub numbers: Map<String, Value>,
}

impl Watched {
    /// Takes what was reported since the last tick of a rollout that is published as it is since
    /// revision `published`. `second` is the time.
    pub fn take(&mut self, published: u64, guards: &[Guard], reports: &[&Reported], second: i64) {
        let reporters = reports.iter().map(|reported| &reported.instance);
        self.fleet.see(second, reporters);
        let deployed = self.fleet.has_new_version();
        if deployed || self.published != published || !self.is_about(guards) {
            self.begin(published, guards);
        }
        let current: Vec<&Reported> = reports
            .iter()
            .copied()
            .filter(|reported| reported.counts.revision >= published)
            .collect();
        if current.is_empty() {
            return;
        }
        let (epoch, instances) = (self.epoch, self.fleet.instances());
        let settled = self.fleet.is_settled(second);
        for (watching, guard) in self.guards.iter_mut().zip(guards) {
            let limit = (watching.measure, watching.limit);
            if !watching
                .gathered
                .take(limit, &current, &mut self.cells, second)
            {
                continue;
            }
            watching.last = Some(second);
            let (trials, needed) = watching.gathered.trials(limit, guard.min_calls);
            if trials < needed || !settled {
                continue;
            }
            let finding = watching
                .gathered
                .finding(watching.limit, epoch, instances, second);
            let instance = match finding {
                Finding::Within => continue,
                Finding::Beyond => None,
                Finding::Carried(cell) => Some(self.cells.name(cell).unwrap_or("?").to_owned()),
            };
            // Once beyond, it stays so for the epoch; what one instance carries may become more.
            let known = watching.tipped.as_ref();
            if known.is_some_and(|known| known.instance.is_none() || instance.is_some()) {
                continue;
            }
            let (detail, numbers) = answer::grounds(watching, epoch, instances, second);
            watching.tipped = Some(Tipped {
                instance,
                detail,
                numbers,
                acted: false,
            });
        }
    }

    /// Whether it has seen a later form of the rollout than the one that is published since revision
    /// `published`.
    #[must_use]
    pub fn is_later_than(&self, published: u64) -> bool {
        self.published > published
    }

    /// Takes what Prometheus has answered to guards, by their names, of a rollout that is published as it
    /// is since revision `published`. `second` is the time.
    pub fn hear(
        &mut self,
        published: u64,
        guards: &[Guard],
        answers: &[(String, Sampled)],
        second: i64,
    ) {
        if self.published != published || !self.is_about(guards) {
            self.begin(published, guards);
        }
        let (epoch, instances) = (self.epoch, self.fleet.instances());
        for (watching, guard) in self.guards.iter_mut().zip(guards) {
            let mut heard = answers.iter();
            let heard = heard.find(|(name, _)| *name == guard.name);
            let (Some(query), Some((_, sampled))) = (&guard.query, heard) else {
                continue;
            };
            watching.gathered = Gathered::Sampled(Some(sampled.clone()));
            watching.last = Some(second);
            if let Sampled::Number(number) = sampled
                && query.is_beyond(*number, guard.limit)
                && watching.tipped.is_none()
            {
                let (detail, numbers) = answer::grounds(watching, epoch, instances, second);
                watching.tipped = Some(Tipped {
                    instance: None,
                    detail,
                    numbers,
                    acted: false,
                });
            }
        }
    }

    /// What is to be done, and has not been yet.
    #[must_use]
    pub fn due(&self, guards: &[Guard]) -> Vec<Due> {
        if !self.is_about(guards) {
            return Vec::new();
        }
        let all = self.guards.iter().zip(guards);
        all.filter_map(|(watching, guard)| {
            let tipped = watching.tipped.as_ref().filter(|tipped| !tipped.acted)?;
            Some(Due {
                guard: guard.clone(),
                epoch: self.epoch,
                published: self.published,
                instance: tipped.instance.clone(),
                detail: tipped.detail.clone(),
                numbers: tipped.numbers.clone(),
            })
        })
        .collect()
    }

    /// Whether something may be due.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let mut tipped = self.guards.iter().filter_map(|it| it.tipped.as_ref());
        tipped.any(|tipped| !tipped.acted)
    }

    /// Takes note that what was due has been done, or has no point any more.
    pub fn done(&mut self, due: &Due) {
        let same = |watching: &&mut Watching| watching.name == due.guard.name;
        if let Some(watching) = self.guards.iter_mut().find(same)
            && self.epoch == due.epoch
            && let Some(tipped) = &mut watching.tipped
            && tipped.instance == due.instance
        {
            tipped.acted = true;
        }
    }

    /// What the guards answer of a rollout that is published as it is since revision `published`.
    #[must_use]
    pub fn answers(&self, published: u64, guards: &[Guard], second: i64) -> Vec<GuardReport> {
        let is_current = self.published == published && self.is_about(guards);
        let watching = self.guards.iter().map(Some).filter(|_| is_current);
        let watching = watching.chain(std::iter::repeat(None));
        let asked = guards.iter().zip(watching);
        asked
            .map(|(guard, watching)| match watching {
                Some(watching) => self.answer(guard, watching, second),
                None => answer::silent(guard),
            })
            .collect()
    }

    /// In which epoch they answer of a rollout that is published as it is since revision `published`:
    /// 0 before the first report of it.
    #[must_use]
    pub fn epoch_of(&self, published: u64, guards: &[Guard]) -> u64 {
        if self.published == published && self.is_about(guards) {
            self.epoch
        } else {
            0
        }
    }

    fn answer(&self, guard: &Guard, watching: &Watching, second: i64) -> GuardReport {
        let (epoch, instances) = (self.epoch, self.fleet.instances());
        let (detail, mut numbers) = answer::grounds(watching, epoch, instances, second);
        let limit = (watching.measure, watching.limit);
        let (trials, needed) = watching.gathered.trials(limit, guard.min_calls);
        let silent = watching.last.map(|last| second.saturating_sub(last));
        let is_sample = matches!(watching.gathered, Gathered::Sampled(_));
        let holds = if is_sample { SAMPLE_HOLDS } else { SILENT };
        if let (Some(seconds), false) = (silent, is_sample) {
            numbers.insert("last_report_seconds_ago".to_owned(), seconds.into());
        }
        let report = |state, detail, instance| GuardReport {
            guard: guard.clone(),
            state,
            detail,
            numbers: numbers.clone(),
            instance,
        };
        if let Some(tipped) = &watching.tipped
            && tipped.instance.is_none()
        {
            let detail = format!("in breach: {}; now: {detail}", tipped.detail);
            return report(GuardState::Breach, detail, None);
        }
        let finding = watching
            .gathered
            .finding(watching.limit, epoch, instances, second);
        let carrier = match finding {
            Finding::Carried(cell) => self.cells.name(cell).map(str::to_owned),
            _ => None,
        };
        let lacking = if matches!(watching.gathered, Gathered::Nothing) {
            Some(answer::NOT_REPORTED.to_owned())
        } else if matches!(
            watching.gathered,
            Gathered::Sampled(None | Some(Sampled::Nothing(_)))
        ) {
            Some(detail.clone())
        } else if trials < needed {
            Some(format!("{detail}; {needed} are needed to tell"))
        } else if !silent.is_some_and(|silent| (0..=holds).contains(&silent)) {
            let what = if is_sample { "answered" } else { "reported" };
            Some(format!("{detail}; nothing was {what} for {holds} s"))
        } else if !is_sample && !self.fleet.is_settled(second) {
            Some(format!(
                "{detail}; in the first {SILENT} s nobody knows who else reports"
            ))
        } else {
            None
        };
        if let Some(detail) = lacking {
            return report(GuardState::Insufficient, detail, carrier);
        }
        let detail = match &carrier {
            Some(name) => format!("{detail}; `{name}` alone carries it past the limit"),
            None => detail,
        };
        report(GuardState::Pass, detail, carrier)
    }

    /// What was gathered under another form of the rollout, other limits or another version of the
    /// application says nothing of this one.
    fn begin(&mut self, published: u64, guards: &[Guard]) {
        self.epoch = self.epoch.saturating_add(1);
        self.published = published;
        self.cells = Cells::default();
        self.guards = guards
            .iter()
            .map(|guard| Watching {
                name: guard.name.clone(),
                measure: guard.measure,
                limit: guard.limit,
                query: guard.query.clone(),
                gathered: Gathered::of(guard.measure),
                last: None,
                tipped: None,
            })
            .collect();
    }

    fn is_about(&self, guards: &[Guard]) -> bool {
        self.guards.len() == guards.len()
            && self.guards.iter().zip(guards).all(|(watching, guard)| {
                watching.name == guard.name
                    && watching.measure == guard.measure
                    && watching.limit == guard.limit
                    && watching.query == guard.query
            })
    }
}
