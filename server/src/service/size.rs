//! What an environment publishes must stay a snapshot that SDKs take.

use switchover::{MAX_ROUTES, MAX_SNAPSHOT_BYTES};

use crate::domain::environment::EnvironmentKey;
use crate::service::Failure;
use crate::store::Tx;

/// What is kept free for what always has to go through: halts, and what they add.
const KEPT_FREE: usize = 10;

/// Refuses a change that leaves an environment with more than nine tenths of what SDKs take. Judged
/// after the change, in its transaction.
pub(super) fn refuse_oversized(
    tx: &mut Tx<'_>,
    environment: &EnvironmentKey,
) -> Result<(), Failure> {
    let (routes, bytes) = tx.published_size(environment)?;
    let most_routes = MAX_ROUTES - MAX_ROUTES / KEPT_FREE;
    let most_bytes = MAX_SNAPSHOT_BYTES - MAX_SNAPSHOT_BYTES / KEPT_FREE;
    if routes > most_routes {
        return Err(Failure::Conflict(format!(
            "{environment} would publish {routes} routes, and SDKs take {most_routes} at most"
        )));
    }
    if bytes > most_bytes {
        return Err(Failure::Conflict(format!(
            "{environment} would publish some {bytes} bytes, and SDKs take {most_bytes} at most: \
             keep its cohorts smaller"
        )));
    }
    Ok(())
}
