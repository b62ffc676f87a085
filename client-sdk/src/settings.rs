//! What a client was told when it was made, and what follows from it at once.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Cache, Release};
use crate::crew::Caps;
use crate::instance::Labels;
use crate::manifest::{Manifest, ManifestError};
use crate::pace::Pace;
use crate::state::State;
use crate::status::ManifestStatus;
use crate::transport::Server;

/// Shadow reads, and copies, that may wait for a thread.
const MOST_WAITING: usize = 1024;

/// What the builder was told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) server: Option<Server>,
    pub(crate) cache_directory: Option<PathBuf>,
    pub(crate) cache_name: Option<String>,
    /// Where spools are; beside the cache unless it is given.
    pub(crate) spool_directory: Option<PathBuf>,
    pub(crate) cache_after: Duration,
    /// The manifest in the binary, or why it is refused; `None` where there is none.
    pub(crate) manifest: Option<Result<Arc<Manifest>, ManifestError>>,
    pub(crate) poll_interval: Duration,
    pub(crate) is_polling_only: bool,
    /// How the process names itself.
    pub(crate) labels: Labels,
    /// Whether it reports what it counts.
    pub(crate) reports: bool,
    pub(crate) pace: Pace,
    pub(crate) mirroring: Mirroring,
}

/// What runs beside calls, and how much of it may at one time.
#[derive(Clone, Debug)]
pub(crate) struct Mirroring {
    /// The most threads for shadow reads, and as many again for copies of writes.
    pub(crate) threads: usize,
    /// The most futures that the spawner has at one time.
    pub(crate) futures: usize,
    /// How long a shadow read may take.
    pub(crate) deadline: Duration,
    /// Awaits shadow reads; `None` where the SDK's own threads do.
    pub(crate) spawner: Option<Spawner>,
}

impl Default for Mirroring {
    fn default() -> Mirroring {
        Mirroring {
            threads: 16,
            futures: 256,
            deadline: Duration::from_secs(1),
            spawner: None,
        }
    }
}

impl Mirroring {
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            threads: self.threads,
            waiting: MOST_WAITING,
            watched: self.futures,
        }
    }
}

/// What the application's runtime awaits.
pub(crate) type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Gives futures to the application's runtime.
#[derive(Clone)]
pub(crate) struct Spawner(pub(crate) Arc<dyn Fn(Spawned) + Send + Sync>);

impl Spawner {
    pub(crate) fn spawn(&self, future: Spawned) {
        (self.0)(future);
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

impl Settings {
    pub(crate) fn open_cache(&self) -> Option<Cache> {
        let directory = self.cache_directory.as_ref();
        let directory = directory.filter(|_| self.server.is_some())?;
        let release = match &self.manifest {
            None => Release::Is(None),
            Some(Ok(manifest)) => {
                let head = manifest.head();
                Release::Is(Some(format!("{}:{}", head.release, head.build).into()))
            }
            Some(Err(_)) => Release::Unknown,
        };
        Some(Cache::new(directory, self.cache_name.as_deref(), release))
    }

    /// What became of the manifest, as far as a state shows it.
    pub(crate) fn manifest_status(&self, state: &State) -> ManifestStatus {
        match (&self.manifest, state.foreign_to_manifest()) {
            (None, _) => ManifestStatus::None,
            (Some(Err(error)), _) => ManifestStatus::Refused(error.clone()),
            (Some(Ok(manifest)), None) => ManifestStatus::Accepted {
                release: manifest.head().release.clone(),
                build: manifest.head().build,
            },
            (Some(Ok(manifest)), Some(own)) => {
                let manifest = manifest.head().environment.to_string();
                let own = own.to_owned();
                ManifestStatus::Refused(ManifestError::Foreign { manifest, own })
            }
        }
    }

    pub(crate) fn tell_of_manifest(&self, state: &State) {
        match self.manifest_status(state) {
            ManifestStatus::None => {}
            ManifestStatus::Accepted { release, build } => {
                tracing::info!(%release, build, "manifest is good");
            }
            ManifestStatus::Refused(error @ ManifestError::Foreign { .. }) => {
                tracing::warn!(%error, "manifest has no say");
            }
            ManifestStatus::Refused(error) => {
                tracing::error!(%error, "manifest is refused: the last good state is kept");
            }
        }
    }
}
