//! The REST interface: one resource, one file, with its request and response types beside the
//! handlers. No rule lives here.

mod access;
mod approvals;
mod audit;
mod environments;
mod error;
mod explain;
mod extract;
mod halts;
mod health;
mod log;
mod openapi;
mod promotions;
mod respond;
mod rollouts;
mod routes;
mod sdk;
mod server;
mod settings;

pub use openapi::openapi;
pub use server::{Running, Server, ServerConfig};

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::service::{Failure, Services};
use crate::token::TokenKeys;

use error::Problem;
use health::Contact;

/// What every handler has at hand.
pub(crate) struct App {
    pub(crate) services: Arc<Services>,
    pub(crate) keys: Arc<TokenKeys>,
    /// Set when the server is about to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When the database was last seen to be there.
    pub(crate) contact: Arc<Contact>,
    /// How many streams are open.
    pub(crate) streams: Arc<AtomicUsize>,
}

impl App {
    /// Runs a service away from the threads that serve connections.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<App>,
        work: impl FnOnce(&Services) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        let services = Arc::clone(&self.services);
        actix_web::web::block(move || work(&services))
            .await
            .map_err(|_| Problem::overloaded())?
            .map_err(Problem::from)
    }
}

/// Everything below `/api/v1`.
fn api(config: &mut ServiceConfig<'_>) {
    config
        .service(routes::create)
        .service(routes::import)
        .service(routes::list)
        .service(routes::show)
        .service(routes::patch)
        .service(routes::retire)
        .service(environments::list)
        .service(environments::create)
        .service(environments::patch)
        .service(rollouts::show)
        .service(promotions::gates)
        .service(promotions::promote)
        .service(promotions::demote)
        .service(promotions::open_window)
        .service(promotions::close_window)
        .service(halts::halt)
        .service(halts::resume)
        .service(halts::halt_many)
        .service(settings::setting)
        .service(settings::cohorts)
        .service(approvals::list)
        .service(approvals::approve)
        .service(approvals::withdraw)
        .service(explain::explain)
        .service(audit::history)
        .service(audit::list)
        .service(audit::verify)
        .service(access::create_sdk_key)
        .service(access::list_sdk_keys)
        .service(access::revoke_sdk_key)
        .service(access::revoke_token);
}

/// What is served outside `/api/v1`.
fn root(config: &mut ServiceConfig<'_>) {
    config
        .service(sdk::snapshot)
        .service(sdk::stream)
        .service(health::healthz)
        .service(health::readyz);
}
