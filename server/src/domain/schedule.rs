//! When a route is planned to reach its stages, and when it did.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use switchover::{RouteKey, Stage};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::field::FieldError;

/// The days on which a route is to reach its stages, by environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule(BTreeMap<String, BTreeMap<Stage, NaiveDate>>);

/// A change of stage on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEntry {
    /// The route.
    pub route: RouteKey,
    /// Where.
    pub environment: EnvironmentKey,
    /// The revision that the rollout took with it.
    pub revision: u64,
    /// The stage that it came to, from below or from above.
    pub stage: Stage,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
}

/// One stage in one environment, as planned and as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// Where.
    pub environment: EnvironmentKey,
    /// Which stage.
    pub stage: Stage,
    /// The day planned, in UTC.
    pub planned: Option<NaiveDate>,
    /// Since when the route has had this stage, or a later one, without a break.
    pub actual: Option<DateTime<Utc>>,
}

impl Schedule {
    /// A schedule from what somebody says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        said: BTreeMap<String, BTreeMap<String, String>>,
        environments: &[Environment],
    ) -> Result<Schedule, Vec<FieldError>> {
        let known: BTreeSet<&str> = environments.iter().map(|e| e.key.as_str()).collect();
        let mut errors = Vec::new();
        let mut schedule = BTreeMap::new();
        // Complaints name what was said, so it has to be something short.
        if said.len() > known.len() {
            let detail = format!("has at most one entry per environment: {}", list(&known));
            return Err(vec![FieldError::new("schedule", detail)]);
        }
        for (environment, said) in said {
            if !known.contains(environment.as_str()) {
                let detail = format!("names an environment; there are {}", list(&known));
                errors.push(FieldError::new("schedule", detail));
                continue;
            }
            let dates = dates(&environment, said, &mut errors);
            if !dates.is_empty() {
                schedule.insert(environment, dates);
            }
        }
        if errors.is_empty() {
            Ok(Schedule(schedule))
        } else {
            Err(errors)
        }
    }

    /// The day on which a stage is to be reached.
    #[must_use]
    pub fn planned(&self, environment: &EnvironmentKey, stage: Stage) -> Option<NaiveDate> {
        self.0.get(environment.as_str())?.get(&stage).copied()
    }

    /// Each stage that is planned or reached, by environment and stage.
    #[must_use]
    pub fn milestones(
        &self,
        environments: &[Environment],
        history: &[StageEntry],
    ) -> Vec<Milestone> {
        let mut milestones = Vec::new();
        for environment in environments {
            for stage in Stage::ALL {
                let here = history.iter().filter(|e| e.environment == environment.key);
                let planned = self.planned(&environment.key, stage);
                let actual = had_since(here, stage);
                if planned.is_some() || actual.is_some() {
                    milestones.push(Milestone {
                        environment: environment.key.clone(),
                        stage,
                        planned,
                        actual,
                    });
                }
            }
        }
        milestones
    }
}

/// Since when a rollout has had a stage, or a later one, without a break; its history in order.
fn had_since<'a>(
    history: impl Iterator<Item = &'a StageEntry>,
    stage: Stage,
) -> Option<DateTime<Utc>> {
    history.fold(None, |since, entry| {
        if entry.stage >= stage {
            since.or(Some(entry.at))
        } else {
            None
        }
    })
}

