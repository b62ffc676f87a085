//! `runbook`: what to do when a route goes wrong, kept where it is checked.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::files::read_text;
use crate::cli::output::{say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{Environment, Page, Route, Runbook};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RunbookCommand {
    /// Print the runbook of a route
    Show(ShowArgs),
    /// Keep a runbook, in the place of the one before
    Put(PutArgs),
    /// Remove the runbook of a route
    Delete(DeleteArgs),
    /// Print a runbook to begin with, with the commands of this route
    Template(ShowArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Key of the route
    route: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PutArgs {
    /// Key of the route
    route: String,
    /// Markdown file; - is standard input
    #[arg(value_name = "FILE")]
    from: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Key of the route
    route: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: RunbookCommand) -> Result<(), CliError> {
    match command {
        RunbookCommand::Show(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get(&at(&args.route), &[])?;
            session.show(&reply, |_, runbook: Runbook| {
                runbook.text.trim_end().to_owned()
            })
        }
        RunbookCommand::Put(args) => put(file, &args),
        RunbookCommand::Delete(args) => {
            let session = Session::open(file, &args.client)?;
            session.delete(&at(&args.route), &[("reason", args.reason.reason)])?;
            if session.is_json() {
                return say_json(&json!({ "deleted": args.route }));
            }
            say(format!("the runbook of {} is gone", args.route))
        }
        RunbookCommand::Template(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.get(&format!("/routes/{}", encode(&args.route)), &[])?;
            let environments = session.get("/environments", &[])?;
            let text = template(&reply.read()?, &environments.read()?);
            if session.is_json() {
                return say_json(&json!({ "text": text }));
            }
            say(text)
        }
    }
}

fn put(file: &FileArgs, args: &PutArgs) -> Result<(), CliError> {
    let text = read_text(&args.from)?;
    let session = Session::open(file, &args.client)?;
    let query = [("reason", args.reason.reason.clone())];
    let reply = session.put_markdown(&at(&args.route), &query, text)?;
    session.show(&reply, |_, runbook: Runbook| {
        let mut text = format!("the runbook of {} is kept", args.route);
        for lack in &runbook.lacks {
            text.push_str(&format!("\n  it lacks {lack}"));
        }
        text
    })
}

fn at(route: &str) -> String {
    format!("/routes/{}/runbook", encode(route))
}

fn template(route: &Route, environments: &Page<Environment>) -> String {
    let (key, flag) = (&route.key, &route.flag);
    let hosted: Vec<&str> = environments
        .items
        .iter()
        .filter(|environment| environment.kind == "hosted")
        .map(|environment| environment.key.as_str())
        .collect();
    let each = |command: &str| {
        let line = |environment: &&str| {
            format!("switchover {command} {key} {environment} --reason \"…\"\n")
        };
        hosted.iter().map(line).collect::<String>()
    };
    let last = hosted.last().copied().unwrap_or("production");
    let who = list(&route.contacts, "whom to wake: name, number");
    let links = route.links.clone().into_iter();
    let links: BTreeMap<String, String> = links
        .filter_map(|(name, link)| Some((name, link?)))
        .filter(|(name, _)| name != "runbook")
        .collect();
    let links = list(&links, "the dashboard, and what is normal on it");
    format!(
        "# {flag}

The route `{key}` moves to `{endpoint}`; {owner} answers for it.

{who}
## Is it this route?

{links}
What do its callers see, and which log lines say so? …

```shell
switchover route show {key}
switchover history {key}
switchover explain {key} {last}
```

## Turn it off

Everything takes the old path within seconds. It needs no approval, and no deployment:

```shell
{halts}```

Without the command line:

```shell
curl -X POST \"$SWITCHOVER_URL/api/v1/routes/{key}/environments/{last}/halt\" \\
  -H \"Authorization: Bearer $SWITCHOVER_TOKEN\" -H 'Content-Type: application/json' \\
  -d '{{\"reason\": \"…\"}}'
```

An installation that no server reaches sets `{flag}=0` in the environment of its callers and restarts
them. Where the route is mandatory, neither works: an admin demotes and halts it in one step.

```shell
switchover demote {key} {last} --to opt_out --halt --break-glass --reason \"…\"
```

## Find the cause

…

## Turn it on again

```shell
{resumes}```
",
        endpoint = route.endpoint,
        owner = route.owner,
        halts = each("halt"),
        resumes = each("resume"),
    )
}

fn list(pairs: &BTreeMap<String, String>, otherwise: &str) -> String {
    if pairs.is_empty() {
        return format!("- … ({otherwise})\n");
    }
    let line = |(name, value): (&String, &String)| format!("- {name}: {value}\n");
    pairs.iter().map(line).collect()
}
