//! `sdk-key`: what SDKs show to read one environment.

mod offline;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::{Api, encode, roots};
use crate::cli::error::CliError;
use crate::cli::files::make_private_dir;
use crate::cli::output::{Field, moment, say};
use crate::cli::session::{Session, no_token, note, own_token};
use crate::cli::wire::{Page, SdkKey};
use crate::config::{ClientArgs, Config, FileArgs, StorageArgs};
use crate::domain::environment::EnvironmentKey;
use crate::domain::key_kind::KeyKind;
use crate::service::NewSdkKeyRequest;

#[derive(Debug, Subcommand)]
pub(crate) enum SdkKeyCommand {
    /// Make a key and print it, alone, on standard output: the only time that it is shown
    ///
    /// Needs no running server: where there is none, and no token is given, the key is written
    /// straight into the database.
    Create(CreateArgs),
    /// List keys, revoked ones included, without the keys themselves
    List(ListArgs),
    /// Revoke a key; its streams end within seconds
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// The one environment that it reads
    #[arg(long, value_name = "ENV", value_parser = parse_environment)]
    environment: EnvironmentKey,
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it opens: `server`, all that SDKs use; `page`, OpenFeature's protocol alone, for keys that
    /// visitors of a page can read
    #[arg(long, value_name = "KIND", default_value_t, value_parser = parse_kind)]
    kind: KeyKind,
    #[command(flatten)]
    client: ClientArgs,
    /// Where to write it when there is no server [default: the database in the data directory]
    #[arg(
        long,
        value_name = "URL",
        env = "SWITCHOVER_DATABASE_URL",
        hide_env_values = true
    )]
    database: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Its identity, as `sdk-key list` shows it
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: SdkKeyCommand) -> Result<(), CliError> {
    match command {
        SdkKeyCommand::Create(args) => create(file, &args),
        SdkKeyCommand::List(args) => list(file, &args),
        SdkKeyCommand::Revoke(args) => revoke(file, &args),
    }
}

fn create(file: &FileArgs, args: &CreateArgs) -> Result<(), CliError> {
    let config = Config::for_client(file, &args.client)?;
    let made = match &config.token {
        Some(token) => ask(
            &Session::with_token(&config, args.client.json, token)?,
            args,
        )?,
        None => match own_token(&config)? {
            Some(token) => {
                let session = Session::with_token(&config, false, &token)?;
                match ask(&session, args) {
                    Err(CliError::Unreachable { .. }) => write(file, args, &config.url)?,
                    Err(CliError::Refused(problem)) if problem.status == 401 => {
                        // The key at hand is not that server's.
                        note(&format!(
                            "the server at {} belongs to another data directory",
                            config.url
                        ));
                        write(file, args, &config.url)?
                    }
                    answered => answered?,
                }
            }
            None if is_reachable(&config)? => return Err(no_token(&config)),
            None => write(file, args, &config.url)?,
        },
    };
    if args.client.json {
        return say(made);
    }
    let made: SdkKey = serde_json::from_str(&made)
        .map_err(|error| CliError::new(format!("the answer cannot be understood: {error}")))?;
    say(made.key.unwrap_or_default())
}

/// Makes it with the server.
fn ask(session: &Session, args: &CreateArgs) -> Result<String, CliError> {
    let body = json!({ "environment": args.environment, "name": args.name, "kind": args.kind });
    Ok(session.post("/sdk-keys", &body)?.text().to_owned())
}

/// Makes it without a server.
fn write(file: &FileArgs, args: &CreateArgs, url: &str) -> Result<String, CliError> {
    let storage = StorageArgs {
        data_dir: args.client.data_dir.clone(),
        database: args.database.clone(),
    };
    let config = Config::for_storage(file, &storage)?;
    let is_meant = storage.data_dir.is_some() || storage.database.is_some();
    if !is_meant && !config.has_database() {
        return Err(CliError::new(format!(
            "there is no server at {} and no database at {}\n  start a server with `switchover \
             serve`, or name the data directory with --data-dir",
            url, config.database
        )));
    }
    make_private_dir(&config.data_dir)?;
    let request = NewSdkKeyRequest {
        environment: args.environment.clone(),
        kind: args.kind,
        name: args.name.clone(),
    };
    let made = offline::create(&config, &request)?;
    note(&format!("written into {}", config.database));
    Ok(made)
}

fn is_reachable(config: &Config) -> Result<bool, CliError> {
    let asked = Api::new(&config.url, "", roots(config)?).get("/environments", &[]);
    Ok(!matches!(asked, Err(CliError::Unreachable { .. })))
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get("/sdk-keys", &[])?;
    session.show(&reply, |screen, page: Page<SdkKey>| {
        let header = [
            "id",
            "environment",
            "kind",
            "name",
            "created",
            "by",
            "revoked",
        ];
        screen.table(&header, page.items.into_iter().map(row).collect())
    })
}

fn row(key: SdkKey) -> Vec<Field> {
    vec![
        key.id.into(),
        key.environment.into(),
        key.kind.into(),
        key.name.into(),
        moment(key.created_at).into(),
        key.created_by.into(),
        key.revoked_at
            .map_or_else(|| "".into(), |at| Field::bad(moment(at))),
    ]
}

fn revoke(file: &FileArgs, args: &RevokeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    session.delete(&format!("/sdk-keys/{}", encode(&args.id)), &[])?;
    if session.is_json() {
        return Ok(());
    }
    say(format!("{} is revoked", args.id))
}

fn parse_kind(text: &str) -> Result<KeyKind, String> {
    text.parse().map_err(|detail: &str| detail.to_owned())
}

fn parse_environment(text: &str) -> Result<EnvironmentKey, String> {
    text.parse().map_err(|detail: &str| detail.to_owned())
}
