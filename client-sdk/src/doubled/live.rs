//! A data route of a running client.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Copying, Doubled};
use crate::backoff::Delays;
use crate::decide::Path;
use crate::engine::Engine;
use crate::gate::PATIENCE;
use crate::keeper::Keeper;
use crate::rollout::RouteKey;
use crate::store::Pair;
use crate::transport::{ReportFailure, Transport};

/// How soon somebody who waits sees that the client has been shut down.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Live {
    route: RouteKey,
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
    /// `None` where there is no server.
    transport: Option<Transport>,
}

impl Live {
    pub(crate) fn new(route: RouteKey, keeper: Arc<Keeper>, engine: Arc<Engine>) -> Live {
        let settings = engine.settings();
        let server = settings.server.clone();
        Live {
            transport: server.map(|server| Transport::new(server, settings.pace)),
            route,
            keeper,
            engine,
        }
    }
}

impl Doubled for Live {
    fn pair(&self) -> &dyn Pair {
        self.keeper.pair()
    }

    fn route(&self) -> &RouteKey {
        &self.route
    }

    fn instance(&self) -> String {
        self.engine.identity().id().to_owned()
    }

    fn generation(&self) -> u64 {
        self.keeper.gate().standing().form.generation
    }

    fn authority_of(&self, key: &str) -> Path {
        self.keeper.gate().place(key).path
    }

    fn copy(&self, key: &str) -> Copying {
        // Who is cut off may take the wrong store for the authority.
        if !self.keeper.is_in_contact() {
            thread::sleep(LOOK);
            return Copying::Moves;
        }
        let Some(lease) = self.keeper.begin(&key.into(), None, PATIENCE) else {
            return Copying::Moves;
        };
        let copied = self.keeper.noted_copy(&lease);
        match lease.has_moved() {
            true => Copying::AtRisk,
            false => Copying::Ended(copied),
        }
    }

    fn is_ready(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.keeper.is_in_contact() {
            if Instant::now() >= until || !self.wait(LOOK) {
                return false;
            }
        }
        true
    }

    fn post(&self, path: &str, body: &[u8]) -> Option<Result<String, ReportFailure>> {
        Some(self.transport.as_ref()?.tell(path, body))
    }

    fn delays(&self) -> Delays {
        let pace = &self.engine.settings().pace;
        Delays {
            first: pace.first_retry,
            longest: pace.longest_retry,
            slow: pace.slow_retry,
        }
    }

    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.engine.is_closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK));
        }
        false
    }
}
