//! `serve`: the server.

#[cfg(feature = "test-clock")]
mod moved_clock;

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use chrono::{Duration, Utc};
use tracing_subscriber::EnvFilter;

use crate::cli::error::{CliError, why};
use crate::cli::files::{make_private_dir, write_private};
use crate::cli::output::say;
use crate::config::{Config, FileArgs, LogFormat, ServeArgs};
use crate::courier::{DELIVER_EVERY, Delivering};
use crate::domain::actor::{Actor, Role};
use crate::http::{CONDUCT_EVERY, Running, Server, ServerConfig, UNREAD};
use crate::outbound::{Outbound, Rules};
use crate::prometheus::Prometheus;
use crate::service::{Clock, Services, system_clock};
use crate::store::{Database, Store, StoreError};
use crate::token::{TokenKeys, WEBHOOK_SECRETS};

/// The file with the token that a new data directory starts with.
const FIRST_TOKEN: &str = "first-token";
const FIRST_TOKEN_HOURS: i64 = 8;

pub(crate) fn run(file: &FileArgs, args: &ServeArgs) -> Result<(), CliError> {
    let config = Config::for_server(file, args)?;
    start_logging(&config)?;
    make_private_dir(&config.data_dir)?;
    let keys = keys_with_first_token(&config)?;
    let running = start(&config, Arc::clone(&keys), clock(args)?)?;
    if let Err(error) = announce(&config, &keys, &running) {
        // It is there to serve, not to be read.
        tracing::warn!(%error, "nobody reads where this server is");
    }
    running
        .wait()
        .map_err(|error| CliError::new(format!("serving failed: {error}")))
}

#[cfg(not(feature = "test-clock"))]
fn clock(_: &ServeArgs) -> Result<Clock, CliError> {
    Ok(system_clock())
}

#[cfg(feature = "test-clock")]
fn clock(args: &ServeArgs) -> Result<Clock, CliError> {
    match &args.clock_file {
        None => Ok(system_clock()),
        Some(file) => moved_clock::read_from(file.clone()),
    }
}

fn start(config: &Config, keys: Arc<TokenKeys>, clock: Clock) -> Result<Running, CliError> {
    let database = &config.database;
    let opened =
        |error: StoreError| CliError::new(format!("cannot use {database}: {}", why(&error)));
    let store = Store::open(database.clone()).map_err(opened)?;
    let signing = config.clone();
    let outbound = outbound(config)?;
    let services = Services::start(store, clock)
        .map_err(opened)?
        .with_webhooks(keys.seal(WEBHOOK_SECRETS)?, Arc::clone(outbound.rules()))
        .with_manifest_signer(Arc::new(move || {
            signing.manifest_keys().map_err(|error| error.to_string())
        }))
        .with_prometheus(Prometheus::new(config.prometheus.clone()));
    let server = ServerConfig {
        listen: config.listen.clone(),
        signals: true,
        unread: UNREAD,
        conduct_every: Some(CONDUCT_EVERY),
        front: config
            .front()
            .map_err(|error| CliError::new(error.to_string()))?,
    };
    let listen = &config.listen;
    Server::new(server, Arc::new(services), keys)
        .delivering(Delivering {
            every: DELIVER_EVERY,
            outbound,
        })
        .start()
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => CliError::new(format!(
                "{listen} is in use by another program: pass another address with --listen"
            )),
            _ => CliError::new(format!("cannot listen on {listen}: {error}")),
        })
}

/// How webhooks are reached.
fn outbound(config: &Config) -> Result<Outbound, CliError> {
    let rules = Rules::allowing(config.webhook_allow.clone());
    let outbound = Outbound::new(Arc::new(rules));
    let Some(path) = &config.webhook_ca else {
        return Ok(outbound);
    };
    let shown = path.display();
    let pem = fs::read_to_string(path)
        .map_err(|error| CliError::new(format!("cannot read {shown}: {error}")))?;
    outbound
        .trusting(&pem)
        .map_err(|why| CliError::new(format!("{shown} {why}")))
}

fn announce(config: &Config, keys: &TokenKeys, running: &Running) -> Result<(), CliError> {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let address = format!("{scheme}://{}{}", running.address(), config.path_prefix);
    if config.tls.is_none() && !running.address().ip().is_loopback() {
        tracing::warn!(
            "tokens and SDK keys are readable on the way to this address: let it speak TLS \
             (--tls-cert, --tls-key), or let only a proxy reach it that does"
        );
    }
    say(format!("database     {}", config.database))?;
    say(format!("page         {address}/"))?;
    say(format!("API          {address}/api/docs/"))?;
    let first = config.data_dir.join(FIRST_TOKEN);
    if is_valid(&first, keys) {
        say(format!("first token  {} (an admin's)", first.display()))?;
    }
    let given_dir = match config.database {
        Database::Sqlite(_) => format!(" --data-dir {}", config.data_dir.display()),
        Database::Postgres(_) => String::new(),
    };
    say(format!(
        "more tokens  switchover token create --role operator --subject you@example.com --ttl 8h{given_dir}"
    ))?;
    say("ready")
}

/// A new data directory gets an admin's token beside its key: somebody has to come in first.
fn keys_with_first_token(config: &Config) -> Result<Arc<TokenKeys>, CliError> {
    let is_first = !config.has_token_keys();
    let keys = config.token_keys()?;
    if is_first {
        let admin = Actor {
            subject: "first-admin".to_owned(),
            role: Role::Admin,
        };
        let token = keys.sign(&admin, Utc::now(), Duration::hours(FIRST_TOKEN_HOURS))?;
        let path = config.data_dir.join(FIRST_TOKEN);
        write_private(&path, &token)
            .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Arc::new(keys))
}

fn is_valid(token: &Path, keys: &TokenKeys) -> bool {
    fs::read_to_string(token).is_ok_and(|token| keys.verify(token.trim()).is_ok())
}

fn start_logging(config: &Config) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| CliError::new(format!("RUST_LOG cannot be understood: {error}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match config.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Text => lines
            .with_ansi(io::stderr().is_terminal() && !config.no_color)
            .init(),
    }
    Ok(())
}
