//! The settings as arguments. Each has its variable in the environment.

use clap::Args;

use crate::config::LogFormat;

/// Which file to read.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// TOML file with settings; the environment and the command line are stronger
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SWITCHOVER_CONFIG",
        help_heading = "Settings"
    )]
    pub config: Option<String>,
}

/// Where everything is kept.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct StorageArgs {
    /// Directory of the database and the signing key [default: ./switchover-data]
    #[arg(long, value_name = "DIR", env = "SWITCHOVER_DATA_DIR")]
    pub data_dir: Option<String>,
    /// sqlite://PATH or postgres://… [default: switchover.db in the data directory]
    #[arg(
        long,
        value_name = "URL",
        env = "SWITCHOVER_DATABASE_URL",
        hide_env_values = true
    )]
    pub database: Option<String>,
}

/// How to serve.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", env = "SWITCHOVER_LISTEN")]
    pub listen: Option<String>,
    /// Path below which clients see the server, behind a proxy that passes it on or takes it off,
    /// such as /switchover
    #[arg(long, value_name = "PATH", env = "SWITCHOVER_PATH_PREFIX")]
    pub path_prefix: Option<String>,
    /// Proxies that are believed who calls (X-Forwarded-For, X-Forwarded-Host): addresses and
    /// networks, separated by commas
    #[arg(long, value_name = "NETWORKS", env = "SWITCHOVER_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<String>,
    /// The server's certificate with its chain, PEM: it speaks TLS then. Read again when it changes
    #[arg(long, value_name = "FILE", env = "SWITCHOVER_TLS_CERT")]
    pub tls_cert: Option<String>,
    /// The private key of that certificate, PEM
    #[arg(long, value_name = "FILE", env = "SWITCHOVER_TLS_KEY")]
    pub tls_key: Option<String>,
    /// Pages of other sites that may evaluate flags (OFREP): origins such as `https://app.example.com`,
    /// separated by commas, or *
    #[arg(
        long,
        alias = "cors-origin",
        value_name = "ORIGINS",
        env = "SWITCHOVER_CORS_ORIGINS"
    )]
    pub cors_origins: Option<String>,
    /// How log lines are written, to standard error [default: text]
    #[arg(long, value_name = "FORMAT", env = "SWITCHOVER_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Prometheus that gates and guards ask, such as http://127.0.0.1:9090
    #[arg(
        long,
        value_name = "URL",
        env = "SWITCHOVER_PROMETHEUS_URL",
        hide_env_values = true
    )]
    pub prometheus_url: Option<String>,
    /// File with the token that it wants; read each time
    #[arg(long, value_name = "FILE", env = "SWITCHOVER_PROMETHEUS_TOKEN_FILE")]
    pub prometheus_token_file: Option<String>,
    /// Networks that webhooks may be sent to besides the public internet, also without TLS, such as
    /// 10.20.0.0/16; several with commas between them
    #[arg(
        long,
        value_name = "NET",
        env = "SWITCHOVER_WEBHOOK_ALLOW",
        value_delimiter = ','
    )]
    pub webhook_allow: Vec<String>,
    /// PEM file with the authorities that vouch for receivers of webhooks [default: the public ones]
    #[arg(long, value_name = "FILE", env = "SWITCHOVER_WEBHOOK_CA")]
    pub webhook_ca: Option<String>,
    /// File with the time by which the server's clock is ahead, read at every look at the clock: a
    /// number of seconds, or a length such as 7d
    #[cfg(feature = "test-clock")]
    #[arg(long, value_name = "FILE", hide = true)]
    pub clock_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub storage: StorageArgs,
}

/// Which server to talk to, as whom, and how to answer.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct ClientArgs {
    /// The server [default: http://127.0.0.1:7070]
    #[arg(long, env = "SWITCHOVER_URL")]
    pub url: Option<String>,
    /// Certificates, PEM, to believe the server by in the place of public authorities
    #[arg(long, value_name = "FILE", env = "SWITCHOVER_CA_FILE")]
    pub ca_file: Option<String>,
    /// Who you are (see `switchover token create`)
    ///
    /// Without one, a command that talks to a server on this machine signs itself an admin's token
    /// for five minutes with the key in the data directory, when you may read that: what it does is
    /// recorded as done by `local:` and your user name.
    #[arg(long, env = "SWITCHOVER_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Where the signing key is looked for when there is no token [default: ./switchover-data]
    #[arg(long, value_name = "DIR", env = "SWITCHOVER_DATA_DIR")]
    pub data_dir: Option<String>,
    /// Print the server's answer, JSON, instead of text for people
    #[arg(long)]
    pub json: bool,
}
