//! `route update`: what is said of a route, changed.

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::pairs::{self, Pair};
use crate::cli::session::Session;
use crate::cli::wire::Route;
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(
    override_usage = "switchover route update <ROUTE> --reason <TEXT> <--owner …|--policy …|--number …|…>"
)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "owner", "policy", "number", "requires", "label", "contact", "description", "runbook",
    "dashboard", "alert", "issue",
])))]
pub(crate) struct UpdateArgs {
    /// Key of the route
    route: String,
    /// Who answers for it
    #[arg(long)]
    owner: Option<String>,
    /// Policy; taking gates away needs an admin
    #[arg(long)]
    policy: Option<String>,
    /// A number of the policy for this route alone, such as opt_out.soak.days=10; nothing behind
    /// the = for the policy's own again; lower demands need an admin; can be repeated
    #[arg(long, value_name = "PATH=NUMBER", value_parser = pairs::parse)]
    number: Vec<Pair>,
    /// Routes that must be at least as far, all of them; an empty one for none
    #[arg(long, value_name = "ROUTE", value_delimiter = ',')]
    requires: Option<Vec<String>>,
    /// Label, beside those that it has; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pairs::parse)]
    label: Vec<Pair>,
    /// Contact, beside those that it has; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pairs::parse)]
    contact: Vec<Pair>,
    /// What it is
    #[arg(long)]
    description: Option<String>,
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
    /// Demote it where it would be ahead of what it requires
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &UpdateArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("/routes/{}", encode(&args.route));
    let route: Value = session.get(&path, &[])?.read()?;
    let mut body = Map::new();
    let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
    for (name, value) in [
        ("owner", &args.owner),
        ("policy", &args.policy),
        ("description", &args.description),
    ] {
        if let Some(value) = value {
            say(name, json!(value));
        }
    }
    if let Some(requires) = &args.requires {
        let named: Vec<&String> = requires.iter().filter(|key| !key.is_empty()).collect();
        say("requires", json!(named));
    }
    for (name, pairs) in [("labels", &args.label), ("contacts", &args.contact)] {
        if !pairs.is_empty() {
            let more = pairs::map(pairs).into_iter();
            let more = more.map(|(name, value)| (name.to_owned(), json!(value)));
            say(name, beside(route.get(name), more));
        }
    }
    if !args.number.is_empty() {
        let numbers = pairs::map(&args.number).into_iter().map(number);
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let mut all = beside(route.get("policy_numbers"), numbers);
        if let Some(all) = all.as_object_mut() {
            all.retain(|_, number| !number.is_null());
        }
        say("policy_numbers", all);
    }
    let links: Vec<(String, Value)> = [
        ("runbook", &args.runbook),
        ("dashboard", &args.dashboard),
        ("alert", &args.alert),
        ("issue", &args.issue),
    ]
    .into_iter()
    .filter_map(|(name, link)| Some((name.to_owned(), json!(link.as_ref()?))))
    .collect();
    if !links.is_empty() {
        say("links", beside(route.get("links"), links));
    }
    say("cascade", json!(args.cascade));
    say("reason", json!(args.reason.reason));
    let reply = session.patch(&path, &Value::Object(body))?;
    session.show(&reply, |_, route: Route| {
        format!("{} is changed", route.key)
    })
}

/// What there is, with these in it: the interface takes the whole of a map.
fn beside(there: Option<&Value>, more: impl IntoIterator<Item = (String, Value)>) -> Value {
    let mut all = there
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    all.extend(more);
    Value::Object(all)
}

/// A number by its path; null where it is to be the policy's again.
fn number((path, value): (&str, &str)) -> Result<(String, Value), CliError> {
    if value.is_empty() {
        return Ok((path.to_owned(), Value::Null));
    }
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number
        .ok_or_else(|| CliError::new(format!("--number {path}={value}: {value} is no number")))?;
    Ok((path.to_owned(), json!(number)))
}
