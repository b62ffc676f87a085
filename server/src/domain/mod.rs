//! The rules of the house: what a route is, what may happen to it, and what must be true before.
//!
//! Pure: no HTTP, no SQL, no clock, no randomness. Whatever it judges arrives as an argument.

pub mod actor;
pub mod approval;
mod approved;
pub mod audit;
pub mod census;
pub mod chain;
pub mod checkpoint;
pub mod drill;
pub mod environment;
pub mod estimate;
pub mod evidence;
pub mod export;
pub mod exposure;
pub mod external;
pub mod facts;
pub mod field;
pub mod forecast;
pub mod freeze;
pub mod gate;
pub mod guard;
pub mod lifecycle;
pub mod moment;
pub mod naming;
pub mod number;
pub mod plan;
pub mod policy;
pub mod preparation;
mod promoted;
pub mod refusal;
pub mod release;
pub mod report;
pub mod rollout;
pub mod route;
pub mod runbook;
pub mod schedule;
pub mod telemetry;
pub mod text;
pub mod window;
pub mod words;
