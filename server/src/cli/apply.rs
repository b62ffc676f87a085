//! `apply`: brings about what a file says, by the same requests and gates as everybody.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;

use crate::cli::declared::outcome::{Came, Outcome};
use crate::cli::declared::walk::{Client, Walk};
use crate::cli::declared::{AllowedArgs, impossible, read_file, shown};
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::declared::{Declared, Plan, Verb};

/// So often is a plan made anew when something changes while it is made.
const MOST_PLANS: u32 = 5;

#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// YAML or JSON, as `switchover export` writes it; - is standard input
    #[arg(value_name = "FILE")]
    from: String,
    #[command(flatten)]
    carry: CarryArgs,
}

/// How a plan is carried out.
#[derive(Args, Debug)]
pub(crate) struct CarryArgs {
    /// Why; it is recorded with each change
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask whether to carry the plan out
    #[arg(long)]
    yes: bool,
    /// Show the plan, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) allowed: AllowedArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ApplyArgs) -> Result<(), CliError> {
    let declared = read_file(&args.from)?;
    carry_out(file, &args.from, &declared, &args.carry)
}

/// Shows the plan of a declaration, asks, and carries it out.
pub(crate) fn carry_out(
    file: &FileArgs,
    from: &str,
    declared: &Declared,
    args: &CarryArgs,
) -> Result<(), CliError> {
    let client = Client {
        file,
        args: &args.client,
    };
    let begun = Walk::begin(client, declared, args.allowed.into());
    let mut walk = begun.map_err(CliError::into_trouble)?;
    let plan = settled(&mut walk, from)?;
    let json = walk.session().is_json();
    if !json {
        let lacking = walk.lacking(&plan).map_err(CliError::into_trouble)?;
        say(shown::plan(&plan, &lacking))?;
    }
    if args.dry_run || plan.items.is_empty() {
        return if json {
            say_json(&json!({ "plan": plan, "outcomes": [] }))
        } else {
            Ok(())
        };
    }
    let Some(reason) = agreed(&plan, args, json)? else {
        return Err(CliError::Unusable("nothing was changed".to_owned()));
    };
    let mut tell = |came: &Came| if json { Ok(()) } else { say(told(came)) };
    let came = walk.carry_out(&plan, &reason, &mut tell).map_err(|error| {
        // What was done is done; nothing is lost by trying again.
        let text = format!("{error}\n  the rest was not tried: apply again to go on from here");
        match error {
            CliError::ReaderGone => error,
            _ => CliError::Unusable(text),
        }
    })?;
    let notes = walk.left_alone(&plan);
    if json {
        say_json(&json!({ "plan": plan, "outcomes": came, "left_alone": notes }))?;
    } else {
        say(ended(&came, &shown::notes(&notes)))?;
    }
    let is_done = |came: &Came| matches!(came.outcome, Outcome::Done);
    if came.iter().all(is_done) {
        Ok(())
    } else {
        Err(CliError::No)
    }
}

/// A plan with the tags of what it changes, all of one state.
fn settled(walk: &mut Walk<'_>, from: &str) -> Result<Plan, CliError> {
    for _ in 0..MOST_PLANS {
        let plan = walk
            .plan()
            .map_err(|complaints| impossible(from, &complaints))?;
        if !walk.read_tags(&plan).map_err(CliError::into_trouble)? {
            return Ok(plan);
        }
    }
    Err(CliError::Unusable(
        "what the file speaks of changes all the time: try again".to_owned(),
    ))
}

/// The reason, when somebody wants the plan carried out.
fn agreed(plan: &Plan, args: &CarryArgs, json: bool) -> Result<Option<String>, CliError> {
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal() && !json;
    let needs_reason = plan.items.iter().any(|item| item.verb != Verb::Add);
    let reason = match &args.reason {
        Some(reason) => reason.clone(),
        None if asks && !args.yes => ask("why (it is recorded): ")?,
        None => String::new(),
    };
    if reason.trim().is_empty() && needs_reason {
        return Err(CliError::Unusable(
            "say why with --reason: it is recorded with each change; nothing was changed"
                .to_owned(),
        ));
    }
    if args.yes {
        return Ok(Some(reason_or_default(reason)));
    }
    if !asks {
        return Err(CliError::Unusable(
            "nobody can be asked here: pass --yes to carry the plan out; nothing was changed"
                .to_owned(),
        ));
    }
    let answer = ask("carry this out? [y/N] ")?;
    let is_yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    Ok(is_yes.then(|| reason_or_default(reason)))
}

/// What is only added does without a reason of its own.
fn reason_or_default(reason: String) -> String {
    if reason.trim().is_empty() {
        "declared in a file".to_owned()
    } else {
        reason
    }
}

fn ask(question: &str) -> Result<String, CliError> {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush());
    asked
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| CliError::Unusable(format!("the answer cannot be read: {error}")))?;
    Ok(answer)
}

fn told(came: &Came) -> String {
    let mut lines: Vec<String> = came
        .steps
        .iter()
        .map(|step| format!("done     {step}"))
        .collect();
    let thing = &came.thing;
    match &came.outcome {
        Outcome::Done => {}
        Outcome::HeldBack { detail } => lines.push(format!("held     {thing}: {detail}")),
        Outcome::Refused { step, detail, .. } => {
            lines.push(format!(
                "refused  {step}\n           {}",
                detail.replace('\n', "\n         ")
            ));
        }
        Outcome::Changed { detail } => lines.push(format!("changed  {thing}: {detail}")),
        Outcome::Skipped { detail } => lines.push(format!("skipped  {thing}: {detail}")),
    }
    lines.join("\n")
}

fn ended(came: &[Came], notes: &str) -> String {
    let not_done = came
        .iter()
        .filter(|came| !matches!(came.outcome, Outcome::Done))
        .count();
    let rest = match not_done {
        0 => "everything is as the file says".to_owned(),
        1 => "1 thing is not as the file says; apply again when what holds it back is gone"
            .to_owned(),
        more => format!(
            "{more} things are not as the file says; apply again when what holds them back is gone"
        ),
    };
    let left = if notes.is_empty() {
        String::new()
    } else {
        format!("{notes}and but for that: ")
    };
    format!("{left}{rest}")
}
