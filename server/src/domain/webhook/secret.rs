//! What messages are signed with.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A secret as its receiver has it: `whsec_` and 32 bytes in base64. Never shown by itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The one that holds.
    pub current: Secret,
    /// The one before, for receivers that do not have the new one yet.
    pub previous: Option<Previous>,
}

/// A secret that is about to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The secret.
    pub secret: Secret,
    /// Until when messages are signed with it too.
    pub until: DateTime<Utc>,
}

impl Secrets {
    /// The first secret of a webhook.
    #[must_use]
    pub fn first(secret: Secret) -> Secrets {
        Secrets {
            current: secret,
            previous: None,
        }
    }

    /// The same with a new one; the one before holds until then.
    #[must_use]
    pub fn rotated(self, secret: Secret, until: DateTime<Utc>) -> Secrets {
        Secrets {
            current: secret,
            previous: Some(Previous {
                secret: self.current,
                until,
            }),
        }
    }

    /// Those that messages are signed with now, newest first.
    pub fn in_force(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Secret> {
        let previous = self.previous.as_ref();
        let previous = previous.filter(|previous| now < previous.until);
        std::iter::once(&self.current).chain(previous.map(|previous| &previous.secret))
    }
}
