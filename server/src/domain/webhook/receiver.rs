//! Where a webhook is sent to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The address of a receiver. Its path and query are what lets anybody post there, so it is kept
/// sealed, and shown only as far as it says whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiverUrl(String);

/// What may be shown of an address, and kept in the clear: scheme and host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShownUrl(String);

impl ReceiverUrl {
    /// An address that was checked.
    #[must_use]
    pub fn new(checked: String) -> ReceiverUrl {
        ReceiverUrl(checked)
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.0
    }

    /// What may be shown of it.
    #[must_use]
    pub fn shown(&self) -> ShownUrl {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let mut parts = rest.splitn(2, ['/', '?', '#']);
        let host = parts.next().unwrap_or_default();
        let hidden = match parts.next() {
            None | Some("") => "",
            Some(_) => "…",
        };
        ShownUrl(format!("{scheme}://{host}/{hidden}"))
    }
}

impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown(), f)
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
