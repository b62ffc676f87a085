//! How a client is made.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::cache;
use crate::client::Client;
use crate::clock;
use crate::engine::Engine;
use crate::instance::Labels;
use crate::manifest::{InvalidManifestKey, Manifest, ManifestKey};
use crate::overrides::{self, Overrides};
use crate::pace::Pace;
use crate::settings::{Mirroring, Settings, Spawner};
use crate::transport::{self, Server};

/// Shorter or longer intervals are a mistake, or would overflow a clock.
const INTERVALS: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));

/// What a client is to know before it starts. Made by [`Client::builder`].
#[must_use = "a builder does nothing until it is started"]
pub struct ClientBuilder {
    server: Option<(String, String)>,
    is_from_environment: bool,
    cache_directory: Option<PathBuf>,
    cache_name: Option<String>,
    spool_directory: Option<PathBuf>,
    manifest: Option<String>,
    manifest_keys: Vec<String>,
    ca_pem: Option<Vec<u8>>,
    cache_after: Duration,
    poll_interval: Duration,
    is_polling_only: bool,
    overrides: Option<Overrides>,
    instance_name: Option<String>,
    application: Option<(String, String)>,
    reports: bool,
    pace: Pace,
    mirroring: Mirroring,
}

impl ClientBuilder {
    pub(crate) fn new() -> ClientBuilder {
        ClientBuilder {
            server: None,
            is_from_environment: false,
            cache_directory: None,
            cache_name: None,
            spool_directory: None,
            manifest: None,
            manifest_keys: Vec::new(),
            ca_pem: None,
            cache_after: Duration::from_secs(30),
            poll_interval: Duration::from_secs(15),
            is_polling_only: false,
            overrides: None,
            instance_name: None,
            application: None,
            reports: true,
            pace: Pace::default(),
            mirroring: Mirroring::default(),
        }
    }

    /// The server to follow, and this environment's SDK key. Without one the client decides by what
    /// the code says.
    pub fn server(mut self, url: impl Into<String>, sdk_key: impl Into<String>) -> ClientBuilder {
        self.server = Some((url.into(), sdk_key.into()));
        self
    }

    /// The server and key of `SWITCHOVER_URL` and `SWITCHOVER_SDK_KEY`. Where neither is set, the
    /// client starts without a server; where only one is, it does not start.
    pub fn server_from_env(mut self) -> ClientBuilder {
        self.is_from_environment = true;
        self
    }

