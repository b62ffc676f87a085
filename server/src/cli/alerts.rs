//! `alerts`: rules for Prometheus, from what policies limit.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::error::CliError;
use crate::cli::output::{count, say, say_json};
use crate::cli::session::{Session, note};
use crate::cli::wire::{self, Environment, Page, Route};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::alerts::{
    Limits, Look, RuleFile, RuleGroup, Span, Subject, of_route, of_server,
};
use crate::domain::policy::Policy;

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("subject").required(true).args(["route", "all", "server"])))]
pub(crate) struct AlertsArgs {
    /// Key of the route
    route: Option<String>,
    /// Rules for every route, and for the server
    #[arg(long)]
    all: bool,
    /// Rules for the server itself, once beside those for routes; no server is asked
    #[arg(long, conflicts_with = "environments")]
    server: bool,
    /// Only for these environments [default: all whose callers report]
    #[arg(long = "environment", value_name = "ENV")]
    environments: Vec<String>,
    /// For how long a condition holds before it is an alert
    #[arg(long = "for", value_name = "TIME", default_value = "2m")]
    lasting: Span,
    /// How far back rates go; several times the interval in which Prometheus scrapes
    #[arg(long, value_name = "TIME", default_value = "5m")]
    window: Span,
    /// File to write them to [default: standard output]
    #[arg(long, short, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &AlertsArgs) -> Result<(), CliError> {
    let look = Look {
        window: args.window.clone(),
        lasting: args.lasting.clone(),
    };
    let mut groups = Vec::new();
    // Not beside a single route: Prometheus would evaluate them once for each route's file.
    if args.server || args.all {
        groups.push(of_server(&look));
    }
    if !args.server {
        groups.extend(of_routes(&Session::open(file, &args.client)?, args, &look)?);
    }
    written(args, &RuleFile { groups })
}

fn of_routes(
    session: &Session,
    args: &AlertsArgs,
    look: &Look,
) -> Result<Vec<RuleGroup>, CliError> {
    let routes = match &args.route {
        Some(key) => vec![one(session, key)?],
        None => all(session)?,
    };
    let environments = reporting(session)?;
    if let Some(unknown) = args
        .environments
        .iter()
        .find(|it| !environments.contains(it))
    {
        return Err(CliError::new(format!(
            "{unknown} is no environment whose callers report; there are: {}",
            environments.join(", ")
        )));
    }
    let mut policies = Policies::default();
    let mut groups = Vec::new();
    for route in &routes {
        let limits = policies.limits(session, route)?;
        note_untold(route, &limits);
        for rollout in &route.rollouts {
            let key = &rollout.environment;
            let wanted = args.environments.is_empty() || args.environments.contains(key);
            if wanted && environments.contains(key) {
                groups.push(of_route(&subject(route, key, limits), look));
            }
        }
    }
    Ok(groups)
}

fn note_untold(route: &Route, limits: &Limits) {
    let untold = limits.untold();
    if !untold.is_empty() {
        note(&format!(
            "{}: policy {} has nothing about {}, so no alert tells of that",
            route.key,
            route.policy,
            untold.join(", ")
        ));
    }
}

/// The limits of routes; policies are asked for once.
#[derive(Default)]
pub(crate) struct Policies(BTreeMap<String, Policy>);

impl Policies {
    pub(crate) fn limits(&mut self, session: &Session, route: &Route) -> Result<Limits, CliError> {
        let name = &route.policy;
        if !self.0.contains_key(name) {
            let reply = session.get(&format!("/policies/{}", encode(name)), &[])?;
            let policy: wire::Policy = reply.read()?;
            let policy = Policy::parse(policy.policy.to_string().as_bytes()).map_err(|errors| {
                let errors: Vec<String> = errors.iter().map(|it| it.detail.clone()).collect();
                let why = errors.join("; ");
                CliError::new(format!(
                    "this version does not understand policy {name}: {why}"
                ))
            })?;
            self.0.insert(name.clone(), policy);
        }
        let policy = self.0.get(name);
        let policy = policy.map(|policy| policy.with_numbers(&route.policy_numbers));
        Ok(policy.as_ref().map(Limits::of).unwrap_or_default())
    }
}

pub(crate) fn one(session: &Session, key: &str) -> Result<Route, CliError> {
    session
        .get(&format!("/routes/{}", encode(key)), &[])?
        .read()
}

fn all(session: &Session) -> Result<Vec<Route>, CliError> {
    let page: Page<Route> = session.list("/routes", &[], None)?.read()?;
    let mut routes = page.items;
    routes.retain(|route| route.retired_at.is_none());
    Ok(routes)
}

/// The environments whose callers talk to the server.
pub(crate) fn reporting(session: &Session) -> Result<Vec<String>, CliError> {
    let page: Page<Environment> = session.list("/environments", &[], None)?.read()?;
    let hosted = page.items.into_iter().filter(|it| it.kind == "hosted");
    Ok(hosted.map(|environment| environment.key).collect())
}

pub(crate) fn link(route: &Route, name: &str) -> Option<String> {
    route.links.get(name).cloned().flatten()
}

fn subject(route: &Route, environment: &str, limits: Limits) -> Subject {
    Subject {
        route: route.key.clone(),
        flag: route.flag.clone(),
        owner: route.owner.clone(),
        environment: environment.to_owned(),
        runbook: link(route, "runbook"),
        dashboard: link(route, "dashboard"),
        limits,
    }
}

fn written(args: &AlertsArgs, rules: &RuleFile) -> Result<(), CliError> {
    let text = serde_saphyr::to_string(rules)
        .map_err(|error| CliError::new(format!("the rules cannot be written: {error}")))?;
    if let Some(path) = &args.output {
        fs::write(path, &text)
            .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?;
        let alerts = rules
            .groups
            .iter()
            .map(|group: &RuleGroup| group.rules.len());
        let alerts = count(alerts.sum(), "alert");
        note(&format!("{alerts} are in {}", path.display()));
    }
    if args.client.json {
        let written = args.output.as_ref().map(|path| path.display().to_string());
        return say_json(&json!({ "groups": rules.groups, "file": written }));
    }
    match args.output {
        Some(_) => Ok(()),
        None => say(text.trim_end()),
    }
}
