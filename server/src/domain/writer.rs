//! The processes that write a data route: who they are, and what is known of them.

use chrono::{DateTime, Utc};
use switchover::Unverified;

use crate::domain::flip::{Known, VANISHED_AFTER};
use crate::domain::text::Reason;

/// The most processes that are known to write one route in one environment.
pub const MOST_WRITERS: usize = 10_000;
/// For how many days it is kept that a process was declared gone.
pub const GONE_KEPT_DAYS: i64 = 30;

/// A process that writes a data route in an environment, as it last reported itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Its identity.
    pub instance: String,
    /// What people know it by.
    pub name: String,
    /// When it joined.
    pub joined_at: DateTime<Utc>,
    /// When it last reported.
    pub seen_at: DateTime<Utc>,
    /// The generation under which its writes begin.
    pub generation: u64,
    /// The last generation whose hold it has done its part for.
    pub drained: Option<u64>,
    /// Whether its stores refuse writes of lower generations.
    pub fenced: bool,
    /// Why nobody knows whether all its writes were copied, if so.
    pub unverified: Option<Unverified>,
    /// Repairs that are open in it.
    pub open_repairs: u64,
    /// Who said that it is gone, when and why.
    pub gone: Option<Gone>,
    /// When it came back after that.
    pub returned_at: Option<DateTime<Utc>>,
}

/// Somebody said that a process is gone: flips do not wait for it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Writer {
    /// Whether it has been silent for so long that nobody knows whether it still writes.
    #[must_use]
    pub fn has_vanished(&self, now: DateTime<Utc>) -> bool {
        self.gone.is_none() && now.signed_duration_since(self.seen_at) >= VANISHED_AFTER
    }

    /// What a flip asks of it; `None` when it is gone.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        self.gone.is_none().then(|| Known {
            name: self.name.clone(),
            drained: self.drained,
        })
    }

    /// What it is from now on, with who says so.
    pub fn declare_gone(&mut self, now: DateTime<Utc>, by: &str, reason: &Reason) {
        self.gone.get_or_insert_with(|| Gone {
            at: now,
            by: by.to_owned(),
            reason: reason.to_string(),
        });
    }
}

/// What a change that may move keys is judged by: who would have to let go of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// How many processes write the route here.
    pub known: u64,
    /// How many of them have vanished.
    pub vanished: u64,
    /// Some of those.
    pub silent: Vec<Silent>,
    /// Keys whose rows may differ: with a repair that is not resolved.
    pub unequal: Vec<String>,
    /// Whether there are more of them than are named.
    pub more_unequal: bool,
    /// Whether all have let go of the keys that move.
    let_go: bool,
}

/// A process that writes and has vanished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Its identity.
    pub instance: String,
    /// What people know it by.
    pub name: String,
    /// When it last reported.
    pub since: DateTime<Utc>,
}

impl Writing {
    /// What is known of a route's processes, of which these have vanished.
    #[must_use]
    pub fn of(known: u64, vanished: u64, silent: Vec<Silent>) -> Writing {
        Writing {
            known,
            vanished,
            silent,
            ..Writing::default()
        }
    }

    /// The same with the keys whose rows may differ, and whether there are more of them.
    #[must_use]
    pub fn with_unequal(self, unequal: Vec<String>, more_unequal: bool) -> Writing {
        Writing {
            unequal,
            more_unequal,
            ..self
        }
    }

    /// The same once all have let go of the keys that move.
    #[must_use]
    pub(super) fn all_let_go(&self) -> Writing {
        Writing {
            let_go: true,
            ..self.clone()
        }
    }

    /// Whether they have.
    pub(super) fn has_let_go(&self) -> bool {
        self.let_go
    }
}