    /// Where to keep the last good snapshot, so that the process can start without the server. The
    /// directory is made if need be; several processes may share it.
    ///
    /// What is kept is one environment's. It outlives a new SDK key and a new name of the server; once
    /// the server turns out to be of another environment, it is void. So clients of different
    /// environments need directories, or at least [names](ClientBuilder::cache_name), of their own.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> ClientBuilder {
        self.cache_directory = Some(directory.into());
        self
    }

    /// What the cache's files are called, where clients of different environments share a directory:
    /// up to 64 letters, digits, `_` and `-`.
    pub fn cache_name(mut self, name: impl Into<String>) -> ClientBuilder {
        self.cache_name = Some(name.into());
        self
    }

    /// Where data routes note which of their writes are not copied yet, so that another process takes
    /// that over after this one was killed: `spool` in the [cache's directory](ClientBuilder::cache_dir)
    /// unless you say otherwise. Processes may share it, those of one environment; it has to be on a
    /// disk that outlives the process, not on one that a container loses. A loss of power is not
    /// covered: run a consistency run after one.
    ///
    /// Without either a crash leaves nobody to know which rows may differ, and the server counts the
    /// route as unverified.
    pub fn spool_dir(mut self, directory: impl Into<PathBuf>) -> ClientBuilder {
        self.spool_directory = Some(directory.into());
        self
    }

    /// How long the process must have run on a snapshot before it is the last good one: 30 s unless
    /// you say otherwise.
    pub fn cache_after(mut self, duration: Duration) -> ClientBuilder {
        self.cache_after = duration;
        self
    }

    /// The manifest of the release that the binary is, as `include_str!` embeds it. It decides what
    /// neither the server nor the cache says anything about; without a server it decides alone, with
    /// the environment variables.
    ///
    /// It has to be signed by a [pinned key](ClientBuilder::manifest_key). One that is not, that was
    /// changed, or that cannot be read is refused: the client starts nevertheless, keeps the last good
    /// state (the cache, or else what the code says), logs an error, and says why in
    /// [`Status::manifest`](crate::Status::manifest). [`Manifest::verify`] in a test of the application
    /// finds that out before it is shipped.
    pub fn manifest(mut self, manifest: impl Into<String>) -> ClientBuilder {
        self.manifest = Some(manifest.into());
        self
    }

    /// A key that may have signed the manifest, as `switchover release key show` prints it. Several
    /// may be pinned, and one of them is enough: so a new key is pinned while the old one still signs.
    pub fn manifest_key(mut self, key: impl Into<String>) -> ClientBuilder {
        self.manifest_keys.push(key.into());
        self
    }

    /// The certificates (PEM) to trust *in place of* the public authorities: a server with a private
    /// authority is then reached under no other.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> ClientBuilder {
        self.ca_pem = Some(pem.into());
        self
    }

    /// How often to ask the server where it cannot send changes by itself: every 15 s unless you
    /// say otherwise.
    pub fn poll_interval(mut self, interval: Duration) -> ClientBuilder {
        let (shortest, longest) = INTERVALS;
        self.poll_interval = interval.clamp(shortest, longest);
        self
    }

    /// Never opens a stream: for networks that are known to hold streams back. The client finds
    /// that out by itself too, but needs a while.
    pub fn polling_only(mut self) -> ClientBuilder {
        self.is_polling_only = true;
        self
    }

    /// The environment variables to go by, in place of this process's.
    pub fn overrides(mut self, overrides: Overrides) -> ClientBuilder {
        self.overrides = Some(overrides);
        self
    }

    /// What people know this process by: its host's name and its number unless you say otherwise.
    pub fn instance_name(mut self, name: impl Into<String>) -> ClientBuilder {
        self.instance_name = Some(name.into());
        self
    }

    /// The program and its version, by which the server tells a new build from the one before: the
    /// executable's name and `unversioned` unless you say otherwise.
    pub fn application(
        mut self,
        name: impl Into<String>,
        version: impl Into<String>,
    ) -> ClientBuilder {
        self.application = Some((name.into(), version.into()));
        self
    }

    /// Whether what was counted is reported to the server, as it is unless you say otherwise. Without
    /// reports the server's guards cannot see this process.
    pub fn telemetry(mut self, is_on: bool) -> ClientBuilder {
        self.reports = is_on;
        self
    }

    /// The most threads that run shadow reads, and as many again for copies of writes: 16 unless you
    /// say otherwise, one at least. They start when they are first needed; each can be held up for
    /// ever by an implementation that hangs. What exceeds them waits for its turn up to its deadline,
    /// 1,024 of each at most, and what exceeds that is dropped and counted.
    pub fn mirror_threads(mut self, threads: usize) -> ClientBuilder {
        self.mirroring.threads = threads.max(1);
        self
    }

    /// How long a [shadow read](crate::Route::read) may take, waiting for a thread included: 1 s unless
    /// you say otherwise. One that takes longer counts as an error and as slow, and is given up: as a
    /// future it is dropped, but nothing can end a thread.
    pub fn mirror_deadline(mut self, deadline: Duration) -> ClientBuilder {
        let (shortest, longest) = INTERVALS;
        self.mirroring.deadline = deadline.clamp(shortest, longest);
        self
    }

    /// Gives shadow reads of [`run_async`](crate::ReadyRead::run_async) to the application's runtime,
    /// such as `.spawner(|future| { tokio::spawn(future); })`. Without it the SDK's own threads await
    /// them, where what needs a runtime of its own does not work.
    pub fn spawner(
        mut self,
        spawn: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync + 'static,
    ) -> ClientBuilder {
        self.mirroring.spawner = Some(Spawner(Arc::new(spawn)));
        self
    }

    /// The most shadow reads that the [spawner](ClientBuilder::spawner) has at one time: 256 unless you
    /// say otherwise. What exceeds that is dropped and counted.
    pub fn mirror_futures(mut self, futures: usize) -> ClientBuilder {
        self.mirroring.futures = futures;
        self
    }

    /// For this crate's own tests.
    #[doc(hidden)]
    pub fn pace(mut self, pace: Pace) -> ClientBuilder {
        self.pace = pace;
        self
    }

    /// Starts the client. Returns at once: it reads the cache, and begins to follow the server on a
    /// thread of its own. A server that cannot be reached is no error.
    ///
    /// # Errors
    /// When the URL, a key, the certificate or the cache's name cannot be right, when only one of the two variables
    /// of [`ClientBuilder::server_from_env`] is set, or when the system gives no thread.
    pub fn start(self) -> Result<Client, StartError> {
        let server = match self.is_from_environment {
            false => self.server,
            true => match overrides::server_variables() {
                (Some(url), Some(key)) => Some((url, key)),
                (None, None) => None,
                (None, Some(_)) => return Err(StartError::MissingVariable("SWITCHOVER_URL")),
                (Some(_), None) => return Err(StartError::MissingVariable("SWITCHOVER_SDK_KEY")),
            },
        };
        let server = server
            .map(|(url, key)| Server::new(&url, &key, self.ca_pem.as_deref()))
            .transpose()?;
        if let Some(name) = &self.cache_name
            && !cache::is_name(name)
        {
            return Err(StartError::InvalidCacheName);
        }
        let keys = self.manifest_keys.iter().map(|key| key.parse());
        let keys = keys
            .collect::<Result<Vec<ManifestKey>, _>>()
            .map_err(|_| StartError::InvalidManifestKey)?;
        let manifest = self.manifest.as_deref();
        let manifest = manifest.map(|text| Manifest::verify(text, &keys).map(Arc::new));
        let (application, version) = self
            .application
            .unwrap_or_else(|| (executable(), "unversioned".to_owned()));
        let labels = Labels {
            name: self.instance_name,
            application,
            version,
        };
        let settings = Settings {
            server,
            labels,
            reports: self.reports,
            manifest,
            cache_directory: self.cache_directory,
            cache_name: self.cache_name,
            spool_directory: self.spool_directory,
            cache_after: self.cache_after,
            poll_interval: self.poll_interval,
            is_polling_only: self.is_polling_only,
            pace: self.pace,
            mirroring: self.mirroring,
        };
        let overrides = self
            .overrides
            .map_or_else(Overrides::once_per_process, Arc::new);
        clock::warm_up();
        let engine = Arc::new(Engine::new(settings, overrides));
        engine.start().map_err(StartError::Thread)?;
        Ok(Client::of(engine))
    }
}

