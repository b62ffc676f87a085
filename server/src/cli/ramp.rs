//! `ramp`: exposure raised step by step.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use switchover::Percent;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::flip::show_done;
use crate::cli::output::{Field, Screen, moment, one_line};
use crate::cli::rollout::told;
use crate::cli::session::Session;
use crate::cli::wire::{Ramp, Rollout, Transition};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::ramp::Hold;

#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "switchover ramp ROUTE ENV\n       \
                      switchover ramp set ROUTE ENV --step 10%:24h --step 100%:24h --reason TEXT\n       \
                      switchover ramp <start|pause|resume> ROUTE ENV --reason TEXT"
)]
pub(crate) struct RampArgs {
    #[command(subcommand)]
    command: Option<RampCommand>,
    /// Key of the route, such as count_commits
    #[arg(required = true)]
    route: Option<String>,
    /// Key of the environment, such as production
    #[arg(value_name = "ENV", required = true)]
    environment: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum RampCommand {
    /// Put a plan: its steps, each a share and how long it is held
    Set(SetArgs),
    /// Enter the first step; the server goes on by itself
    Start(OrderArgs),
    /// Stay at the present step
    Pause(OrderArgs),
    /// Go on from the present step
    Resume(OrderArgs),
}

#[derive(Args, Debug)]
struct SetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// A step, such as 10%:24h; once for each, rising
    #[arg(long = "step", value_name = "PERCENT:HOLD", required = true, value_parser = parse_step)]
    steps: Vec<Value>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
struct OrderArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: RampArgs) -> Result<(), CliError> {
    match args.command {
        None => show(file, args),
        Some(RampCommand::Set(set)) => {
            let session = Session::open(file, &set.client)?;
            let body = json!({ "steps": set.steps, "reason": set.reason.reason });
            let reply = session.put(&set.target.below("ramp"), &body)?;
            session.show(&reply, |_, transition: Transition| told(&transition))
        }
        Some(RampCommand::Start(order)) => send(file, &order, "ramp/start"),
        Some(RampCommand::Pause(order)) => send(file, &order, "ramp/pause"),
        Some(RampCommand::Resume(order)) => send(file, &order, "ramp/resume"),
    }
}

fn show(file: &FileArgs, args: RampArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let target = TargetArgs {
        route: args.route.unwrap_or_default(),
        environment: args.environment.unwrap_or_default(),
    };
    let reply = session.get(&target.path(), &[])?;
    session.show(&reply, |screen, rollout: Rollout| {
        shown(screen, &target.route, &rollout)
    })
}

fn send(file: &FileArgs, order: &OrderArgs, what: &str) -> Result<(), CliError> {
    let session = Session::open(file, &order.client)?;
    let body = json!({ "reason": order.reason.reason });
    let reply = session.post(&order.target.below(what), &body)?;
    show_done(&session, &order.target, &reply)
}

/// Reads `10%:24h` and `10:24h`.
fn parse_step(text: &str) -> Result<Value, String> {
    let (percent, hold) = text
        .split_once(':')
        .ok_or("write a share and how long it is held, such as 10%:24h")?;
    let percent: Percent = percent
        .parse()
        .map_err(|error: switchover::InvalidPercent| error.to_string())?;
    let hold: Hold = hold
        .parse()
        .map_err(|detail| format!("how long it is held {detail}"))?;
    Ok(json!({ "percent": percent, "hold": hold }))
}

fn shown(screen: &Screen, route: &str, rollout: &Rollout) -> String {
    let environment = &rollout.environment;
    let Some(ramp) = &rollout.ramp else {
        return format!(
            "{route} in {environment} has no ramp: {} on the new path",
            rollout.exposure_percent
        );
    };
    let rows = (1..).zip(&ramp.steps).map(|(number, step)| {
        let row = [
            number.to_string(),
            step.percent.to_string(),
            step.hold.clone(),
        ];
        let mark = match ramp.step {
            Some(present) if present == number => "now",
            Some(present) if present > number => "held",
            _ => "",
        };
        let mut row: Vec<Field> = row.into_iter().map(Field::from).collect();
        row.push(mark.into());
        row
    });
    let table = screen.table(&["step", "share", "hold", ""], rows.collect());
    format!("{route} in {environment}: {}\n\n{table}", state(ramp))
}

