//! The binary: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use switchover_server::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
