//! How long the client waits for what. Fixed for users; tests run at another pace.

use std::time::Duration;

/// How long the client waits for what.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For a name and a connection.
    pub connect: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// Between two reads: two and a half heartbeats of the server.
    pub read: Duration,
    /// The upper end of the first wait after a failure.
    pub first_retry: Duration,
    /// The upper end of any such wait.
    pub longest_retry: Duration,
    /// Between attempts where the server refuses this client.
    pub slow_retry: Duration,
    /// After this long a stream has made up for all failures before it.
    pub healthy_after: Duration,
    /// While polling, how often the stream is tried again.
    pub retry_stream: Duration,
    /// Between two reports.
    pub report: Duration,
    /// Between two reports while a change is young, if there is something to tell.
    pub report_soon: Duration,
    /// For how long a change is young.
    pub young: Duration,
    /// How often the routes are reported although nothing about them has changed.
    pub report_routes: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(5),
            read: Duration::from_secs(25),
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(30),
            slow_retry: Duration::from_secs(300),
            healthy_after: Duration::from_secs(60),
            retry_stream: Duration::from_secs(300),
            report: Duration::from_secs(5),
            report_soon: Duration::from_secs(1),
            young: Duration::from_secs(60),
            report_routes: Duration::from_secs(60),
        }
    }
}
