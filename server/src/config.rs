//! Settings: a file, over it the environment, over that the command line. Nothing else in this
//! crate reads the environment.

mod args;

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

use crate::http::{Certificates, CorsOrigins, Front, PathPrefix, Proxies, TlsError, TlsFiles};
use crate::manifest_key::{MANIFEST_KEY_FILE, ManifestKeys};
use crate::outbound::Net;
use crate::prometheus;
use crate::store::Database;
use crate::token::{KEY_FILE, TokenError, TokenKeys};

pub use args::{ClientArgs, FileArgs, ServeArgs, StorageArgs};

const DEFAULT_URL: &str = "http://127.0.0.1:7070";
const DEFAULT_LISTEN: &str = "127.0.0.1:7070";
const DEFAULT_DATA_DIR: &str = "./switchover-data";
const SIGNING_KEY: &str = "SWITCHOVER_SIGNING_KEY";
const MANIFEST_KEY: &str = "SWITCHOVER_MANIFEST_KEY";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the settings cannot be used.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl From<TokenError> for ConfigError {
    fn from(error: TokenError) -> ConfigError {
        ConfigError(error.to_string())
    }
}

/// The settings of this run.
#[derive(Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: String,
    /// The path below which clients see the server.
    pub path_prefix: PathPrefix,
    /// The proxies whose word is taken for who calls.
    pub trusted_proxies: Proxies,
    /// The server's certificate.
    pub tls: Option<TlsFiles>,
    /// Where the database and the signing key are, unless something else is set.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// The pages of other sites that may evaluate flags.
    pub cors_origins: CorsOrigins,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub log_filter: String,
    /// The server that client commands talk to, without a slash at the end.
    pub url: String,
    /// A file with the certificates, PEM, that client commands believe a server by; those of public
    /// authorities are believed in its absence.
    pub ca_file: Option<PathBuf>,
    /// Who client commands say they are.
    pub token: Option<String>,
    /// The Prometheus that gates and guards ask.
    pub prometheus: Option<prometheus::Settings>,
    /// Who runs this.
    pub user: String,
    /// Whether the reader wants no colours.
    pub no_color: bool,
    /// The networks that webhooks may be sent to besides the public internet, also without TLS.
    pub webhook_allow: Vec<Net>,
    /// A file with the certificates (PEM) that vouch for receivers of webhooks, in the place of the
    /// public ones.
    pub webhook_ca: Option<PathBuf>,
    signing_key: Option<String>,
    manifest_key: Option<String>,
}

/// What a file may say, and what the environment and the command line do say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    listen: Option<String>,
    path_prefix: Option<String>,
    trusted_proxies: Option<String>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    data_dir: Option<String>,
    database: Option<String>,
    signing_key: Option<String>,
    manifest_key: Option<String>,
    cors_origins: Option<String>,
    log_format: Option<LogFormat>,
    log: Option<String>,
    url: Option<String>,
    ca_file: Option<String>,
    token: Option<String>,
    prometheus_url: Option<String>,
    prometheus_token_file: Option<String>,
    webhook_allow: Option<Vec<String>>,
    webhook_ca: Option<String>,
}

impl Config {
    /// The settings of a server.
    ///
    /// # Errors
    /// When the file or a value cannot be understood.
    pub fn for_server(file: &FileArgs, args: &ServeArgs) -> Result<Config, ConfigError> {
        let said = Said {
            listen: args.listen.clone(),
            path_prefix: args.path_prefix.clone(),
            trusted_proxies: args.trusted_proxies.clone(),
            tls_cert: args.tls_cert.clone(),
            tls_key: args.tls_key.clone(),
            cors_origins: args.cors_origins.clone(),
            log_format: args.log_format,
            prometheus_url: args.prometheus_url.clone(),
            prometheus_token_file: args.prometheus_token_file.clone(),
            webhook_allow: Some(args.webhook_allow.clone()).filter(|nets| !nets.is_empty()),
            webhook_ca: args.webhook_ca.clone(),
            ..Said::storage(&args.storage)
        };
        Config::resolve(file, said)
    }

