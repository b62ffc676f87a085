//! `prepare`: a route on its way to being ready.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::api::encode;
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::wire::{Preparation, Route};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct PrepareArgs {
    /// Key of the route
    route: String,
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Say how much work it is, how urgent, and whether an endpoint exists
    Estimate(EstimateArgs),
    /// Decide to do it; needs an estimate
    MoveAhead(StepArgs),
    /// Complete a phase; with the last one the route is ready
    Complete(CompleteArgs),
    /// Decide not to do it for now
    Shelve(StepArgs),
    /// Take what was shelved back into analysis
    TakeUp(StepArgs),
}

#[derive(Args, Debug)]
struct StepArgs {
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
#[group(id = "said", required = true, multiple = true, args = ["estimate", "priority", "existing_endpoint"])]
struct EstimateArgs {
    /// Roughly how much work it is: a number of days, or words
    #[arg(long)]
    estimate: Option<String>,
    /// Place in the backlog; 1 comes first
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u32>,
    /// Whether an endpoint that exists serves, so that only the client is left to implement
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    existing_endpoint: Option<bool>,
    #[command(flatten)]
    step: StepArgs,
}

#[derive(Args, Debug)]
struct CompleteArgs {
    /// Which
    #[arg(value_parser = ["rpc_design", "server_implementation", "client_implementation"])]
    phase: String,
    #[command(flatten)]
    step: StepArgs,
}

pub(crate) fn run(file: &FileArgs, args: &PrepareArgs) -> Result<(), CliError> {
    let (step, mut body) = match &args.step {
        Step::Estimate(args) => {
            let body = json!({
                "action": "estimate",
                "estimate": args.estimate.as_deref().map(estimate),
                "priority": args.priority,
                "existing_endpoint": args.existing_endpoint,
            });
            (&args.step, body)
        }
        Step::MoveAhead(step) => (step, json!({ "action": "move_ahead" })),
        Step::Complete(args) => {
            let body = json!({ "action": "complete", "phase": args.phase });
            (&args.step, body)
        }
        Step::Shelve(step) => (step, json!({ "action": "shelve" })),
        Step::TakeUp(step) => (step, json!({ "action": "take_up" })),
    };
    if let Value::Object(fields) = &mut body {
        fields.insert("reason".to_owned(), json!(step.reason.reason));
    }
    let session = Session::open(file, &step.client)?;
    let path = format!("/routes/{}/preparation", encode(&args.route));
    let reply = session.post(&path, &body)?;
    session.show(&reply, |_, route: Route| told(&route))
}

/// An estimate as the server takes it: what is a number is one of days.
pub(crate) fn estimate(text: &str) -> Value {
    text.parse::<u32>()
        .map_or_else(|_| json!(text), |days| json!(days))
}

/// An estimate as people read it.
pub(crate) fn estimated(preparation: &Preparation) -> String {
    match &preparation.estimate {
        None => "none".to_owned(),
        Some(Value::String(words)) => words.clone(),
        Some(days) if *days == 1 => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
    }
}

/// A priority as people read it.
pub(crate) fn priority(preparation: &Preparation) -> String {
    let priority = preparation.priority;
    priority.map_or_else(|| "none".to_owned(), |priority| priority.to_string())
}

/// How far the preparation of a route is, and what comes next.
pub(crate) fn told(route: &Route) -> String {
    let Some(preparation) = &route.preparation else {
        return format!("{} is ready", route.key);
    };
    if preparation.next_step.is_empty() {
        let environments: Vec<&str> = route
            .rollouts
            .iter()
            .map(|rollout| rollout.environment.as_str())
            .collect();
        let environments = environments.join(", ");
        return format!("{} is ready for testing in {environments}", route.key);
    }
    let at = preparation.at.join(" and ");
    format!("{}: {at}\n  next: {}", route.key, preparation.next_step)
}
