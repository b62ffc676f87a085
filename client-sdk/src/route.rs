//! A route's handle: one atomic word, and what to do where that does not suffice.

use std::fmt;
use std::sync::Arc;

use crate::breaker::{Breaker, BreakerState, Fuse};
use crate::bucket::Seed;
use crate::call::{Call, Choice};
use crate::chance::is_drawn;
use crate::decide::{Decision, Path, Plan, Reason};
use crate::engine::Engine;
use crate::explain::Explanation;
use crate::key::Key;
use crate::read::{Due, Read};
use crate::rollout::Rollout;
use crate::slot::{Slot, Word};
use crate::stage::Stage;
use crate::state::State;
use crate::testing;
use crate::totals::RouteStats;

/// A route as the code names it: its key and, where the code gives one, its stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    key: String,
    flag: Option<String>,
    stage: Option<Stage>,
    breaker: Option<Breaker>,
}

impl RouteSpec {
    /// A route by its key.
    pub fn new(key: impl Into<String>) -> RouteSpec {
        RouteSpec {
            key: key.into(),
            flag: None,
            stage: None,
            breaker: None,
        }
    }

    /// The environment variable that overrides the route where the code's stage decides: the key in
    /// upper case unless you say otherwise. Where a snapshot decides, it names the variable.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> RouteSpec {
        self.flag = Some(flag.into());
        self
    }

    /// The stage of the route as long as no server and no cache knows it. It is decided as on
    /// premises: opt-in is off unless the installation asks for it.
    #[must_use]
    pub fn stage(mut self, stage: Stage) -> RouteSpec {
        self.stage = Some(stage);
        self
    }

    /// Takes the old path in this process while the new one fails too often, as seen by
    /// [calls](Route::call) that are run, whether the server is there or not. Never where the route is
    /// mandatory: there may be no old path any more.
    #[must_use]
    pub fn breaker(mut self, breaker: Breaker) -> RouteSpec {
        self.breaker = Some(breaker);
        self
    }

    /// What the code says about the route, if it says something that can be.
    fn compiled(&self) -> Option<Rollout> {
        let stage = self.stage?;
        let flag = match &self.flag {
            Some(flag) => flag.parse(),
            None => self.key.to_ascii_uppercase().parse(),
        };
        match flag {
            Ok(flag) => Some(Rollout::at(flag, stage)),
            Err(error) => {
                tracing::warn!(
                    route = self.key,
                    flag = self.flag,
                    "the route's stage in the code is ignored: {error}"
                );
                None
            }
        }
    }
}

impl From<&str> for RouteSpec {
    fn from(key: &str) -> RouteSpec {
        RouteSpec::new(key)
    }
}

impl From<String> for RouteSpec {
    fn from(key: String) -> RouteSpec {
        RouteSpec::new(key)
    }
}

impl From<&String> for RouteSpec {
    fn from(key: &String) -> RouteSpec {
        RouteSpec::new(key)
    }
}

/// A handle to one route. Cheap to clone; valid as long as it is held, also after the client is
/// gone. Asking it never waits, never fails and never panics.
#[derive(Clone)]
pub struct Route {
    slot: Arc<Slot>,
    /// Beside the pointer, so that a ramp needs nothing but the word from the slot.
    seed: Seed,
    engine: Arc<Engine>,
}

impl Route {
    pub(crate) fn resolve(engine: Arc<Engine>, spec: &RouteSpec) -> Route {
        let slot = engine.slot(&spec.key, spec.compiled().as_ref(), spec.breaker.as_ref());
        Route {
            seed: slot.seed(),
            slot,
            engine,
        }
    }

    /// The route's key.
    #[must_use]
    pub fn key(&self) -> &str {
        self.slot.key()
    }

    /// Which path a call with this key takes: a few nanoseconds, no lock, no allocation, unless the
    /// route has cohorts or requirements.
    ///
    /// In a forked child it follows the server only once [`Client::after_fork`](crate::Client::after_fork)
    /// was called there.
    #[inline]
    #[must_use]
    pub fn path<K: Key>(&self, key: K) -> Path {
        let word = self.slot.word();
        match word.verdict() {
            Some(path) => path,
            None => key.with(|key| self.path_of(word, key)),
        }
    }

    /// Which path a call with this key takes, why, and where that comes from.
    #[must_use]
    pub fn decide<K: Key>(&self, key: K) -> Decision {
        key.with(|key| {
            let decision = self.decided(key);
            match self.forced() {
                None => decision,
                Some(path) => Decision {
                    path,
                    reason: match path {
                        Path::Old => Reason::EnvOff,
                        Path::New => Reason::EnvOn,
                    },
                    ..decision
                },
            }
        })
    }