/// The name of the program's file; empty where the system does not say.
fn executable() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl fmt::Debug for ClientBuilder {
    /// Without the key, also where it stands in the URL's place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(url, _): &(String, String)| match transport::check_url(url) {
            Ok(()) => url.clone(),
            Err(problem) => format!("(a URL that {problem})"),
        };
        f.debug_struct("ClientBuilder")
            .field("server", &self.server.as_ref().map(shown))
            .field("cache_directory", &self.cache_directory)
            .field("has_manifest", &self.manifest.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a client did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Not `http://` or `https://`, a host, and perhaps a port and a path. Says what is wrong with it
    /// and not what it is: what stands in its place may be the key.
    InvalidUrl(&'static str),
    /// The key is empty or has characters that no key has.
    InvalidKey,
    /// The PEM text has no certificate, or one that cannot be read.
    InvalidCertificate,
    /// Not `ed25519:` and 32 bytes in base64.
    InvalidManifestKey,
    /// Not 1 to 64 ASCII letters, digits, `_` and `-`.
    InvalidCacheName,
    /// Of the server's two environment variables only the other one is set.
    MissingVariable(&'static str),
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::InvalidUrl(problem) => write!(
                f,
                "the server's URL {problem}: one looks like https://switchover.example.com"
            ),
            StartError::InvalidKey => f.write_str("the SDK key is empty or has illegal characters"),
            StartError::InvalidCertificate => f.write_str("the PEM text holds no certificate"),
            StartError::InvalidManifestKey => InvalidManifestKey.fmt(f),
            StartError::InvalidCacheName => {
                f.write_str("the cache's name is not 1 to 64 letters, digits, `_` and `-`")
            }
            StartError::MissingVariable(name) => write!(f, "{name} is not set"),
            StartError::Thread(_) => f.write_str("the system gives no thread"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Thread(error) => Some(error),
            _ => None,
        }
    }
}
