//! `gates`: what a promotion needs.

use clap::Args;
use switchover::Stage;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::one_line;
use crate::cli::session::Session;
use crate::cli::wire::{Gate, Gates};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct GatesArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The stage to reach [default: the next one]
    #[arg(long, value_name = "STAGE")]
    to: Option<Stage>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &GatesArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query: Vec<_> = args.to.iter().map(|to| ("to", to.to_string())).collect();
    let reply = session.get(&args.target.below("gates"), &query)?;
    session.show(&reply, |_, gates: Gates| told(&args.target, &gates))
}

/// The gates that do not pass, each with what to do next on a line of its own, to be copied; then the
/// others.
fn told(target: &TargetArgs, gates: &Gates) -> String {
    let (passing, missing): (Vec<&Gate>, Vec<&Gate>) =
        gates.gates.iter().partition(|gate| gate.state == "pass");
    let verdict = match (gates.halted, missing.len()) {
        (true, _) => "it is halted: resume it first".to_owned(),
        (false, 0) => "every gate passes for you".to_owned(),
        (false, open) => format!("{open} of {} gates do not pass", gates.gates.len()),
    };
    let mut text = format!(
        "{} in {}, to {}: {verdict}",
        target.route, target.environment, gates.to
    );
    for gate in missing {
        let (name, state) = (&gate.gate, &gate.state);
        let (detail, remedy) = (one_line(&gate.detail), one_line(&gate.remedy));
        text.push_str(&format!(
            "\n\n  {name}: {state}\n    {detail}\n    → {remedy}"
        ));
    }
    if !passing.is_empty() {
        text.push('\n');
    }
    for gate in passing {
        text.push_str(&format!(
            "\n  {}: pass, {}",
            gate.gate,
            one_line(&gate.detail)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_first() {
        let target = TargetArgs {
            route: "count_commits".to_owned(),
            environment: "production".to_owned(),
        };
        let gate = |gate: &str, state: &str, detail: &str, remedy: &str| Gate {
            gate: gate.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
            remedy: remedy.to_owned(),
        };
        let mut gates = Gates {
            to: Stage::OptIn,
            halted: false,
            gates: vec![
                gate("order", "pass", "opt_in is next", ""),
                gate(
                    "alert",
                    "fail",
                    "no alert is linked",
                    "link it: switchover …",
                ),
                gate("telemetry", "insufficient", "nothing\nis reported", "wait"),
            ],
        };
        insta::assert_snapshot!(told(&target, &gates), @r"
        count_commits in production, to opt_in: 2 of 3 gates do not pass

          alert: fail
            no alert is linked
            → link it: switchover …

          telemetry: insufficient
            nothing is reported
            → wait

          order: pass, opt_in is next
        ");
        gates.gates.truncate(1);
        assert!(told(&target, &gates).contains("every gate passes for you"));
        gates.halted = true;
        assert!(told(&target, &gates).contains("it is halted: resume it first"));
    }
}
