//! Numbers for Prometheus: what this process counts of itself, and what was read of rollouts, as
//! OpenMetrics text.
//!
//! Every label is of a bounded set: templates of addresses and never addresses, names that a policy
//! or a person gave and never keys.

mod exposition;
mod reading;
mod timings;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::actor::Actor;
use exposition::Shown;

pub use reading::{
    EnvironmentReading, GuardReading, HereReading, Kept, MOST_ROLLOUTS, Reading, RolloutReading,
    Running,
};
pub use timings::Timings;

/// The type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All names begin so.
const PREFIX: &str = "switchover";

/// Upper bounds for the times of requests, in seconds.
const REQUEST_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// An answered request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// The method; `other` for those that nothing here knows.
    pub method: &'static str,
    /// The template of the address, such as `/api/v1/routes/{route}`.
    pub endpoint: Cow<'static, str>,
    /// The class of its status: `2xx`.
    pub status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    action: &'static str,
    by: &'static str,
}

type Requests = Family<Request, Histogram, fn() -> Histogram>;

/// What a process counts of itself.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    changes: Family<Change, Counter>,
    leads: AtomicBool,
}

impl Metrics {
    /// Nothing is counted yet, but for the transactions of these databases.
    #[must_use]
    pub fn new(databases: [(&'static str, Timings); 2]) -> Metrics {
        let requests = Requests::new_with_constructor(|| Histogram::new(REQUEST_SECONDS));
        let changes = Family::default();
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took to be answered, by the template of their address; of streams, \
             until they began",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register(
            "changes",
            "Changes that this node has put on record: sum over nodes",
            changes.clone(),
        );
        registry.register_collector(Box::new(timings::OfDatabases(databases)));
        Metrics {
            registry,
            requests,
            changes,
            leads: AtomicBool::new(false),
        }
    }

    /// Counts a request.
    pub fn answered(&self, request: &Request, took: Duration) {
        let time = self.requests.get_or_create(request);
        time.observe(took.as_secs_f64());
    }

    /// Counts a change that is committed.
    pub fn changed(&self, actor: &Actor, action: &'static str) {
        let by = if Actor::is_guard(&actor.subject) {
            "guard"
        } else if Actor::is_reserved(&actor.subject) {
            "system"
        } else {
            "person"
        };
        self.changes.get_or_create(&Change { action, by }).inc();
    }

    /// Whether this node is the one that acts for guards and ramps.
    pub fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// Everything as text.
    ///
    /// # Errors
    /// None: a text takes all that is written to it.
    pub fn text(&self, reading: Reading) -> Result<String, fmt::Error> {
        let mut read = Registry::with_prefix(PREFIX);
        let leads = self.leads.load(Ordering::Relaxed);
        read.register_collector(Box::new(Shown { reading, leads }));
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &read)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
