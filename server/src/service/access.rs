//! Which SDK keys are in force and which tokens are void, held in memory: a request is judged
//! without the database, also while it cannot be reached.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};

use crate::domain::environment::EnvironmentKey;
use crate::domain::key_kind::KeyKind;
use crate::service::{epoch, parse_environment};
use crate::store::{Store, StoreError};

/// What is known of keys and tokens.
#[derive(Default)]
pub struct Access {
    /// Held while the next state is read and put in place, so that states follow one another.
    turn: Mutex<()>,
    state: RwLock<Arc<State>>,
}

/// The epoch, and how many changes of keys and tokens there were.
pub(super) type AccessVersion = (String, u64);

#[derive(Default)]
struct State {
    version: Option<AccessVersion>,
    keys: HashMap<KeyHash, KnownKey>,
    /// The environments of the same keys, by the keys' identities.
    environments: HashMap<Arc<str>, EnvironmentKey>,
    revoked: HashSet<String>,
}

/// An SDK key that is in force.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Its identity, which is no secret.
    pub id: Arc<str>,
    /// The one environment that it reads.
    pub environment: EnvironmentKey,
    /// What it opens there.
    pub kind: KeyKind,
}

impl Access {
    /// The environment that an SDK key reads; `None` for a key that is unknown or revoked.
    #[must_use]
    pub fn environment_of(&self, key: &str) -> Option<EnvironmentKey> {
        self.known(key).map(|known| known.environment)
    }

    /// What is known of an SDK key; nothing of one that is unknown or revoked.
    #[must_use]
    pub fn known(&self, key: &str) -> Option<KnownKey> {
        self.state().keys.get(&key_hash(key)).cloned()
    }

    /// The environment that the SDK key with this identity reads, while the key is in force.
    #[must_use]
    pub fn environment_of_id(&self, id: &str) -> Option<EnvironmentKey> {
        self.state().environments.get(id).cloned()
    }

    /// Whether a token was revoked.
    #[must_use]
    pub fn is_revoked(&self, jti: &str) -> bool {
        self.state().revoked.contains(jti)
    }

    pub(super) fn is_at(&self, version: &AccessVersion) -> bool {
        self.state().version.as_ref() == Some(version)
    }

    pub(super) fn load(&self, store: &Store) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let state = store.read_first::<_, StoreError>(|tx| {
            let mut keys = HashMap::new();
            let mut environments = HashMap::new();
            for (id, hash, environment, kind) in tx.sdk_key_hashes()? {
                let hash = from_hex(&hash)
                    .ok_or_else(|| StoreError::Corrupt(format!("sdk_keys.hash: {hash}")))?;
                let id: Arc<str> = id.into();
                let environment = parse_environment(&environment)?;
                let kind = kind
                    .parse()
                    .map_err(|_| StoreError::Corrupt(format!("sdk_keys.kind: {kind}")))?;
                environments.insert(Arc::clone(&id), environment.clone());
                let known = KnownKey {
                    id,
                    environment,
                    kind,
                };
                keys.insert(hash, known);
            }
            Ok(State {
                version: Some((epoch(tx)?, tx.access_revision()?)),
                keys,
                environments,
                revoked: tx.revoked_tokens()?.into_iter().collect(),
            })
        })?;
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.is_older_than(&current) {
            *current = Arc::new(state);
        }
        Ok(())
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Within an epoch the count only grows: a database that has gone back brings no key back to
    /// life. Epochs cannot be compared, and the one that was read last is in force.
    fn is_older_than(&self, other: &State) -> bool {
        match (&self.version, &other.version) {
            (Some((epoch, count)), Some((other_epoch, other_count))) => {
                epoch == other_epoch && count < other_count
            }
            _ => false,
        }
    }
}

/// What is kept of an SDK key. Keys are 256 random bits, so a plain hash cannot be turned back.
pub(super) type KeyHash = [u8; 32];

pub(super) fn key_hash(key: &str) -> KeyHash {
    Sha256::digest(key).into()
}

fn from_hex(text: &str) -> Option<KeyHash> {
    let mut hash = KeyHash::default();
    if text.len() != 2 * hash.len() {
        return None;
    }
    for (byte, start) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(start..start + 2)?, 16).ok()?;
    }
    Some(hash)
}
