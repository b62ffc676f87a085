//! The present state of every environment, and those who wait for the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use switchover::{EnvironmentKind, Version};
use tokio::sync::watch;

use crate::domain::environment::EnvironmentKey;
use crate::publish::Published;
use crate::store::{PublishedChanges, StoreError};

/// Everything that is published. A slow reader skips to the latest state: a channel keeps one.
#[derive(Default)]
pub struct Hub {
    environments: RwLock<BTreeMap<EnvironmentKey, Arc<Channel>>>,
}

struct Channel {
    /// Held while the next state is made, so that states follow one another.
    turn: Mutex<()>,
    state: watch::Sender<Option<Arc<Published>>>,
}

impl Hub {
    /// The present state of an environment.
    #[must_use]
    pub fn current(&self, environment: &EnvironmentKey) -> Option<Arc<Published>> {
        self.channel(environment)?.state.borrow().clone()
    }

    /// The present state of every environment that has one, by key.
    #[must_use]
    pub fn all(&self) -> Vec<(EnvironmentKey, Arc<Published>)> {
        let environments = self
            .environments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let published = environments.iter().filter_map(|(key, channel)| {
            let state = channel.state.borrow().clone();
            state.map(|state| (key.clone(), state))
        });
        published.collect()
    }

    /// The present state of an environment and all that follow.
    #[must_use]
    pub fn follow(
        &self,
        environment: &EnvironmentKey,
    ) -> Option<watch::Receiver<Option<Arc<Published>>>> {
        Some(self.channel(environment)?.state.subscribe())
    }

    /// How many follow an environment.
    #[must_use]
    pub fn followers(&self) -> usize {
        let environments = self
            .environments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        environments
            .values()
            .map(|channel| channel.state.receiver_count())
            .sum()
    }

    /// Whether this state of an environment is published.
    #[must_use]
    pub fn has(&self, environment: &str, epoch: &str, revision: u64) -> bool {
        environment
            .parse()
            .ok()
            .and_then(|environment| self.current(&environment))
            .is_some_and(|published| {
                *published.version().epoch == *epoch && published.version().revision == revision
            })
    }

    /// Publishes an environment's next state from what `load` says has changed since the present
    /// version.
    ///
    /// # Errors
    /// Those of `load`; and when the database has gone back in time within an epoch, which only a
    /// copy put back by hand does. Then the present state stays.
    pub fn refresh(
        &self,
        environment: &EnvironmentKey,
        load: impl FnOnce(
            Option<&Version>,
        ) -> Result<(String, EnvironmentKind, PublishedChanges), StoreError>,
    ) -> Result<(), StoreError> {
        let channel = self.channel_or_new(environment);
        let _turn = channel.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = channel.state.borrow().clone();
        let (epoch, kind, changes) = load(before.as_deref().map(Published::version))?;
        let same_epoch = before
            .as_deref()
            .filter(|before| *before.version().epoch == *epoch);
        if let Some(before) = same_epoch {
            if changes.revision == before.version().revision {
                return Ok(());
            }
            if changes.revision < before.version().revision {
                return Err(StoreError::Corrupt(format!(
                    "{environment} is at revision {} in the database, but {} was published: a \
                     restored database needs a new epoch (switchover restore --new-epoch)",
                    changes.revision,
                    before.version()
                )));
            }
        }
        let next = Published::next(same_epoch, environment, kind, &epoch, changes)?;
        channel.state.send_replace(Some(Arc::new(next)));
        Ok(())
    }

    fn channel(&self, environment: &EnvironmentKey) -> Option<Arc<Channel>> {
        self.environments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(environment)
            .cloned()
    }

    fn channel_or_new(&self, environment: &EnvironmentKey) -> Arc<Channel> {
        let mut environments = self
            .environments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(environments.entry(environment.clone()).or_insert_with(|| {
            Arc::new(Channel {
                turn: Mutex::new(()),
                state: watch::Sender::new(None),
            })
        }))
    }
}
