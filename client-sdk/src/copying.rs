//! The copy that follows a write.

use std::sync::Arc;
use std::thread;

use crate::engine::Engine;
use crate::keeper::Lease;
use crate::writers::Cause;

/// A copy that is to be made because a key was written.
pub(crate) struct Copying {
    lease: Lease,
    /// What it is a repair for, should it fail.
    cause: Cause,
}

impl Copying {
    pub(crate) fn new(lease: Lease, cause: Cause) -> Copying {
        Copying { lease, cause }
    }

    /// Has it made on another thread.
    pub(crate) fn hand_over(self, _engine: &Arc<Engine>) {
        let begun = thread::Builder::new()
            .name("switchover-copy".to_owned())
            .spawn(move || self.run());
        if let Err(error) = begun {
            tracing::warn!(%error, "a copy has no thread");
        }
    }

    fn run(self) {
        let copied = self.lease.copy();
        if let Err(error) = copied {
            tracing::warn!(
                route = self.lease.keeper().slot().key(),
                cause = ?self.cause,
                error = error.map(|error| error.to_string()),
                "a copy failed"
            );
        }
    }
}
