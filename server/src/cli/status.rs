//! `status`: every route in every environment.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Utc};
use clap::Args;
use switchover::Stage;

use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count};
use crate::cli::rollout::brief;
use crate::cli::route::RouteFilterArgs;
use crate::cli::schedule::is_overdue;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Rollout, Route};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    filter: RouteFilterArgs,
    /// Only this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only routes that are halted somewhere, or in --environment
    #[arg(long, conflicts_with = "json")]
    halted: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &StatusArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = args.filter.query(args.environment.as_ref());
    let reply = session.list("/routes", &query, None)?;
    session.show(&reply, |screen, page: Page<Route>| {
        let today = Utc::now().date_naive();
        let only = args.environment.as_deref();
        table(screen, page.items, (only, args.halted), today)
    })
}

fn table(
    screen: &Screen,
    mut routes: Vec<Route>,
    (only, halted): (Option<&str>, bool),
    today: NaiveDate,
) -> String {
    // Those that are not ready are in no environment.
    let all = routes.len();
    routes.retain(|route| !route.rollouts.is_empty());
    let unready = match all - routes.len() {
        0 => String::new(),
        some => format!(", {some} in preparation (switchover backlog)"),
    };
    let drifted: BTreeSet<(String, String)> = routes.iter().flat_map(drift).collect();
    for route in &mut routes {
        route
            .rollouts
            .retain(|rollout| only.is_none_or(|only| rollout.environment == only));
    }
    if halted {
        routes.retain(|route| route.rollouts.iter().any(|rollout| rollout.halt.is_some()));
    }
    let Some(first) = routes.first() else {
        return format!("no routes{unready}");
    };
    let mut header = vec!["route"];
    let environments: Vec<String> = first
        .rollouts
        .iter()
        .map(|rollout| rollout.environment.clone())
        .collect();
    header.extend(environments.iter().map(String::as_str));
    let total = count(routes.len(), "route");
    let stopped = routes
        .iter()
        .flat_map(|route| &route.rollouts)
        .filter(|rollout| rollout.halt.is_some())
        .count();
    let late = routes
        .iter()
        .flat_map(|route| &route.schedule)
        .filter(|planned| environments.contains(&planned.environment) && is_overdue(planned, today))
        .count();
    let late = match late {
        0 => String::new(),
        some => format!(", {some} overdue"),
    };
    let ahead = |route: &Route, environment: &String| {
        drifted.contains(&(route.key.clone(), environment.clone()))
    };
    let drifts = routes
        .iter()
        .flat_map(|route| {
            environments
                .iter()
                .map(move |environment| (route, environment))
        })
        .filter(|(route, environment)| ahead(route, environment))
        .count();
    let drifts = match drifts {
        0 => String::new(),
        some => format!(", {some} ahead of an earlier environment"),
    };
    let rows = routes
        .iter()
        .map(|route| row(route, &environments, today, &ahead));
    let table = screen.table(&header, rows.collect());
    let stopped = count(stopped, "halted rollout");
    format!("{table}\n{total}, {stopped}{late}{drifts}{unready}")
}

/// Where a route is ahead of an earlier environment: that one was demoted since.
fn drift(route: &Route) -> Vec<(String, String)> {
    let mut least: Option<Stage> = None;
    let mut ahead = Vec::new();
    for rollout in &route.rollouts {
        if least.is_some_and(|least| rollout.stage > least) {
            ahead.push((route.key.clone(), rollout.environment.clone()));
        }
        least = Some(least.map_or(rollout.stage, |least| least.min(rollout.stage)));
    }
    ahead
}

fn row(
    route: &Route,
    environments: &[String],
    today: NaiveDate,
    ahead: &dyn Fn(&Route, &String) -> bool,
) -> Vec<Field> {
    let name = match route.retired_at {
        Some(_) => Field::faint(format!("{} (retired)", route.key)),
        None => route.key.clone().into(),
    };
    let field = |environment: &String| {
        let here = |rollout: &&Rollout| rollout.environment == *environment;
        let Some(rollout) = route.rollouts.iter().find(here) else {
            return "".into();
        };
        let mut planned = route.schedule.iter();
        let late = planned
            .any(|planned| planned.environment == *environment && is_overdue(planned, today));
        let mut field = brief(rollout);
        if late {
            field = field.and_bad(" overdue");
        }
        if ahead(route, environment) {
            field = field.and_bad(" drift");
        }
        field
    };
    let mut row = vec![name];
    row.extend(environments.iter().map(field));
    row
}