/// A ramp in words: where it is, when it goes on, and why not.
pub(crate) fn state(ramp: &Ramp) -> String {
    let mut text = format!("ramp {}", brief(ramp));
    if let Some(step) = ramp
        .step
        .and_then(|step| ramp.steps.get(step.saturating_sub(1)))
        && ramp.state != "finished"
    {
        text.push_str(&format!(", {}", step.percent));
        if let Some(held) = ramp.held_s {
            text.push_str(&format!(" held {} of {}", lasted(held), step.hold));
        }
    }
    if let Some(at) = ramp.next_step_at {
        let next = ramp.next_percent;
        let next = next.map_or_else(|| "the end".to_owned(), |percent| percent.to_string());
        text.push_str(&format!(", {next} at {}", moment(at)));
    }
    for wait in &ramp.waits_for {
        let who = match (&wait.guard, &wait.state) {
            (Some(guard), Some(state)) => format!("guard {guard} ({state}): "),
            (Some(guard), None) => format!("guard {guard}: "),
            (None, _) => String::new(),
        };
        text.push_str(&format!("\n  waits: {who}{}", one_line(&wait.detail)));
    }
    text
}

/// A ramp in a few words: `2/5 running`.
pub(crate) fn brief(ramp: &Ramp) -> String {
    let (step, of) = (ramp.step.unwrap_or(0), ramp.steps.len());
    format!("{step}/{of} {}", ramp.state)
}

/// Seconds, in the two largest units.
pub(crate) fn lasted(seconds: i64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut left = seconds.max(0);
    let mut parts = Vec::new();
    for (unit, length) in units {
        let count = left / length;
        left %= length;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::pipe;

    #[test]
    fn steps_are_read() {
        assert_eq!(
            parse_step("12.5%:36h"),
            Ok(json!({ "percent": 12.5, "hold": "36h" }))
        );
        assert_eq!(
            parse_step("50:30m"),
            Ok(json!({ "percent": 50, "hold": "30m" }))
        );
        for wrong in ["50%", "50%:", ":1h", "101%:1h", "50%:1", "50%:1w", "ten:1h"] {
            assert!(parse_step(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_said_in_two_units() {
        for (seconds, said) in [
            (0, "0s"),
            (59, "59s"),
            (3_600, "1h"),
            (90_061, "1d 1h"),
            (60 * 61, "1h 1m"),
            (-5, "0s"),
        ] {
            assert_eq!(lasted(seconds), said);
        }
    }

    #[test]
    fn a_ramp_is_shown_with_what_it_waits_for() {
        let rollout: Rollout = serde_json::from_value(json!({
            "environment": "production", "stage": "opt_in",
            "stage_since": "2026-01-05T10:00:00Z", "next_stage": "opt_out",
            "setting": { "mode": "ramp", "percent": 30 }, "halt": null,
            "include": [], "exclude": [], "acceptance": null, "exposure_percent": 30,
            "ramp": {
                "state": "running", "step": 2, "held_s": 3_660, "next_percent": 100,
                "next_step_at": "2026-01-06T10:00:00Z",
                "steps": [
                    { "percent": 10, "hold": "1d" }, { "percent": 30, "hold": "2d" },
                    { "percent": 100, "hold": "3d" },
                ],
                "waits_for": [
                    { "what": "guard", "guard": "errors", "state": "insufficient", "detail": "3 calls of 100" },
                ],
            },
        }))
        .unwrap();
        insta::assert_snapshot!(shown(&pipe(), "count_commits", &rollout), @r"
        count_commits in production: ramp 2/3 running, 30 % held 1h 1m of 2d, 100 % at 2026-01-06 10:00:00Z
          waits: guard errors (insufficient): 3 calls of 100

        | step | share | hold |      |
        |------|-------|------|------|
        | 1    | 10 %  | 1d   | held |
        | 2    | 30 %  | 2d   | now  |
        | 3    | 100 % | 3d   |      |
        ");
    }
}
