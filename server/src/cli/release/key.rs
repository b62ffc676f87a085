//! `release key`: the keys that sign manifests, shown, added, retired. On the server's own files; a
//! running server signs with the new ones from the next release on.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::args::JsonArgs;
use crate::cli::error::CliError;
use crate::cli::files::make_private_dir;
use crate::cli::output::{say, say_json};
use crate::config::{Config, FileArgs, StorageArgs};
use crate::manifest_key::ManifestKeys;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print what builds pin: one key a line, oldest first
    Show(ShowArgs),
    /// Add a key; manifests are then signed with each
    Add(ShowArgs),
    /// Take a key away, once all builds pin another
    Retire(RetireArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RetireArgs {
    /// The key as it is pinned, or its identity as manifests name it
    key: String,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(super) fn run(file: &FileArgs, command: &KeyCommand) -> Result<(), CliError> {
    match command {
        KeyCommand::Show(args) => {
            let config = Config::for_storage(file, &args.storage)?;
            print(&config.manifest_keys()?, &args.json)
        }
        KeyCommand::Add(args) => {
            let config = Config::for_storage(file, &args.storage)?;
            let path = config.manifest_key_file()?;
            make_private_dir(&config.data_dir)?;
            let keys = match ManifestKeys::from_file(&path)? {
                Some(keys) => keys.with_new()?,
                None => ManifestKeys::new()?,
            };
            keys.write(&path)?;
            print(&keys, &args.json)
        }
        KeyCommand::Retire(args) => {
            let config = Config::for_storage(file, &args.storage)?;
            let path = config.manifest_key_file()?;
            let keys = config.manifest_keys()?;
            let pinned = keys.public().into_iter();
            let mut named = pinned.filter(|key| key.to_string() == args.key);
            let id = named
                .next()
                .map_or_else(|| args.key.clone(), |key| key.id());
            let kept = keys.without(&id)?;
            kept.write(&path)?;
            print(&kept, &args.json)
        }
    }
}

fn print(keys: &ManifestKeys, json: &JsonArgs) -> Result<(), CliError> {
    let keys = keys.public();
    if json.json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| json!({ "id": key.id(), "key": key.to_string() }))
            .collect();
        return say_json(&json!({ "keys": keys }));
    }
    let lines: Vec<String> = keys
        .iter()
        .map(|key| format!("{key}  {}", key.id()))
        .collect();
    say(lines.join("\n"))
}
