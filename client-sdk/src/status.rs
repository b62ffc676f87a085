//! What the client can say about itself.

use std::time::{Duration, Instant};

use crate::manifest::ManifestError;
use crate::rollout::ReleaseName;
use crate::snapshot::Version;
use crate::table::Source;

/// How the client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// No server was given.
    Offline,
    /// Nothing has been heard from the server yet.
    Connecting,
    /// The server sends changes as they are made.
    Streaming,
    /// The client asks the server from time to time.
    Polling,
    /// The last attempt failed; the client tries again after a while.
    Waiting,
    /// The client was shut down.
    Stopped,
}

impl Mode {
    pub(crate) fn is_running(self) -> bool {
        !matches!(self, Mode::Offline | Mode::Stopped)
    }
}

/// What became of the manifest in the binary.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestStatus {
    /// The builder was given none.
    None,
    /// It is good, and decides what the server and the cache say nothing about.
    Accepted {
        /// The release that the binary is.
        release: ReleaseName,
        /// Its build.
        build: u64,
    },
    /// It is not believed and decides nothing. What is on disk, whatever release it was taken under,
    /// or else what the code says stays in force.
    Refused(ManifestError),
}

/// What the client decides by, and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The best source there is. A route that it does not know is decided by the next one.
    pub source: Source,
    /// The snapshot's version; `None` where there is none.
    pub version: Option<Version>,
    /// The snapshot's environment, or else the manifest's; `None` where there is neither.
    pub environment: Option<String>,
    /// What became of the manifest in the binary.
    pub manifest: ManifestStatus,
    /// How the client is connected.
    pub mode: Mode,
    /// Since when nothing was heard from the server or, as long as nothing was, the age of the
    /// snapshot on disk. `None` where there is neither.
    pub age: Option<Duration>,
    /// What went wrong last; `None` once all is well again.
    pub last_error: Option<String>,
}

impl Status {
    /// Whether the server is heard from.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.mode, Mode::Streaming | Mode::Polling)
    }
}

/// What the thread that follows the server knows about that.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) mode: Mode,
    pub(crate) is_ready: bool,
    pub(crate) last_heard: Option<Instant>,
    pub(crate) last_error: Option<String>,
}

impl Health {
    pub(crate) fn new(has_server: bool, has_live: bool) -> Health {
        Health {
            mode: if has_server {
                Mode::Connecting
            } else {
                Mode::Offline
            },
            is_ready: has_live || !has_server,
            last_heard: None,
            last_error: None,
        }
    }

    /// A snapshot of the server's, or of a test's, is in use.
    pub(crate) fn applied(&mut self) {
        self.is_ready = true;
        if self.mode.is_running() {
            self.last_heard = Some(Instant::now());
        }
    }
}
