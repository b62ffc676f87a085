//! The client as a whole, against a server that a test scripts.
#![expect(
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failed expectation is how a test speaks"
)]

mod breaker;
mod cache;
mod calls;
mod doubles;
mod faults;
mod flips;
#[cfg(unix)]
mod forks;
mod halts;
mod handles;
mod kills;
mod live;
mod logs;
mod manifest;
mod reads;
mod reports;
mod server;
mod shadows;
mod slow;
mod stores;
mod testing;
mod tls;
#[path = "../vectors/mod.rs"]
mod vectors;
mod writers;
mod writes;

const OFF: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_in","setting":{"mode":"off"}}"#;
const ON: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_in","setting":{"mode":"on"}}"#;
const HALTED: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_out","halted":true}"#;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
