//! What an SDK key opens.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What an SDK key opens in its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// All that SDKs and OpenFeature clients use. Its holder is trusted: it reads every rule, and what it
    /// reports counts.
    #[default]
    Server,
    /// The evaluation of flags, and nothing else: whoever opens a page has its key.
    Page,
}

impl KeyKind {
    const ALL: [KeyKind; 2] = [KeyKind::Server, KeyKind::Page];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            KeyKind::Server => "server",
            KeyKind::Page => "page",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for KeyKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        KeyKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or("a key's kind is `server` or `page`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in KeyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for other in ["", "Page", "pages", "server "] {
            assert!(other.parse::<KeyKind>().is_err(), "{other}");
        }
        assert_eq!(KeyKind::default(), KeyKind::Server);
    }
}