    /// The settings of a command that works on what is kept.
    ///
    /// # Errors
    /// When the file or a value cannot be understood.
    pub fn for_storage(file: &FileArgs, args: &StorageArgs) -> Result<Config, ConfigError> {
        Config::resolve(file, Said::storage(args))
    }

    /// The settings of a command that talks to a server.
    ///
    /// # Errors
    /// When the file or a value cannot be understood.
    pub fn for_client(file: &FileArgs, args: &ClientArgs) -> Result<Config, ConfigError> {
        let said = Said {
            data_dir: args.data_dir.clone(),
            url: args.url.clone(),
            ca_file: args.ca_file.clone(),
            token: args.token.clone(),
            ..Said::default()
        };
        let config = Config::resolve(file, said)?;
        if config.url.starts_with("http://") || config.url.starts_with("https://") {
            Ok(config)
        } else {
            Err(ConfigError(format!(
                "`{}` is no server's address: write http://HOST:PORT",
                config.url
            )))
        }
    }

    /// How clients reach the server.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn front(&self) -> Result<Front, TlsError> {
        Ok(Front {
            prefix: self.path_prefix.clone(),
            proxies: self.trusted_proxies.clone(),
            tls: self.tls.clone().map(Certificates::read).transpose()?,
            cors_origins: self.cors_origins.clone(),
        })
    }

    /// The key that signs tokens: the one that is set, else that of the data directory, which is
    /// made when there is none.
    ///
    /// # Errors
    /// When it cannot be read or made, or when several nodes would each make their own.
    pub fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        match &self.signing_key {
            Some(given) => Ok(TokenKeys::from_pem(&configured_pem(SIGNING_KEY, given)?)?),
            None if self.database.is_shared() => Err(ConfigError(format!(
                "several nodes may share this database, so they need one signing key: make it with \
                 `openssl genpkey -algorithm ed25519 -out signing-key.pem` and set {SIGNING_KEY} to \
                 that file or to its text, the same on every node"
            ))),
            None => Ok(TokenKeys::from_data_dir(&self.data_dir)?),
        }
    }

    /// The keys that sign manifests: those that are set, else those of the data directory, where one
    /// is made when there is none. Read anew each time, so that keys can change while a server runs.
    ///
    /// # Errors
    /// When they cannot be read or made, or when several nodes would each make their own.
    pub fn manifest_keys(&self) -> Result<ManifestKeys, ConfigError> {
        match &self.manifest_key {
            Some(given) => Ok(ManifestKeys::from_pem(&configured_pem(
                MANIFEST_KEY,
                given,
            )?)?),
            None if self.database.is_shared() => Err(no_manifest_key()),
            None => Ok(ManifestKeys::from_data_dir(&self.data_dir)?),
        }
    }

    /// The file with the keys that sign manifests.
    ///
    /// # Errors
    /// When they are not in a file.
    pub fn manifest_key_file(&self) -> Result<PathBuf, ConfigError> {
        match &self.manifest_key {
            Some(given) if is_pem(given) => Err(ConfigError(format!(
                "{MANIFEST_KEY} holds the keys themselves: add and remove their PEM blocks there"
            ))),
            Some(file) => Ok(PathBuf::from(file)),
            None if self.database.is_shared() => Err(no_manifest_key()),
            None => Ok(self.data_dir.join(MANIFEST_KEY_FILE)),
        }
    }

    /// Whether there is a signing key already, without making one.
    #[must_use]
    pub fn has_token_keys(&self) -> bool {
        let is_own = !self.database.is_shared();
        self.signing_key.is_some() || (is_own && self.data_dir.join(KEY_FILE).exists())
    }

    /// Whether the database is there, as far as that shows without asking for it.
    #[must_use]
    pub fn has_database(&self) -> bool {
        match &self.database {
            Database::Sqlite(path) => path.exists(),
            Database::Postgres(_) => true,
        }
    }

    fn resolve(file: &FileArgs, stronger: Said) -> Result<Config, ConfigError> {
        let file = match file.config.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => read_file(Path::new(path))?,
            None => Said::default(),
        };
        let environment = Said {
            signing_key: variable(SIGNING_KEY),
            manifest_key: variable(MANIFEST_KEY),
            log: variable("RUST_LOG"),
            ..Said::default()
        };
        let said = stronger.or(environment).or(file);
        let data_dir = PathBuf::from(said.data_dir.as_deref().unwrap_or(DEFAULT_DATA_DIR));
        let database = match &said.database {
            Some(url) => Database::parse(url).map_err(ConfigError)?,
            None => Database::Sqlite(data_dir.join("switchover.db")),
        };
        let url = said.url.as_deref().unwrap_or(DEFAULT_URL);
        let prometheus = said
            .prometheus_url
            .map(|url| asked(&url, said.prometheus_token_file))
            .transpose()?;
        Ok(Config {
            listen: said.listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned()),
            path_prefix: parsed(said.path_prefix)?,
            trusted_proxies: parsed(said.trusted_proxies)?,
            tls: tls_files(said.tls_cert, said.tls_key)?,
            data_dir,
            database,
            cors_origins: parsed(said.cors_origins)?,
            log_format: said.log_format.unwrap_or_default(),
            log_filter: said.log.unwrap_or_else(|| "info".to_owned()),
            url: url.trim_end_matches('/').to_owned(),
            ca_file: said.ca_file.map(PathBuf::from),
            token: said.token,
            prometheus,
            user: variable("USER")
                .or_else(|| variable("LOGNAME"))
                .unwrap_or_else(|| "somebody".to_owned()),
            no_color: no_color(),
            webhook_allow: read_nets(said.webhook_allow.as_deref().unwrap_or_default())?,
            webhook_ca: said.webhook_ca.map(PathBuf::from),
            signing_key: said.signing_key,
            manifest_key: said.manifest_key,
        })
    }
}

