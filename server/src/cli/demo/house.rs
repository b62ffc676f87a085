//! Where the demo takes place: a server of its own on a temporary directory, and two people.

use std::path::Path;
use std::sync::Arc;

use chrono::{Duration, Utc};
use tempfile::TempDir;
use ureq::tls::RootCerts;

use crate::cli::api::Api;
use crate::cli::error::{CliError, why};
use crate::domain::actor::{Actor, Role};
use crate::http::{CONDUCT_EVERY, Front, Running, Server, ServerConfig, UNREAD};
use crate::service::{Services, system_clock};
use crate::store::{Database, Store, StoreError};
use crate::token::TokenKeys;

/// A server, gone with everything it kept when this is dropped.
pub(super) struct House {
    running: Running,
    keys: Arc<TokenKeys>,
    // Dropped last: the server writes into it.
    _directory: TempDir,
}

impl House {
    /// Starts a server. Signals end it when it is to stay; else they end the demo.
    pub(super) fn open(stay: bool) -> Result<House, CliError> {
        let failed = |what: &str, why: String| CliError::new(format!("cannot {what}: {why}"));
        let directory = tempfile::Builder::new()
            .prefix("switchover-demo-")
            .tempdir()
            .map_err(|error| failed("make a temporary directory", error.to_string()))?;
        let keys = Arc::new(TokenKeys::from_data_dir(directory.path())?);
        let services = services(directory.path())
            .map_err(|error| failed("make a temporary database", why(&error)))?;
        let config = ServerConfig {
            listen: "127.0.0.1:0".to_owned(),
            signals: stay,
            unread: UNREAD,
            conduct_every: Some(CONDUCT_EVERY),
            front: Front::default(),
        };
        let running = Server::new(config, Arc::new(services), Arc::clone(&keys))
            .start()
            .map_err(|error| failed("start a server", error.to_string()))?;
        Ok(House {
            running,
            keys,
            _directory: directory,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// The REST interface, as somebody.
    pub(super) fn api_as(&self, name: &str, role: Role) -> Result<Api, CliError> {
        Ok(Api::new(
            &self.url(),
            &self.token(name, role, Duration::hours(1))?,
            RootCerts::WebPki,
        ))
    }

    pub(super) fn admin_token(&self) -> Result<String, CliError> {
        self.token("you", Role::Admin, Duration::hours(8))
    }

    /// Waits for Ctrl-C.
    pub(super) fn wait(self) -> Result<(), CliError> {
        // In full: its directory goes when it has stopped.
        let House {
            running,
            _directory,
            ..
        } = self;
        running
            .wait()
            .map_err(|error| CliError::new(format!("the server failed: {error}")))
    }

    fn token(&self, name: &str, role: Role, life: Duration) -> Result<String, CliError> {
        let actor = Actor {
            subject: format!("{name}@example.com"),
            role,
        };
        Ok(self.keys.sign(&actor, Utc::now(), life)?)
    }
}

fn services(directory: &Path) -> Result<Services, StoreError> {
    let store = Store::open(Database::Sqlite(directory.join("switchover.db")))?;
    Services::start(store, system_clock())
}
