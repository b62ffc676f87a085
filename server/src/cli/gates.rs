//! `gates`: what a promotion needs.

use clap::Args;
use switchover::Stage;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::Field;
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
    session.show(&reply, |screen, gates: Gates| {
        let rows = gates.gates.into_iter().map(row).collect();
        let verdict = match (gates.halted, gates.met) {
            (true, _) => "halted: resume it first",
            (false, true) => "all pass for you",
            (false, false) => "not all pass",
        };
        let table = screen.table(&["gate", "state", "detail", "to pass"], rows);
        format!("to {}: {verdict}\n{table}", gates.to)
    })
}

fn row(gate: Gate) -> Vec<Field> {
    let state = if gate.state == "pass" {
        Field::good(gate.state)
    } else {
        Field::bad(gate.state)
    };
    vec![
        gate.gate.into(),
        state,
        gate.detail.into(),
        gate.remedy.into(),
    ]
}