impl Said {
    fn storage(args: &StorageArgs) -> Said {
        Said {
            data_dir: args.data_dir.clone(),
            database: args.database.clone(),
            ..Said::default()
        }
    }

    /// What this says, and where it is silent what the weaker one says. An empty variable is silent.
    fn or(self, weaker: Said) -> Said {
        let text = |strong: Option<String>, weak: Option<String>| {
            strong.filter(|text| !text.is_empty()).or(weak)
        };
        Said {
            listen: text(self.listen, weaker.listen),
            path_prefix: text(self.path_prefix, weaker.path_prefix),
            trusted_proxies: text(self.trusted_proxies, weaker.trusted_proxies),
            tls_cert: text(self.tls_cert, weaker.tls_cert),
            tls_key: text(self.tls_key, weaker.tls_key),
            data_dir: text(self.data_dir, weaker.data_dir),
            database: text(self.database, weaker.database),
            signing_key: text(self.signing_key, weaker.signing_key),
            manifest_key: text(self.manifest_key, weaker.manifest_key),
            cors_origins: text(self.cors_origins, weaker.cors_origins),
            log_format: self.log_format.or(weaker.log_format),
            log: text(self.log, weaker.log),
            url: text(self.url, weaker.url),
            ca_file: text(self.ca_file, weaker.ca_file),
            token: text(self.token, weaker.token),
            prometheus_url: text(self.prometheus_url, weaker.prometheus_url),
            prometheus_token_file: text(self.prometheus_token_file, weaker.prometheus_token_file),
            webhook_allow: self.webhook_allow.or(weaker.webhook_allow),
            webhook_ca: text(self.webhook_ca, weaker.webhook_ca),
        }
    }
}

/// Whether the reader wants no colours (<https://no-color.org>).
#[must_use]
pub fn no_color() -> bool {
    variable("NO_COLOR").is_some()
}

