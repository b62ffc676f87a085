//! What SDKs are handed: per environment one immutable, pre-serialised state and the delta that led
//! to it; and what pages hear of changes. Requests only pass bytes on.

mod feed;
mod flags;
mod hub;
mod published;

pub use feed::{Feed, Head, KEPT};
pub use flags::{Evaluation, EvaluationMetadata, EvaluationValue, Flags};
pub use hub::Hub;
pub use published::Published;
