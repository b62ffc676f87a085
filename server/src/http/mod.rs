//! The REST interface: one resource, one file, with its request and response types beside the
//! handlers. No rule lives here.

pub(crate) mod access;
pub(crate) mod approvals;
pub(crate) mod audit;
mod backfills;
mod censuses;
mod checkpoints;
pub(crate) mod cohorts;
pub(crate) mod consistency;
mod deliveries;
pub(crate) mod environments;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod externals;
pub(crate) mod extract;
mod flips;
pub(crate) mod freezes;
pub(crate) mod front;
mod guards;
pub(crate) mod halts;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod log;
mod loss;
mod markdown;
pub(crate) mod metrics;
pub(crate) mod mirror;
pub(crate) mod ofrep;
pub(crate) mod openapi;
mod plans;
pub(crate) mod policies;
pub(crate) mod preparation;
pub(crate) mod promotions;
pub(crate) mod ramp_groups;
pub(crate) mod ramps;
mod references;
pub(crate) mod releases;
pub(crate) mod repairs;
mod report;
pub(crate) mod respond;
pub(crate) mod retirement;
pub(crate) mod rollouts;
mod route_list;
pub(crate) mod routes;
mod runbooks;
pub(crate) mod sdk;
mod sdk_data;
mod sdk_writers;
mod server;
pub(crate) mod settings;
mod stores;
mod streams;
mod telemetry;
mod verification;
mod watching;
pub(crate) mod webhooks;
mod writers;

pub use front::{Certificates, Front, PathPrefix, Proxies, TlsError, TlsFiles};
pub use ofrep::CorsOrigins;
pub use openapi::openapi;
pub use server::{CONDUCT_EVERY, Running, Server, ServerConfig};
pub use streams::UNREAD;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::service::{Failure, Reception, Services};
use crate::telemetry::Ingest;
use crate::token::TokenKeys;
use tokio::sync::watch;

use error::Problem;
use health::Contact;

/// What every handler has at hand.
pub(crate) struct App {
    pub(crate) services: Arc<Services>,
    pub(crate) keys: Arc<TokenKeys>,
    /// How clients reach it.
    pub(crate) front: Front,
    /// Set when the server is about to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When the database was last seen to be there.
    pub(crate) contact: Arc<Contact>,
    /// How many streams are open.
    pub(crate) streams: Arc<AtomicUsize>,
    /// How many of them are pages'.
    pub(crate) pages: Arc<AtomicUsize>,
    /// Which of them are OpenFeature clients'.
    pub(crate) listeners: ofrep::Listeners,
    /// Where reports are handed in.
    pub(crate) ingest: Arc<Ingest>,
    /// Where processes that write data routes report.
    pub(crate) reception: Arc<Reception>,
    /// How many requests of the API are being answered.
    pub(crate) requests: Arc<AtomicUsize>,
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

/// Something that is counted as long as it lives.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn one(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lists handlers once, for the server and for the OpenAPI document: collecting the document takes
/// megabytes that a server which only serves would never use.
macro_rules! handlers {
    ($(#[$doc:meta])* $served:ident, $documented:ident: $($handler:path),* $(,)?) => {
        $(#[$doc])*
        fn $served(config: &mut actix_web::web::ServiceConfig) {
            config$(.service($handler))*;
        }

        $(#[$doc])*
        fn $documented(config: &mut utoipa_actix_web::service_config::ServiceConfig<'_>) {
            config$(.service($handler))*;
        }
    };
}

handlers! {
    /// Everything below `/api/v1`.
    serve_api, document_api:
    routes::create,
    routes::import,
    route_list::list,
    routes::show,
    routes::patch,
    retirement::retire,
    references::post,
    references::list,
    references::forget,
    references::of_route,
    preparation::prepare,
    runbooks::show,
    runbooks::put,
    runbooks::remove,
    externals::list,
    externals::show,
    externals::put,
    externals::remove,
    externals::confirm,
    externals::withdraw,
    environments::list,
    environments::show,
    environments::create,
    environments::patch,
    rollouts::show,
    promotions::gates,
    guards::list,
    promotions::promote,
    promotions::demote,
    promotions::open_window,
    promotions::close_window,
    halts::halt,
    halts::resume,
    halts::halt_many,
    halts::resume_many,
    settings::setting,
    settings::cohorts,
    ramps::put,
    ramps::start,
    ramps::pause,
    ramps::resume,
    mirror::put,
    cohorts::list,
    cohorts::show,
    cohorts::create,
    cohorts::replace,
    cohorts::delete,
    ramp_groups::list,
    ramp_groups::put,
    ramp_groups::delete,
    approvals::list,
    approvals::approve,
    approvals::withdraw,
    evidence::list,
    evidence::add,
    telemetry::show,
    repairs::list,
    repairs::settle,
    backfills::list,
    backfills::pause,
    backfills::resume,
    backfills::reset,
    consistency::list,
    consistency::order,
    consistency::set_schedule,
    instances::of_rollout,
    instances::of_environment,
    writers::list,
    writers::declare_gone,
    freezes::list,
    freezes::open,
    freezes::close,
    policies::list,
    policies::show,
    policies::write,
    policies::delete,
    explain::explain,
    releases::freeze,
    releases::list,
    releases::show,
    releases::manifest,
    releases::publish,
    releases::delete,
    censuses::import,
    censuses::list,
    censuses::delete,
    plans::put,
    plans::show,
    plans::set_order,
    plans::delete,
    plans::change_step,
    plans::bind_section,
    audit::history,
    report::report,
    audit::list,
    events::stream,
    export::export,
    verification::verify,
    checkpoints::list,
    checkpoints::create,
    access::create_sdk_key,
    access::list_sdk_keys,
    access::revoke_sdk_key,
    access::revoke_token,
    webhooks::create,
    webhooks::list,
    webhooks::show,
    webhooks::patch,
    webhooks::rotate,
    webhooks::delete,
    deliveries::list,
    deliveries::test,
    deliveries::redeliver,
}

handlers! {
    /// Everything below `/ofrep/v1`.
    serve_ofrep, document_ofrep:
    ofrep::evaluate,
    ofrep::evaluate_all,
    ofrep::stream,
}

handlers! {
    /// What is served outside `/api/v1`.
    serve_root, document_root:
    sdk::snapshot,
    sdk::stream,
    telemetry::take,
    sdk_writers::take_writers,
    sdk_data::start,
    sdk_data::advance,
    sdk_data::compared,
    health::healthz,
    health::readyz,
    metrics::metrics,
}