/// An empty name in the list is silent, as an empty variable is.
fn read_nets(said: &[String]) -> Result<Vec<Net>, ConfigError> {
    let said = said.iter().map(|net| net.trim());
    said.filter(|net| !net.is_empty())
        .map(|net| net.parse())
        .collect::<Result<_, _>>()
        .map_err(|why: String| ConfigError(format!("the networks that webhooks may reach: {why}")))
}

fn read_file(path: &Path) -> Result<Said, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        // The rest of the error is the line with a marker below it, which may hold a secret.
        let line = error.span().map_or(1, |span| {
            1 + text
                .bytes()
                .take(span.start)
                .filter(|b| *b == b'\n')
                .count()
        });
        ConfigError(format!(
            "{}, line {line}: {}",
            path.display(),
            error.message()
        ))
    })
}

/// What is said, or what stands for nothing.
fn parsed<T: FromStr<Err = String> + Default>(said: Option<String>) -> Result<T, ConfigError> {
    said.map_or_else(
        || Ok(T::default()),
        |said| said.parse().map_err(ConfigError),
    )
}

fn tls_files(
    certificate: Option<String>,
    key: Option<String>,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: PathBuf::from(certificate),
            key: PathBuf::from(key),
        })),
        _ => Err(ConfigError(
            "a certificate and its private key belong together: set --tls-cert and --tls-key"
                .to_owned(),
        )),
    }
}

/// How to reach the Prometheus at this address.
fn asked(url: &str, token_file: Option<String>) -> Result<prometheus::Settings, ConfigError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        // It may hold a secret, so it is not told.
        let why = "the address of Prometheus begins with http:// or https://";
        return Err(ConfigError(why.to_owned()));
    }
    Ok(prometheus::Settings {
        url: url.trim_end_matches('/').to_owned(),
        token_file: token_file.map(PathBuf::from),
        every: prometheus::GUARDS_ASK_EVERY,
    })
}

fn no_manifest_key() -> ConfigError {
    ConfigError(format!(
        "several nodes may share this database, so they need one key to sign manifests with: make it \
         with `openssl genpkey -algorithm ed25519 -out manifest-key.pem` and set {MANIFEST_KEY} to \
         that file or to its text, the same on every node"
    ))
}

/// PEM text, or that of the file which is named in its place.
fn configured_pem(name: &str, given: &str) -> Result<String, ConfigError> {
    if is_pem(given) {
        return Ok(given.to_owned());
    }
    fs::read_to_string(given).map_err(|error| {
        ConfigError(format!(
            "{name} is neither PEM text nor a file that can be read: {error}"
        ))
    })
}

fn is_pem(given: &str) -> bool {
    given.trim_start().starts_with("-----BEGIN")
}

/// A variable of the environment that says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Said, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read_file(file.path())
    }

    #[test]
    fn the_stronger_wins_and_the_empty_is_silent() {
        let strong = Said {
            listen: Some("a".to_owned()),
            data_dir: Some(String::new()),
            ..Said::default()
        };
        let weak = Said {
            listen: Some("b".to_owned()),
            data_dir: Some("dir".to_owned()),
            log_format: Some(LogFormat::Json),
            ..Said::default()
        };
        let both = strong.or(weak);
        assert_eq!(both.listen.as_deref(), Some("a"));
        assert_eq!(both.data_dir.as_deref(), Some("dir"));
        assert_eq!(both.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn a_file_says_what_it_may() {
        let read = said("listen = \"0.0.0.0:80\"\nlog_format = \"json\"\n").unwrap();
        assert_eq!(read.listen.as_deref(), Some("0.0.0.0:80"));
        assert_eq!(read.log_format, Some(LogFormat::Json));
        let unknown = said("listen = \"x\"\nlisten_on = \"secret\"\n").unwrap_err();
        assert!(unknown.0.contains("line 2") && unknown.0.contains("listen_on"));
        assert!(!unknown.0.contains("secret"));
    }
}
