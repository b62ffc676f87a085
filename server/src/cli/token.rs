//! `token`: who people and CI are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Duration, Utc};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use crate::cli::args::{JsonArgs, ReasonArgs};
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};
use crate::cli::session::{Session, note};
use crate::cli::ttl;
use crate::cli::wire::Revocation;
use crate::config::{ClientArgs, Config, FileArgs, StorageArgs};
use crate::domain::actor::{Actor, Role};
use crate::domain::text::bounded;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, alone, on standard output
    ///
    /// Signs with the key in the data directory (made when there is none) or with
    /// SWITCHOVER_SIGNING_KEY; needs no running server.
    Create(CreateArgs),
    /// Revoke a token, on every node within seconds
    Revoke(RevokeArgs),
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
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The token itself, or its `jti`
    #[arg(value_name = "JTI")]
    revoked: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create(args) => create(file, args),
        TokenCommand::Revoke(args) => revoke(file, &args),
    }
}

fn create(file: &FileArgs, args: CreateArgs) -> Result<(), CliError> {
    let config = Config::for_storage(file, &args.storage)?;
    let is_new = !config.has_token_keys();
    let keys = config.token_keys()?;
    if is_new {
        // A typing error in the directory's name would go unnoticed.
        note(&format!(
            "made a new signing key in {}: a server has to run on this directory to take the token",
            config.data_dir.display()
        ));
    }
    let actor = Actor {
        subject: args.subject,
        role: args.role,
    };
    let token = keys.sign(&actor, Utc::now(), args.ttl)?;
    if args.json.json {
        let (subject, role) = (actor.subject, actor.role.name());
        return say_json(&json!({ "token": token, "subject": subject, "role": role }));
    }
    say(token)
}

fn revoke(file: &FileArgs, args: &RevokeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let jti = jti_of(&args.revoked).unwrap_or_else(|| args.revoked.clone());
    let body = json!({ "jti": jti, "reason": args.reason.reason });
    let reply = session.post("/tokens/revocations", &body)?;
    session.show(&reply, |_, done: Revocation| {
        format!("{} is revoked", done.jti)
    })
}

/// The identity that a token claims; `None` for what is no token. Whether it is a good one does not
/// matter to revoke it.
fn jti_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        jti: String,
    }
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.jti)
}

fn parse_subject(text: &str) -> Result<String, String> {
    bounded(text, 200).ok_or_else(|| "has 1 to 200 printable characters".to_owned())
}
