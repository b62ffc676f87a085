//! Who acts, and what they may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Sets, halts, resumes, demotes; promotes outside production.
    Operator,
    /// Promotes everywhere, approves, opens acceptance windows.
    Maintainer,
    /// Environments, keys, revocations, and the way back out of mandatory.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Maintainer, Role::Admin];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Maintainer => "maintainer",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| {
                format!("`{text}` is no role; the roles are viewer, operator, maintainer and admin")
            })
    }
}

/// Somebody, as their token names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The token's subject, such as an e-mail address; `system` for what the server does itself.
    pub subject: String,
    /// The role they acted in.
    pub role: Role,
}

impl Actor {
    /// Whether only the server itself acts under this name.
    #[must_use]
    pub fn is_reserved(subject: &str) -> bool {
        let subject = subject.trim().to_lowercase();
        subject == "system" || subject.starts_with("guard:")
    }

    /// Whether a guard acts under this name.
    #[must_use]
    pub fn is_guard(subject: &str) -> bool {
        subject.starts_with("guard:")
    }

    /// A guard, acting on what callers report. It may do what an operator may.
    #[must_use]
    pub fn guard(name: &str) -> Actor {
        Actor {
            subject: format!("guard:{name}"),
            role: Role::Operator,
        }
    }

    /// The server itself, acting on what somebody ordered earlier (an acceptance window's end).
    #[must_use]
    pub fn system() -> Actor {
        Actor {
            subject: "system".to_owned(),
            role: Role::Admin,
        }
    }
}
