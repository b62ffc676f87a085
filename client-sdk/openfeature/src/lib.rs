#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod flag;
mod provider;
mod readiness;
mod tracking;

pub use provider::SwitchoverProvider;
