//! The command line: one command, one file.

mod error;
mod output;
mod serve;
mod token;
mod ttl;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{FileArgs, ServeArgs};

/// Moves traffic from an old implementation to a new one, one route at a time.
#[derive(Debug, Parser)]
#[command(name = "switchover", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    file: FileArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Make tokens for people and CI, and revoke them
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Does what the arguments say; gives the exit status.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::run(&cli.file, &args),
        Command::Token(command) => token::run(&cli.file, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
