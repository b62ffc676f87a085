//! The OpenFeature Remote Evaluation Protocol: flags for clients in any language. An SDK key in, the
//! decision of its environment out.
//!
//! What is answered are bytes of the published state; errors have the protocol's form, not that of
//! the rest of the interface.

mod bulk;
mod cors;
mod refused;
mod request;
mod room;
mod single;
mod streams;

pub use cors::CorsOrigins;

pub(crate) use bulk::*;
pub(crate) use cors::cors;
pub(crate) use refused::EvaluationFailure;
pub(crate) use room::Listeners;
pub(crate) use single::*;
pub(crate) use streams::*;
