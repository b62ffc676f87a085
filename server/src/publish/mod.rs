//! What SDKs are handed: per environment one immutable, pre-serialised state and the delta that led
//! to it. Requests only pass bytes on.

mod hub;
mod published;

pub use hub::Hub;
pub use published::Published;
