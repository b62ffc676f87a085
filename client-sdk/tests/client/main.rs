//! The client as a whole, against a server that a test scripts.

mod cache;
mod calls;
mod faults;
mod handles;
mod live;
mod logs;
mod server;
mod testing;
#[path = "../vectors/mod.rs"]
mod vectors;

const OFF: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_in","setting":{"mode":"off"}}"#;
const ON: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_in","setting":{"mode":"on"}}"#;
const HALTED: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_out","halted":true}"#;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
