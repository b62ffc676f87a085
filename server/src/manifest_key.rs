//! The keys that sign manifests: Ed25519, apart from the one that signs tokens, because builds pin
//! them for years. There may be several, and each signs: builds that pin the old one and builds that
//! pin the new one then both accept what is made.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use switchover::ManifestKey;

use crate::token::{TokenError, new_pem, read_or_make_key, read_pair};

/// The file of these keys in the data directory.
pub const MANIFEST_KEY_FILE: &str = "manifest-key.pem";
/// The most keys that sign at once.
const MOST_KEYS: usize = 8;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// At least one key.
pub struct ManifestKeys {
    keys: Vec<Key>,
}

struct Key {
    pair: Ed25519KeyPair,
    public: ManifestKey,
    pem: String,
}

impl ManifestKeys {
    /// Keys in PEM (PKCS #8, Ed25519), one block after the other.
    ///
    /// # Errors
    /// When there is none, one is of another kind or there twice, or there are too many.
    pub fn from_pem(text: &str) -> Result<ManifestKeys, TokenError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, pem) in blocks(text).enumerate() {
            let key = Key::read(pem).ok_or_else(|| {
                TokenError::new(format!(
                    "key {} of those that sign manifests is no Ed25519 private key in PEM: make one \
                     with `openssl genpkey -algorithm ed25519`",
                    index + 1
                ))
            })?;
            if keys.iter().any(|other| other.public == key.public) {
                return Err(TokenError::new(format!(
                    "the key {} is there twice among those that sign manifests",
                    key.public.id()
                )));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(TokenError::new(
                "there is no private key in PEM to sign manifests with: make one with `openssl \
                 genpkey -algorithm ed25519`",
            )),
            1..=MOST_KEYS => Ok(ManifestKeys { keys }),
            _ => Err(TokenError::new(format!(
                "at most {MOST_KEYS} keys sign manifests at once: retire some"
            ))),
        }
    }

    /// The keys of a data directory, where one is made (mode 0600) when there is none.
    ///
    /// # Errors
    /// When they cannot be read, made or understood.
    pub fn from_data_dir(data_dir: &Path) -> Result<ManifestKeys, TokenError> {
        ManifestKeys::from_pem(&read_or_make_key(data_dir, MANIFEST_KEY_FILE)?)
    }

    /// The keys of a file; `None` where there is no such file.
    ///
    /// # Errors
    /// When they cannot be read or understood.
    pub fn from_file(path: &Path) -> Result<Option<ManifestKeys>, TokenError> {
        match fs::read_to_string(path) {
            Ok(text) => ManifestKeys::from_pem(&text).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TokenError::new(format!("read {}: {error}", path.display()))),
        }
    }

    /// Writes them to a file that its owner alone may read: all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TokenError> {
        let failed =
            |error: std::io::Error| TokenError::new(format!("write {}: {error}", path.display()));
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Made with mode 0600.
        let mut beside = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        for key in &self.keys {
            beside.write_all(key.pem.as_bytes()).map_err(failed)?;
        }
        beside.as_file().sync_all().map_err(failed)?;
        beside.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// With a new key behind those that there are.
    ///
    /// # Errors
    /// When there are too many, or the system gives no randomness.
    pub fn with_new(&self) -> Result<ManifestKeys, TokenError> {
        let mut text = self.to_pem();
        text.push_str(&new_pem()?);
        ManifestKeys::from_pem(&text)
    }

    /// One new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> Result<ManifestKeys, TokenError> {
        ManifestKeys::from_pem(&new_pem()?)
    }

    /// Without the key of this identity.
    ///
    /// # Errors
    /// When there is none, or it is the only one.
    pub fn without(&self, id: &str) -> Result<ManifestKeys, TokenError> {
        let kept: String = self
            .keys
            .iter()
            .filter(|key| key.public.id() != id)
            .map(|key| key.pem.as_str())
            .collect();
        if kept.len() == self.to_pem().len() {
            return Err(TokenError::new(format!(
                "no key {id} signs manifests: see which do with `switchover release key show`"
            )));
        }
        if kept.is_empty() {
            return Err(TokenError::new(format!(
                "{id} is the only key that signs manifests: add another first, and give builds the \
                 time to pin it"
            )));
        }
        ManifestKeys::from_pem(&kept)
    }

    /// What builds pin, oldest first.
    #[must_use]
    pub fn public(&self) -> Vec<ManifestKey> {
        self.keys.iter().map(|key| key.public).collect()
    }

    /// Each key's signature.
    #[must_use]
    pub fn sign(&self, payload: &str) -> Vec<(ManifestKey, Vec<u8>)> {
        let signed = |key: &Key| {
            let signature = key.pair.sign(payload.as_bytes());
            (key.public, signature.as_ref().to_vec())
        };
        self.keys.iter().map(signed).collect()
    }

    /// The keys themselves, one block after the other.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.keys.iter().map(|key| key.pem.as_str()).collect()
    }
}

impl Key {
    fn read(body: &str) -> Option<Key> {
        let pair = read_pair(body)?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).ok()?;
        Some(Key {
            pair,
            public: ManifestKey::from_bytes(public),
            pem: format!("{BEGIN}\n{}\n{END}\n", body.trim()),
        })
    }
}

impl fmt::Debug for ManifestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManifestKeys").field(&self.public()).finish()
    }
}

/// What stands between the lines that begin and end a private key.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let begun = text.split(BEGIN).skip(1);
    begun.map(|rest| rest.split_once(END).map_or(rest, |(body, _)| body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_pinned_by_builds_and_the_old_one_retired() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(MANIFEST_KEY_FILE);
        let first = ManifestKeys::from_data_dir(directory.path()).unwrap();
        let again = ManifestKeys::from_data_dir(directory.path()).unwrap();
        assert_eq!(first.public(), again.public());
        let both = first.with_new().unwrap();
        both.write(&path).unwrap();
        let read = ManifestKeys::from_file(&path).unwrap().unwrap();
        assert_eq!(read.public(), both.public());
        assert_eq!(read.public()[0], first.public()[0]);
        assert_eq!(read.sign("x").len(), 2);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = first.public()[0].id();
        let second = read.without(&old).unwrap();
        assert_eq!(second.public(), &both.public()[1..]);
        assert!(second.without(&old).is_err(), "gone already");
        assert!(
            second.without(&second.public()[0].id()).is_err(),
            "the last"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = ManifestKeys::new().unwrap().to_pem();
        for bad in [
            String::new(),
            "no key".to_owned(),
            format!("{BEGIN}\nAAAA\n{END}\n"),
            format!("{good}{good}"),
            format!("{good}{BEGIN}\n{END}\n"),
        ] {
            assert!(ManifestKeys::from_pem(&bad).is_err(), "{bad}");
        }
        let full = (1..MOST_KEYS).fold(ManifestKeys::new().unwrap(), |keys, _| {
            keys.with_new().unwrap()
        });
        assert!(full.with_new().is_err());
        let noted = format!("the old one\r\n{}", good.replace('\n', "\r\n"));
        assert_eq!(ManifestKeys::from_pem(&noted).unwrap().keys.len(), 1);
    }
}
