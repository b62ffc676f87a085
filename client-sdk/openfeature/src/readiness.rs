//! Waiting for the first snapshot without holding up an executor.

use std::thread;
use std::time::Duration;

use switchover::Client;
use tokio::sync::oneshot;

/// Whether the client decides by what the server says, at the latest after `patience`.
pub(crate) async fn ready(client: &Client, patience: Duration) -> bool {
    // The client waits with its thread: here that is one of its own, on whatever executor this runs.
    let (told, heard) = oneshot::channel();
    let waiting = client.clone();
    let spawned = thread::Builder::new()
        .name("switchover-ready".to_owned())
        .spawn(move || {
            // Nobody listens any more where the application has given up.
            let _ = told.send(waiting.wait_ready(patience));
        });
    match spawned {
        Ok(_) => heard.await.unwrap_or(false),
        Err(error) => {
            tracing::warn!(%error, "nothing waits for the first snapshot");
            false
        }
    }
}
