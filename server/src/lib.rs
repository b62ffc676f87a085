//! The flag server and command line of Switchover.
#![forbid(unsafe_code)]

pub mod cli;
pub mod conductor;
pub mod config;
pub mod courier;
pub mod domain;
mod gathering;
pub mod http;
pub mod manifest_key;
pub mod metrics;
pub mod outbound;
pub mod prometheus;
pub mod publish;
pub mod refs;
pub mod sealing;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod token;
mod web;

pub use web::page_forms;
