//! `route schedule`: the days on which a route is to reach its stages.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Utc};
use clap::Args;
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::schedule;
use crate::cli::session::Session;
use crate::cli::wire::Route;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ScheduleArgs {
    /// Key of the route
    route: String,
    /// Day of a stage, such as production.opt_in=2026-12-01; without a day it is not planned any
    /// more; what is not named stays
    #[arg(value_name = "ENV.STAGE=DAY", value_parser = parse, required = true)]
    days: Vec<Day>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What is planned for one stage.
#[derive(Clone, Debug)]
struct Day {
    environment: String,
    stage: String,
    day: Option<NaiveDate>,
}

pub(super) fn run(file: &FileArgs, args: &ScheduleArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("/routes/{}", encode(&args.route));
    let route: Route = session.get(&path, &[])?.read()?;
    let mut planned: BTreeMap<String, BTreeMap<String, NaiveDate>> = BTreeMap::new();
    for milestone in route.schedule {
        if let Some(day) = milestone.planned {
            let stages = planned.entry(milestone.environment).or_default();
            stages.insert(milestone.stage.to_string(), day);
        }
    }
    for said in &args.days {
        let stages = planned.entry(said.environment.clone()).or_default();
        match said.day {
            Some(day) => stages.insert(said.stage.clone(), day),
            None => stages.remove(&said.stage),
        };
    }
    let body = json!({ "schedule": planned, "reason": args.reason.reason });
    let reply = session.patch(&path, &body)?;
    let today = Utc::now().date_naive();
    session.show(&reply, |screen, route: Route| {
        schedule::table(screen, &route.schedule, today)
            .unwrap_or_else(|| format!("nothing is planned for {}", route.key))
    })
}

fn parse(text: &str) -> Result<Day, String> {
    let split = text.split_once('=').and_then(|(name, day)| {
        let (environment, stage) = name.split_once('.')?;
        Some((environment.to_owned(), stage.to_owned(), day))
    });
    let (environment, stage, day) =
        split.ok_or_else(|| "write it as production.opt_in=2026-12-01".to_owned())?;
    let day = match day {
        "" => None,
        day => Some(
            day.parse()
                .map_err(|_| "a day is written as 2026-12-01".to_owned())?,
        ),
    };
    Ok(Day {
        environment,
        stage,
        day,
    })
}