    /// The stage of the route, by the best source that knows it; `None` where none does.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        self.engine.with_state(|state| {
            let rollout = state.table_of(self.key()).rollout(self.key());
            rollout.map(|rollout| rollout.stage)
        })
    }

    /// What the decision depends on: nothing, the key by a ramp, or the key by other rules too.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.engine.with_state(|state| state.plan(self.key()))
    }

    /// Every rule and what it says about a call with this key, and the decision, which is the
    /// breaker's while that is open. A path forced by a test has no say.
    #[must_use]
    pub fn explain<K: Key>(&self, key: K) -> Explanation {
        key.with(|key| {
            let explain = |state: &State| state.explain(self.key(), key);
            let mut explanation = self.engine.with_state(explain);
            explanation.decision = self.broken(explanation.decision);
            explanation
        })
    }

    /// What the route's breaker does; `None` where it has none.
    #[must_use]
    pub fn breaker(&self) -> Option<BreakerState> {
        self.slot.fuse().map(Fuse::state)
    }

    /// Runs the path that a call with this key takes; timed and counted.
    #[inline]
    #[must_use = "a call does nothing until it is run"]
    pub fn call<K: Key>(&self, key: K) -> Call<'_> {
        let word = self.slot.word();
        let choice = match word.verdict() {
            Some(path) => Choice::other(path),
            None => key.with(|key| self.choose(word, key)),
        };
        Call::new(self, choice)
    }

    /// Runs the path that a read with this key takes; timed and counted. A share of the reads, picked by
    /// chance and set on the server ([`Mirror::read`](crate::Mirror)), is a *shadow read* too: it also
    /// runs on the other path, beside the caller, who neither waits for it nor sees what becomes of it.
    ///
    /// ```
    /// # fn main() -> Result<(), std::io::Error> {
    /// # let switchover = switchover::testing::client();
    /// # fn read_file(id: u64) -> Result<String, std::io::Error> { Ok(id.to_string()) }
    /// # fn ask_service(id: u64) -> Result<String, std::io::Error> { Ok(id.to_string()) }
    /// let find = switchover.route("find_commit");
    /// let id = 7;
    /// let found = find
    ///     .read(id)
    ///     .old(move || read_file(id))
    ///     .new(move || ask_service(id))
    ///     .compare(|old, new| old == new)
    ///     .run()?;
    /// # assert_eq!(found, "7");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Both implementations are `Send + 'static`, because either may have to run on another thread, and
    /// longer than the call: they own what they use, or share it (`move`, `Arc`). They must be reads:
    /// what they do is done twice.
    ///
    /// Of the shadow nothing comes back but counts: runs, errors, panics, latency, results that differ,
    /// and a few of their keys ([`Route::stats`]). It has a [deadline](crate::ClientBuilder::mirror_deadline),
    /// and too many at one time are dropped. A path that a [test forces](crate::testing::force) runs alone.
    #[inline]
    #[must_use = "a read does nothing until it is run"]
    pub fn read<K: Key>(&self, key: K) -> Read<'_> {
        let due = match self.slot.shadowed() {
            0 => None,
            share => self.due(share, &key),
        };
        Read::new(self.call(key), due)
    }

    /// Chance has it, and not the key: else some keys would never be compared.
    #[cold]
    fn due<K: Key>(&self, share: u32, key: &K) -> Option<Due> {
        (is_drawn(share) && self.forced().is_none()).then(|| Due {
            key: key.with(|key| key.map(Box::from)),
        })
    }

    /// What this process has counted for this route.
    #[must_use]
    pub fn stats(&self) -> RouteStats {
        self.slot.counters().stats()
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn path_of(&self, word: Word, key: Option<&str>) -> Path {
        match self.slot.ramp(word, self.seed, key) {
            Some(path) => path,
            None => self.ask(key),
        }
    }

    fn choose(&self, word: Word, key: Option<&str>) -> Choice {
        match self.slot.ramp(word, self.seed, key) {
            Some(path) => Choice {
                is_by_ramp: key.is_some() || word.is_full_ramp(),
                ..Choice::other(path)
            },
            None => self.choose_by_asking(key),
        }
    }

    #[cold]
    fn choose_by_asking(&self, key: Option<&str>) -> Choice {
        if let Some(path) = self.forced() {
            return Choice::other(path);
        }
        let decision = self.as_decided(key);
        let choice = Choice {
            is_by_ramp: matches!(decision.reason, Reason::RampIn | Reason::RampOut),
            ..Choice::other(decision.path)
        };
        if self.broken(decision) == decision {
            return choice;
        }
        match self.slot.fuse().and_then(Fuse::probe) {
            None => Choice::other(Path::Old),
            probe => Choice { probe, ..choice },
        }
    }

    #[cold]
    fn ask(&self, key: Option<&str>) -> Path {
        self.forced().unwrap_or_else(|| self.decided(key).path)
    }

    fn decided(&self, key: Option<&str>) -> Decision {
        self.broken(self.as_decided(key))
    }

    fn as_decided(&self, key: Option<&str>) -> Decision {
        self.engine
            .with_state(|state| state.decide(self.key(), key))
    }

    /// What an open breaker makes of a decision.
    fn broken(&self, decision: Decision) -> Decision {
        let is_open = decision.path == Path::New
            && decision.reason != Reason::Mandatory
            && self.slot.fuse().is_some_and(Fuse::is_open);
        match is_open {
            false => decision,
            true => Decision {
                path: Path::Old,
                reason: Reason::Breaker,
                ..decision
            },
        }
    }

    fn forced(&self) -> Option<Path> {
        self.slot
            .is_forced()
            .then(|| testing::forced_on_this_thread(&self.slot))
            .flatten()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.key()).finish()
    }
}
