//! `plan`: given, shown, ticked, bound.

mod tree;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use switchover::Stage;

use crate::cli::api::{Reply, encode};
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::files::read_text;
use crate::cli::output::say;
use crate::cli::session::Session;
use crate::cli::wire::{Plan, PlanStep};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Show a plan: what is done, by whom, what is open
    Show(ShowArgs),
    /// Give a route its plan, or another text for it; steps that stay keep their ticks
    Put(PutArgs),
    /// Tick a step
    Check(StepArgs),
    /// Take a step's tick away
    Uncheck(StepArgs),
    /// Have a step wait until others are done
    After(AfterArgs),
    /// Bind a section to the stage whose promotion waits for its steps
    Bind(BindArgs),
    /// Have the steps done one after the other
    Order(OrderArgs),
    /// Take a plan away, with its ticks and notes
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Key of the route
    route: String,
    /// Print its Markdown, with the present ticks
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PutArgs {
    /// Key of the route
    route: String,
    /// Markdown of at most 1 MiB; - is standard input
    #[arg(value_name = "FILE")]
    from: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct StepArgs {
    /// Key of the route
    route: String,
    /// Id of the step, or as much of its beginning as no other has
    step: String,
    /// What is worth knowing; an empty note takes the one before away
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AfterArgs {
    /// Key of the route
    route: String,
    /// Id of the step that waits, or its beginning
    step: String,
    /// Ids of the steps that it waits for, or their beginnings; none frees it
    #[arg(value_name = "STEP")]
    after: Vec<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BindArgs {
    /// Key of the route
    route: String,
    /// Id of the section, its beginning, or its title
    section: String,
    /// opt_in, opt_out or mandatory; none frees the section
    #[arg(value_parser = gate)]
    stage: Gate,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// A stage, or none.
#[derive(Clone, Copy, Debug)]
struct Gate(Option<Stage>);

#[derive(Args, Debug)]
pub(crate) struct OrderArgs {
    /// Key of the route
    route: String,
    /// In any order again
    #[arg(long)]
    off: bool,
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

pub(crate) fn run(file: &FileArgs, command: PlanCommand) -> Result<(), CliError> {
    match command {
        PlanCommand::Show(args) => show(file, &args),
        PlanCommand::Put(args) => put(file, &args),
        PlanCommand::Check(args) => tick(file, &args, true),
        PlanCommand::Uncheck(args) => tick(file, &args, false),
        PlanCommand::After(args) => after(file, &args),
        PlanCommand::Bind(args) => bind(file, &args),
        PlanCommand::Order(args) => order(file, &args),
        PlanCommand::Delete(args) => delete(file, &args),
    }
}

fn show(file: &FileArgs, args: &ShowArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    if args.markdown {
        let reply = session.get(&at(&args.route), &[("format", "markdown".to_owned())])?;
        return say(reply.text().strip_suffix('\n').unwrap_or(reply.text()));
    }
    let reply = session.get(&at(&args.route), &[])?;
    session.show(&reply, |_, plan: Plan| tree::plan(&plan))
}

fn put(file: &FileArgs, args: &PutArgs) -> Result<(), CliError> {
    let text = read_text(&args.from)?;
    let session = Session::open(file, &args.client)?;
    let query = [("reason", args.reason.reason.clone())];
    let reply = session.put_markdown(&at(&args.route), &query, text)?;
    progress(&session, &reply)
}

fn tick(file: &FileArgs, args: &StepArgs, done: bool) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let step = step(&load(&session, &args.route)?, &args.step)?;
    let mut body = json!({ "done": done, "reason": args.reason.reason });
    if let (Some(note), Value::Object(fields)) = (&args.note, &mut body) {
        fields.insert("note".to_owned(), json!(note));
    }
    let path = format!("{}/steps/{}", at(&args.route), encode(&step));
    let reply = session.patch(&path, &body)?;
    progress(&session, &reply)
}

fn after(file: &FileArgs, args: &AfterArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let plan = load(&session, &args.route)?;
    let waiting = step(&plan, &args.step)?;
    let after = args.after.iter().map(|id| step(&plan, id));
    let after = after.collect::<Result<Vec<_>, _>>()?;
    let path = format!("{}/steps/{}", at(&args.route), encode(&waiting));
    let body = json!({ "after": after, "reason": args.reason.reason });
    let reply = session.patch(&path, &body)?;
    session.show(&reply, |_, _: Plan| match after.as_slice() {
        [] => format!("{waiting} waits for no step that is named"),
        named => format!("{waiting} waits for {}", named.join(", ")),
    })
}

fn bind(file: &FileArgs, args: &BindArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let section = section(&load(&session, &args.route)?, &args.section)?;
    let path = format!("{}/sections/{}", at(&args.route), encode(&section));
    let body = json!({ "gate": args.stage.0, "reason": args.reason.reason });
    let reply = session.patch(&path, &body)?;
    session.show(&reply, |_, _: Plan| match args.stage.0 {
        Some(stage) => format!("{section} is bound: a promotion to {stage} waits for its steps"),
        None => format!("{section} is bound to no stage"),
    })
}

fn order(file: &FileArgs, args: &OrderArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({ "ordered": !args.off, "reason": args.reason.reason });
    let reply = session.patch(&at(&args.route), &body)?;
    session.show(&reply, |_, plan: Plan| {
        if plan.ordered {
            format!("{}: a step waits for those before it", plan.route)
        } else {
            format!("{}: steps are done in any order", plan.route)
        }
    })
}

fn delete(file: &FileArgs, args: &DeleteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    session.delete(&at(&args.route), &[("reason", args.reason.reason.clone())])?;
    if session.is_json() {
        return say(json!({ "route": args.route, "deleted": true }).to_string());
    }
    say(format!("{} has no plan any more", args.route))
}

/// How far a plan is after a change.
fn progress(session: &Session, reply: &Reply) -> Result<(), CliError> {
    session.show(reply, |_, plan: Plan| {
        format!("{}: {}", plan.route, tree::progress(&plan))
    })
}

fn at(route: &str) -> String {
    format!("/routes/{}/plan", encode(route))
}

fn load(session: &Session, route: &str) -> Result<Plan, CliError> {
    session.get(&at(route), &[])?.read()
}

fn gate(text: &str) -> Result<Gate, String> {
    match text {
        "none" => Ok(Gate(None)),
        stage => stage
            .parse()
            .map(|stage| Gate(Some(stage)))
            .map_err(|_| "name opt_in, opt_out, mandatory or none".to_owned()),
    }
}

/// The id of the one step whose id is or begins so.
fn step(plan: &Plan, wanted: &str) -> Result<String, CliError> {
    let mut ids = Vec::new();
    let mut open: Vec<&PlanStep> = plan
        .sections
        .iter()
        .flat_map(|found| &found.steps)
        .collect();
    while let Some(step) = open.pop() {
        ids.push(step.id.as_str());
        open.extend(&step.steps);
    }
    one("step", wanted, &ids)
}

/// The id of the one section whose id is or begins so, or that has this title.
fn section(plan: &Plan, wanted: &str) -> Result<String, CliError> {
    let titled = plan
        .sections
        .iter()
        .filter(|section| section.title == wanted);
    let titled: Vec<&str> = titled.map(|section| section.id.as_str()).collect();
    match titled.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let ids: Vec<&str> = plan
                .sections
                .iter()
                .map(|found| found.id.as_str())
                .collect();
            one("section", wanted, &ids)
        }
        several => Err(CliError::new(format!(
            "several sections have the title `{wanted}`: name one of {}",
            several.join(", ")
        ))),
    }
}

fn one(what: &str, wanted: &str, ids: &[&str]) -> Result<String, CliError> {
    if ids.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    let fitting = ids.iter().filter(|id| id.starts_with(wanted));
    let fitting: Vec<&str> = fitting.take(5).copied().collect();
    match fitting.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(CliError::new(format!(
            "the plan has no {what} `{wanted}`\n  see them with their ids: switchover plan show ROUTE"
        ))),
        several => Err(CliError::new(format!(
            "several {what}s begin with `{wanted}`: {}",
            several.join(", ")
        ))),
    }
}
