//! `status`: every route in every environment.

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count};
use crate::cli::rollout::brief;
use crate::cli::route::RouteFilterArgs;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Route};
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
        table(screen, page.items, args.environment.as_deref(), args.halted)
    })
}

fn table(screen: &Screen, mut routes: Vec<Route>, only: Option<&str>, halted: bool) -> String {
    for route in &mut routes {
        route
            .rollouts
            .retain(|rollout| only.is_none_or(|only| rollout.environment == only));
    }
    if halted {
        routes.retain(|route| route.rollouts.iter().any(|rollout| rollout.halt.is_some()));
    }
    let Some(first) = routes.first() else {
        return "no routes".to_owned();
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
    let rows = routes.iter().map(|route| row(route, &environments));
    let table = screen.table(&header, rows.collect());
    format!("{table}\n{total}, {}", count(stopped, "halted rollout"))
}

fn row(route: &Route, environments: &[String]) -> Vec<Field> {
    let name = match route.retired_at {
        Some(_) => Field::faint(format!("{} (retired)", route.key)),
        None => route.key.clone().into(),
    };
    let mut row = vec![name];
    row.extend(environments.iter().map(|environment| {
        route
            .rollouts
            .iter()
            .find(|rollout| rollout.environment == *environment)
            .map_or_else(|| "".into(), brief)
    }));
    row
}
