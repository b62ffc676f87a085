//! Planned days beside the actual ones, for people.

use chrono::NaiveDate;

use crate::cli::output::{Field, Screen};
use crate::cli::wire::Milestone;

/// Whether a stage was to be reached before today, and is not.
pub(crate) fn is_overdue(milestone: &Milestone, today: NaiveDate) -> bool {
    let planned = milestone.planned;
    milestone.actual.is_none() && planned.is_some_and(|planned| planned < today)
}

/// What is planned, and what came of it; `None` when nothing is planned.
pub(crate) fn table(screen: &Screen, schedule: &[Milestone], today: NaiveDate) -> Option<String> {
    let rows: Vec<Vec<Field>> = schedule
        .iter()
        .filter_map(|milestone| Some(row(milestone, milestone.planned?, today)))
        .collect();
    let header = ["environment", "stage", "planned", "actual", "note"];
    (!rows.is_empty()).then(|| screen.table(&header, rows))
}

fn row(milestone: &Milestone, planned: NaiveDate, today: NaiveDate) -> Vec<Field> {
    let actual = milestone.actual.map(|actual| actual.date_naive());
    let note = match actual {
        None if is_overdue(milestone, today) => {
            Field::bad(format!("OVERDUE by {}", days(planned, today)))
        }
        None => "".into(),
        Some(actual) if actual > planned => format!("{} late", days(planned, actual)).into(),
        Some(actual) if actual < planned => format!("{} early", days(actual, planned)).into(),
        Some(_) => "".into(),
    };
    vec![
        milestone.environment.clone().into(),
        milestone.stage.to_string().into(),
        planned.to_string().into(),
        actual.map(|day| day.to_string()).unwrap_or_default().into(),
        note,
    ]
}

fn days(from: NaiveDate, to: NaiveDate) -> String {
    match (to - from).num_days() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
