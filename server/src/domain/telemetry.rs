//! What running callers report, as the server keeps it.

mod drawn;
mod process;
mod tally;
mod used;

pub use drawn::described;
pub use process::{Process, deployed};
pub use tally::{Split, Tallies, Tally};
pub use used::Used;

use chrono::{DateTime, Utc};
use switchover::RouteCounts;

use crate::domain::environment::EnvironmentKey;

/// Counts of one route on one path, as one instance's batch brought them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The order in which reports were taken, over all nodes: later ones have higher positions.
    pub position: u64,
    /// When it was taken, by the server's clock.
    pub at: DateTime<Utc>,
    /// Where.
    pub environment: EnvironmentKey,
    /// By whom.
    pub instance: Reporter,
    /// What; without latencies, which only windows keep.
    pub counts: RouteCounts,
}

/// Who reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reporter {
    /// The instance's random identity.
    pub id: String,
    /// What people know it by.
    pub name: String,
    /// The program.
    pub application: String,
    /// Its version.
    pub version: String,
}

impl Reporter {
    /// Where it runs, as its name says: `web-3` of `web-3:4711`. Several processes of one bad host are
    /// one voice.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.name.rsplit_once(':').map(|(host, _)| host);
        host.filter(|host| !host.is_empty()).unwrap_or(&self.name)
    }
}

/// How long reports are kept one by one, in minutes.
pub const REPORTS_KEPT_MINUTES: i64 = 15;
/// An instance that has not been heard of for longer is not running any more, as far as gates and
/// pages are concerned; in minutes.
pub const SEEN_WITHIN_MINUTES: i64 = 10;
