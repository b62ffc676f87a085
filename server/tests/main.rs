//! The server as its users meet it: real databases, real HTTP, nothing mocked.
//!
//! Every test builds what it needs and shares nothing but one PostgreSQL cluster, so tests run in
//! any order and all at once. Where text or transactions reach the database, the name says which
//! engine ran: `race::one_promotion_wins::postgres`.
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failed expectation is how a test speaks"
)]

mod support;

mod access;
mod approvals;
mod audit;
mod authorization;
mod backfills;
mod bad_input;
#[cfg(feature = "test-clock")]
mod browser;
mod busy;
mod censuses;
#[cfg(feature = "test-clock")]
mod clock;
mod cohorts;
mod commands;
mod conditions;
mod conductor;
mod consistency;
mod crash;
mod data_commands;
mod declared;
mod doors;
mod doubled_ramps;
mod environments;
mod events;
#[cfg(feature = "test-clock")]
mod example;
mod exposure;
mod flips;
mod freezes;
mod front;
mod gate_commands;
mod gates;
#[cfg(feature = "test-clock")]
mod gear_operations;
mod going_back;
mod guard_simulation;
mod guards;
mod halts;
mod imports;
mod instances;
mod lifecycle;
mod metrics;
mod migrations;
mod ofrep;
mod ofrep_clients;
mod on_prem;
mod openapi;
mod openfeature_provider;
mod outage;
mod page_actions;
mod page_board;
mod page_frame;
mod page_others;
mod page_route;
mod permissions;
mod plans;
mod policies;
mod preparation;
mod prepare_commands;
mod prometheus;
mod race;
mod ramp_commands;
mod ramps;
mod refs;
mod rehearsals;
mod releases;
mod repairs;
mod routes;
mod runbooks;
mod stream;
mod telemetry;
mod tidy;
mod tokens;
mod vectors;
mod webhooks;
