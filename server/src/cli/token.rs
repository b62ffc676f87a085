//! `token`: who people and CI are.

use chrono::{Duration, Utc};
use clap::{Args, Subcommand};

use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::ttl;
use crate::config::{Config, FileArgs, StorageArgs};
use crate::domain::actor::{Actor, Role};
use crate::domain::text::bounded;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, alone, on standard output
    ///
    /// Signs with the key in the data directory (made when there is none) or with
    /// SWITCHOVER_SIGNING_KEY; needs no running server.
    Create(CreateArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// What its owner may do: viewer, operator, maintainer or admin
    #[arg(long)]
    role: Role,
    /// Whom changes are recorded under, such as an e-mail address
    #[arg(long, value_parser = parse_subject)]
    subject: String,
    /// How long it is valid: 90s, 30m, 8h, 7d; at most 90 days
    #[arg(long, default_value = "8h", value_parser = ttl::parse)]
    ttl: Duration,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(crate) fn run(file: &FileArgs, command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create(args) => create(file, args),
    }
}

fn create(file: &FileArgs, args: CreateArgs) -> Result<(), CliError> {
    let keys = Config::for_storage(file, &args.storage)?.token_keys()?;
    let actor = Actor {
        subject: args.subject,
        role: args.role,
    };
    say(keys.sign(&actor, Utc::now(), args.ttl)?)
}

fn parse_subject(text: &str) -> Result<String, String> {
    bounded(text, 200).ok_or_else(|| "has 1 to 200 printable characters".to_owned())
}
