//! What running callers report.

use std::sync::Arc;

use switchover::Batch;

use crate::domain::environment::EnvironmentKey;
use crate::service::Services;
use crate::telemetry::{Arrived, TelemetryStore};

impl Services {
    /// Where reports are kept.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<TelemetryStore> {
        &self.telemetry
    }

    /// A batch as it is to be counted: without the counts of routes that are not published in the
    /// environment. `None` while nothing is published there.
    #[must_use]
    pub fn arrived(&self, environment: EnvironmentKey, mut batch: Batch) -> Option<Arrived> {
        let published = self.hub.current(&environment)?;
        let before = batch.counts.len();
        batch
            .counts
            .retain(|counts| published.has_route(&counts.route));
        let ignored = before - batch.counts.len();
        if ignored > 0 {
            tracing::debug!(
                %environment,
                instance = batch.instance.name,
                ignored,
                "counts of routes that are not published are left out"
            );
        }
        Some(Arrived {
            environment,
            epoch: published.version().epoch.to_string(),
            batch,
        })
    }
}
