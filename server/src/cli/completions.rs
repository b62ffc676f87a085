//! `completions`: for the shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::Cli;
use crate::cli::args::JsonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "switchover", &mut script);
    let script = String::from_utf8_lossy(&script);
    if args.json.json {
        return say_json(&json!({ "shell": args.shell.to_string(), "script": script }));
    }
    say(script)
}
