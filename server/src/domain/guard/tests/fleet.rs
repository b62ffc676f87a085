//! A fleet that reports once a second, and its guards.

use chrono::DateTime;
use switchover::{Latency, Path, Proportion, Role, RouteCounts, Slow};

use crate::domain::guard::{Due, GuardReport, GuardState, Watched};
use crate::domain::policy::{Guard, GuardAction, Measure};
use crate::domain::telemetry::{Reported, Reporter};

pub(super) fn guard(measure: Measure, limit: f64) -> Guard {
    Guard {
        query: None,
        name: "watched".to_owned(),
        measure,
        limit,
        action: GuardAction::Halt,
        min_calls: None,
    }
}

pub(super) fn error_rate(limit: f64) -> Guard {
    guard(Measure::ErrorRate, limit)
}

#[derive(Clone)]
pub(super) struct Fleet {
    pub(super) watched: Watched,
    pub(super) guards: Vec<Guard>,
    /// The rollout is as it is since this revision.
    pub(super) published: u64,
    pub(super) second: i64,
    reporters: Vec<Reporter>,
}

/// What one instance says of one second.
pub(super) struct Report {
    pub(super) id: usize,
    pub(super) second: i64,
    rows: Vec<RouteCounts>,
    /// Says another version than the others.
    pub(super) version: String,
    pub(super) revision: u64,
}

impl Report {
    pub(super) fn row(&mut self, path: Path, role: Role) -> &mut RouteCounts {
        let known = self.rows.iter();
        let known = known
            .clone()
            .position(|row| (row.path, row.role) == (path, role));
        let at = known.unwrap_or(self.rows.len());
        if known.is_none() {
            self.rows.push(RouteCounts {
                route: "count_commits".parse().unwrap(),
                path,
                role,
                revision: self.revision,
                calls: 0,
                errors: 0,
                panics: 0,
                cancelled: 0,
                comparisons: 0,
                mismatches: 0,
                mismatching_keys: Vec::new(),
                dropped: 0,
                ramp: Proportion::default(),
                slow: Vec::new(),
                latency: Latency::default(),
            });
        }
        &mut self.rows[at]
    }

    /// So many calls of the new path failed.
    pub(super) fn calls(&mut self, calls: u64, errors: u64) {
        let row = self.row(Path::New, Role::Authoritative);
        row.calls += calls;
        row.errors += errors;
    }

    pub(super) fn compared(&mut self, comparisons: u64, mismatches: u64) {
        let row = self.row(Path::New, Role::Mirror);
        row.comparisons += comparisons;
        row.mismatches += mismatches;
    }

    /// So many calls that the ramp sent to a path failed.
    pub(super) fn ramp(&mut self, path: Path, trials: u64, violations: u64) {
        let row = self.row(path, Role::Authoritative);
        row.calls += trials;
        row.errors += violations;
        row.ramp = Proportion { trials, violations };
    }

    pub(super) fn slow(&mut self, role: Role, limit_ms: u32, trials: u64, violations: u64) {
        self.row(Path::New, role).slow.push(Slow {
            limit_ms,
            trials,
            violations,
        });
    }
}

impl Fleet {
    pub(super) fn of(instances: usize, guards: &[Guard]) -> Fleet {
        Fleet {
            watched: Watched::default(),
            guards: guards.to_vec(),
            published: 7,
            second: 1_800_000_000,
            reporters: (0..instances)
                .map(|id| Reporter {
                    id: format!("instance-{id}"),
                    name: format!("web-{id}"),
                    application: "shop".to_owned(),
                    version: "1.0".to_owned(),
                })
                .collect(),
        }
    }

    /// One second in which every instance that says something reports.
    pub(super) fn second(&mut self, says: impl Fn(&mut Report)) {
        self.second += 1;
        let mut reports = Vec::new();
        for (id, reporter) in self.reporters.iter().enumerate() {
            let mut report = Report {
                id,
                second: self.second,
                rows: Vec::new(),
                version: reporter.version.clone(),
                revision: self.published,
            };
            says(&mut report);
            let instance = Reporter {
                version: report.version,
                ..reporter.clone()
            };
            reports.extend(report.rows.into_iter().map(|counts| Reported {
                position: 1,
                at: DateTime::from_timestamp(self.second, 0).unwrap(),
                environment: "production".parse().unwrap(),
                instance: instance.clone(),
                counts,
            }));
        }
        let reports: Vec<&Reported> = reports.iter().collect();
        self.watched
            .take(self.published, &self.guards, &reports, self.second);
    }

    pub(super) fn seconds(&mut self, seconds: u32, says: impl Fn(&mut Report)) {
        for _ in 0..seconds {
            self.second(&says);
        }
    }

    pub(super) fn silence(&mut self, seconds: i64) {
        self.second += seconds;
    }

    /// Every instance runs this version from now on.
    pub(super) fn deploy(&mut self, version: &str) {
        for reporter in &mut self.reporters {
            version.clone_into(&mut reporter.version);
        }
    }

    pub(super) fn due(&self) -> Vec<Due> {
        self.watched.due(&self.guards)
    }

    /// What the first guard answers.
    pub(super) fn answer(&self) -> GuardReport {
        let answers = self
            .watched
            .answers(self.published, &self.guards, self.second);
        answers[0].clone()
    }

    pub(super) fn state(&self) -> GuardState {
        self.answer().state
    }
}