fn dates(
    environment: &str,
    said: BTreeMap<String, String>,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<Stage, NaiveDate> {
    let place = format!("schedule.{environment}");
    let mut dates = BTreeMap::new();
    for (stage, date) in said {
        let Ok(stage) = stage.parse::<Stage>() else {
            let detail =
                "names stages: ready_for_testing, opt_in, opt_out, mandatory, each with its day";
            errors.push(FieldError::new(&place, detail));
            continue;
        };
        match NaiveDate::parse_from_str(&date, "%Y-%m-%d") {
            Ok(day) if (2000..3000).contains(&day.year()) && date.len() == 10 => {
                dates.insert(stage, day);
            }
            _ => {
                let detail = "is a day such as 2026-12-01, in UTC";
                errors.push(FieldError::new(format!("{place}.{stage}"), detail));
            }
        }
    }
    let in_order = dates.values().zip(dates.values().skip(1));
    for ((stage, _), (day, next)) in dates.iter().skip(1).zip(in_order) {
        if next < day {
            let detail = format!("is before the day of an earlier stage, {day}");
            errors.push(FieldError::new(format!("{place}.{stage}"), detail));
        }
    }
    dates
}

fn list(known: &BTreeSet<&str>) -> String {
    known.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use switchover::EnvironmentKind;

    use super::*;

    fn environments() -> Vec<Environment> {
        let environment = |(position, key): (i32, &str)| Environment {
            key: key.parse().unwrap(),
            kind: EnvironmentKind::Hosted,
            position,
            production: false,
            revision: 0,
            generation: 1,
            created_at: DateTime::UNIX_EPOCH,
        };
        (1..).zip(["dev", "production"]).map(environment).collect()
    }

    fn parse(json: &str) -> Result<Schedule, Vec<String>> {
        Schedule::parse(serde_json::from_str(json).unwrap(), &environments())
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn days_are_checked() {
        let good =
            r#"{"dev": {"opt_in": "2026-12-01", "mandatory": "2026-12-01"}, "production": {}}"#;
        let schedule = parse(good).unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 12, 1);
        let dev = "dev".parse().unwrap();
        assert_eq!(schedule.planned(&dev, Stage::OptIn), day);
        assert_eq!(schedule.planned(&dev, Stage::OptOut), None);
        let stored = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&stored).unwrap(), schedule);
        for (wrong, field) in [
            (r#"{"nowhere": {}}"#, "schedule"),
            (r#"{"a": {}, "b": {}, "c": {}}"#, "schedule"),
            (r#"{"dev": {"testing": "2026-12-01"}}"#, "schedule.dev"),
            (
                r#"{"dev": {"opt_in": "2026-13-01"}}"#,
                "schedule.dev.opt_in",
            ),
            (r#"{"dev": {"opt_in": "2026-2-1"}}"#, "schedule.dev.opt_in"),
            (
                r#"{"dev": {"opt_in": "1999-12-31"}}"#,
                "schedule.dev.opt_in",
            ),
            (
                r#"{"dev": {"opt_in": "+12026-12-01"}}"#,
                "schedule.dev.opt_in",
            ),
            (r#"{"dev": {"opt_in": ""}}"#, "schedule.dev.opt_in"),
            (
                r#"{"dev": {"opt_in": "2026-12-02", "mandatory": "2026-12-01"}}"#,
                "schedule.dev.mandatory",
            ),
        ] {
            assert_eq!(parse(wrong), Err(vec![field.to_owned()]), "{wrong}");
        }
    }

    #[test]
    fn what_was_reached_and_kept_counts() {
        let minutes = |minute: i64| DateTime::from_timestamp(60 * minute, 0).unwrap();
        let entry = |minute: i64, stage| StageEntry {
            route: "find".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            revision: 1,
            stage,
            at: minutes(minute),
            by: "ann".to_owned(),
        };
        use Stage::{Mandatory, OptIn, OptOut, ReadyForTesting};
        for (stages, expected) in [
            (&[][..], [None, None, None, None]),
            (&[ReadyForTesting], [Some(0), None, None, None]),
            (
                &[ReadyForTesting, OptIn, OptOut],
                [Some(0), Some(1), Some(2), None],
            ),
            (
                &[ReadyForTesting, OptIn, OptOut, Mandatory, OptIn],
                [Some(0), Some(1), None, None],
            ),
            (
                &[ReadyForTesting, OptIn, ReadyForTesting, OptIn],
                [Some(0), Some(3), None, None],
            ),
            (&[OptOut], [Some(0), Some(0), Some(0), None]),
        ] {
            let history: Vec<_> = (0..)
                .zip(stages)
                .map(|(at, stage)| entry(at, *stage))
                .collect();
            let milestones = Schedule::default().milestones(&environments(), &history);
            let actual = Stage::ALL.map(|stage| {
                let mut found = milestones.iter().filter(|found| found.stage == stage);
                found.next().and_then(|found| found.actual)
            });
            assert_eq!(
                actual,
                expected.map(|minute| minute.map(minutes)),
                "{stages:?}"
            );
        }
    }
}
