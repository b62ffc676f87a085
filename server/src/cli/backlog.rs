//! `backlog`: the routes that are not ready, by priority.

use chrono::{NaiveDate, Utc};
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count};
use crate::cli::prepare;
use crate::cli::schedule::is_overdue;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Route};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct BacklogArgs {
    /// Only routes at this phase: analysis, rpc_design, server_implementation,
    /// client_implementation, or shelved
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Only routes of this owner
    #[arg(long)]
    owner: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &BacklogArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let phase = args.phase.as_deref().unwrap_or("unready");
    let mut query = vec![
        ("preparation", phase.to_owned()),
        ("sort", "priority".to_owned()),
    ];
    query.extend(args.owner.clone().map(|owner| ("owner", owner)));
    let reply = session.list("/routes", &query, None)?;
    session.show(&reply, |screen, page: Page<Route>| {
        table(screen, &page.items, Utc::now().date_naive())
    })
}

fn table(screen: &Screen, routes: &[Route], today: NaiveDate) -> String {
    if routes.is_empty() {
        return "nothing is left to prepare".to_owned();
    }
    let header = [
        "priority", "route", "phase", "estimate", "decision", "owner", "planned",
    ];
    let rows = routes.iter().filter_map(|route| row(route, today));
    let table = screen.table(&header, rows.collect());
    format!("{table}\n{}", count(routes.len(), "route"))
}

fn row(route: &Route, today: NaiveDate) -> Option<Vec<Field>> {
    let preparation = route.preparation.as_ref()?;
    let phase = preparation.at.join(", ");
    let decision = preparation.decision.as_ref();
    Some(vec![
        prepare::priority(preparation).into(),
        route.key.clone().into(),
        if phase == "shelved" {
            Field::faint(phase)
        } else {
            phase.into()
        },
        prepare::estimated(preparation).into(),
        decision.map_or_else(
            || "".into(),
            |decision| {
                let day = decision.at.date_naive();
                format!("{} {day} by {}", decision.decision, decision.by).into()
            },
        ),
        route.owner.clone().into(),
        planned(route, today),
    ])
}

/// The first of its planned days.
fn planned(route: &Route, today: NaiveDate) -> Field {
    let first = route
        .schedule
        .iter()
        .min_by_key(|milestone| (milestone.planned.is_none(), milestone.planned));
    let Some((milestone, day)) = first.and_then(|first| Some((first, first.planned?))) else {
        return "".into();
    };
    let text = format!("{} {} {day}", milestone.environment, milestone.stage);
    if is_overdue(milestone, today) {
        Field::bad(format!("{text} OVERDUE"))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::pipe;

    #[test]
    fn the_backlog_says_what_is_where() {
        let route = |key: &str, at: &str, rest: &str| -> Route {
            serde_json::from_str(&format!(
                r#"{{"key": "{key}", "flag": "X", "endpoint": "a.B/C", "operation": "read",
                    "owner": "gitaly", "policy": "open", "requires": [], "ramp_group": null,
                    "labels": {{}}, "contacts": {{}}, "description": "", "links": {{}},
                    "retired_at": null, "created_at": "2026-11-21T12:00:00Z", "rollouts": [],
                    "preparation": {{"at": {at}, "completed": [], "next_step": "x", {rest}}},
                    "schedule": [{{"environment": "dev", "stage": "opt_in",
                      "planned": "2026-12-01", "actual": null}}]}}"#
            ))
            .unwrap()
        };
        let ahead = r#"{"decision": "ahead", "by": "ann", "at": "2026-11-22T12:00:00Z"}"#;
        let both = r#"["server_implementation", "client_implementation"]"#;
        let routes = [
            route(
                "find",
                both,
                &format!(r#""priority": 1, "estimate": 5, "decision": {ahead}"#),
            ),
            route("count", r#"["analysis"]"#, r#""estimate": "two sprints""#),
        ];
        let today = NaiveDate::from_ymd_opt(2026, 12, 2).unwrap();
        insta::assert_snapshot!(table(&pipe(), &routes, today));
    }
}
