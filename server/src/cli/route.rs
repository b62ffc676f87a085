//! `route`: added, imported, listed, shown, retired.

mod import;
mod schedule;
mod show;
mod update;

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use switchover::Stage;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count};
use crate::cli::pairs::{self, Pair};
use crate::cli::prepare;
use crate::cli::session::Session;
use crate::cli::wire::{Page, Route};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Add a route: ready for testing in every environment, or to be prepared first
    Add(Box<AddArgs>),
    /// List routes
    List(ListArgs),
    /// Show a route, and where it stands in every environment
    Show(ShowArgs),
    /// Change what is said of a route
    Update(Box<update::UpdateArgs>),
    /// Add many routes from a JSON file: all of them, or none
    Import(import::ImportArgs),
    /// Plan the days on which a route is to reach its stages
    Schedule(schedule::ScheduleArgs),
    /// Retire a route that is mandatory everywhere; final
    Retire(RetireArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Address of the new implementation, such as gitaly.CommitService/CountCommits
    endpoint: String,
    /// What a call does: read, write or call
    #[arg(long, value_parser = ["read", "write", "call"])]
    operation: String,
    /// Who answers for it
    #[arg(long)]
    owner: String,
    /// Key, when it is not to follow from the endpoint
    #[arg(long)]
    key: Option<String>,
    /// Environment variable, when it is not to follow from the endpoint
    #[arg(long)]
    flag: Option<String>,
    /// Policy; `switchover policy list` shows them [default: gitaly]
    #[arg(long)]
    policy: Option<String>,
    /// Route that must be at least as far; can be repeated
    #[arg(long, value_name = "ROUTE")]
    requires: Vec<String>,
    /// Routes of one group move the same keys together
    #[arg(long, value_name = "GROUP")]
    ramp_group: Option<String>,
    /// Label; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pairs::parse)]
    label: Vec<Pair>,
    /// Contact, usually technical_lead, database or on_call; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pairs::parse)]
    contact: Vec<Pair>,
    /// What it is
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// It is not ready: begin with its analysis
    #[arg(long)]
    prepare: bool,
    /// Roughly how much work it is: a number of days, or words
    #[arg(long, requires = "prepare")]
    estimate: Option<String>,
    /// Place in the backlog; 1 comes first
    #[arg(long, value_name = "NUMBER", requires = "prepare")]
    priority: Option<u32>,
    /// An endpoint that exists serves, so that only the client is left to implement
    #[arg(long, requires = "prepare")]
    existing_endpoint: bool,
    /// Address of the runbook
    #[arg(long, value_name = "URL")]
    runbook: Option<String>,
    /// Address of the dashboard
    #[arg(long, value_name = "URL")]
    dashboard: Option<String>,
    /// Address of the alert
    #[arg(long, value_name = "URL")]
    alert: Option<String>,
    /// Address of the issue
    #[arg(long, value_name = "URL")]
    issue: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which routes.
#[derive(Args, Debug)]
pub(crate) struct RouteFilterArgs {
    /// Only routes at this stage, in --environment or anywhere
    #[arg(long)]
    pub(crate) stage: Option<Stage>,
    /// Only routes of this owner
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// Only routes under this policy
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// Only routes with this text in key, flag, endpoint or description
    #[arg(short, long = "search", value_name = "TEXT")]
    pub(crate) q: Option<String>,
}

impl RouteFilterArgs {
    pub(crate) fn query(&self, environment: Option<&String>) -> Vec<(&'static str, String)> {
        [
            ("stage", self.stage.map(|stage| stage.to_string())),
            // The server takes it only together with a stage.
            (
                "environment",
                environment.filter(|_| self.stage.is_some()).cloned(),
            ),
            ("owner", self.owner.clone()),
            ("policy", self.policy.clone()),
            ("q", self.q.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: RouteFilterArgs,
    /// The environment that --stage speaks of
    #[arg(long, value_name = "ENV", requires = "stage")]
    environment: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Key of the route
    route: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RetireArgs {
    /// Key of the route
    route: String,
    /// As an admin, retire it though no scan of the code shows that it is gone
    #[arg(long)]
    break_glass: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: RouteCommand) -> Result<(), CliError> {
    match command {
        RouteCommand::Add(args) => add(file, &args),
        RouteCommand::List(args) => list(file, &args),
        RouteCommand::Show(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get(&format!("/routes/{}", encode(&args.route)), &[])?;
            let today = Utc::now().date_naive();
            session.show(&reply, |screen, route| show::route(screen, route, today))
        }
        RouteCommand::Update(args) => update::run(file, &args),
        RouteCommand::Import(args) => import::run(file, &args),
        RouteCommand::Schedule(args) => schedule::run(file, &args),
        RouteCommand::Retire(args) => {
            let session = Session::open(file, &args.client)?;
            let path = format!("/routes/{}/retire", encode(&args.route));
            let reply = session.post(
                &path,
                &json!({
                    "reason": args.reason.reason,
                    "break_glass": args.break_glass,
                }),
            )?;
            session.show(&reply, |_, route: Route| {
                format!("{} is retired: mandatory for ever", route.key)
            })
        }
    }
}

fn add(file: &FileArgs, args: &AddArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let links = [
        ("runbook", &args.runbook),
        ("dashboard", &args.dashboard),
        ("alert", &args.alert),
        ("issue", &args.issue),
    ];
    let links: Map<String, Value> = links
        .into_iter()
        .filter_map(|(name, link)| Some((name.to_owned(), json!(link.as_ref()?))))
        .collect();
    let body = json!({
        "endpoint": args.endpoint,
        "key": args.key,
        "flag": args.flag,
        "operation": args.operation,
        "owner": args.owner,
        "policy": args.policy,
        "requires": args.requires,
        "ramp_group": args.ramp_group,
        "labels": pairs::map(&args.label),
        "contacts": pairs::map(&args.contact),
        "description": args.description,
        "links": links,
        "preparation": args.prepare.then(|| json!({
            "estimate": args.estimate.as_deref().map(prepare::estimate),
            "priority": args.priority,
            "existing_endpoint": args.existing_endpoint,
        })),
    });
    let reply = session.post("/routes", &body)?;
    session.show(&reply, |_, route: Route| {
        let mut text = format!("{} is added, its flag is {}", route.key, route.flag);
        if route.preparation.is_some() {
            text.push_str(&format!("\n{}", prepare::told(&route)));
        }
        text
    })
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = args.filter.query(args.environment.as_ref());
    let reply = session.list("/routes", &query, None)?;
    session.show(&reply, |screen: &Screen, page: Page<Route>| {
        let rows: Vec<Vec<Field>> = page.items.into_iter().map(row).collect();
        let count = count(rows.len(), "route");
        let header = ["route", "flag", "endpoint", "operation", "owner", "policy"];
        format!("{}\n{count}", screen.table(&header, rows))
    })
}

fn row(route: Route) -> Vec<Field> {
    let key = if route.retired_at.is_some() {
        Field::faint(format!("{} (retired)", route.key))
    } else {
        route.key.into()
    };
    vec![
        key,
        route.flag.into(),
        route.endpoint.into(),
        route.operation.into(),
        route.owner.into(),
        route.policy.into(),
    ]
}
