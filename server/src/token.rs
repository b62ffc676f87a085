//! Tokens of people and CI: JSON Web Tokens signed with Ed25519.
//!
//! The algorithm is that of our key, never what a token's header claims.

mod checkpoint;
mod stream_ticket;

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::actor::{Actor, Role};
use crate::domain::approval::hex;
use crate::sealing::Seal;

pub use checkpoint::{PublicKey, SignedStatement};
pub use stream_ticket::StreamTicket;

const ISSUER: &str = "switchover";
const AUDIENCE: &str = "switchover-api";
/// How far apart the clocks of two machines may be, in seconds.
const LEEWAY: u64 = 5;
/// The longest life of a token.
pub const LONGEST_TTL_DAYS: i64 = 90;
/// The signing key's file in the data directory.
pub const KEY_FILE: &str = "signing-key.pem";

/// What the secrets of webhooks are sealed for.
pub const WEBHOOK_SECRETS: &str = "secrets of webhooks";

/// Signs tokens and checks them.
pub struct TokenKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    tickets: hmac::Key,
    id: String,
    /// What keys for other uses are derived from.
    root: hkdf::Prk,
}

/// What a token says. All of it is required.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// The token's identity, by which it can be revoked.
    pub jti: String,
    role: Role,
}

impl Claims {
    /// Whose token it is.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            subject: self.sub.clone(),
            role: self.role,
        }
    }

    /// When the token ends.
    #[must_use]
    pub fn ends_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.exp, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

const RESERVED: &str =
    "`system` and what begins with `guard:` is the server itself, and nobody else";

/// Why a key cannot be had or a token is not good.
#[derive(Debug)]
pub struct TokenError(String);

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenError {}

impl TokenError {
    pub(crate) fn new(text: impl Into<String>) -> TokenError {
        TokenError(text.into())
    }
}

impl TokenKeys {
    /// The key of a data directory, made there (mode 0600) when there is none.
    ///
    /// # Errors
    /// When it cannot be read, made or understood.
    pub fn from_data_dir(data_dir: &Path) -> Result<TokenKeys, TokenError> {
        let pem = read_or_make_key(data_dir, KEY_FILE)?;
        let path = data_dir.join(KEY_FILE);
        TokenKeys::from_pem(&pem)
            .map_err(|error| TokenError(format!("{}: {error}", path.display())))
    }

    /// A key in PEM (PKCS #8, Ed25519), as `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &str) -> Result<TokenKeys, TokenError> {
        let no_key = || {
            TokenError(
                "the signing key is no Ed25519 private key in PEM: make one with `openssl genpkey \
                 -algorithm ed25519`"
                    .to_owned(),
            )
        };
        let pair = read_pair(pem).ok_or_else(no_key)?;
        let public = pair.public_key().as_ref();
        let seed = pair.seed().and_then(|seed| seed.as_be_bytes());
        let seed = seed.map_err(|_| no_key())?;
        let id = hex(&Sha256::digest(public));
        Ok(TokenKeys {
            encoding: EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| no_key())?,
            decoding: DecodingKey::from_ed_der(public),
            tickets: stream_ticket::ticket_key(&pair),
            id: id.chars().take(16).collect(),
            root: hkdf::Salt::new(hkdf::HKDF_SHA256, b"switchover").extract(seed.as_ref()),
        })
    }

    /// A seal for one use, which follows from this key: every node with it opens what another sealed,
    /// and another key opens nothing.
    ///
    /// # Errors
    /// When no key can be derived.
    pub fn seal(&self, used_for: &str) -> Result<Seal, TokenError> {
        let failed = || TokenError(format!("derive a key for {used_for}"));
        let mut key = [0; 32];
        self.root
            .expand(&[used_for.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut key))
            .map_err(|_| failed())?;
        Seal::new(&key).ok_or_else(failed)
    }

    /// A token for somebody, valid from `now`.
    ///
    /// # Errors
    /// When the life is not one, or signing fails.
    pub fn sign(
        &self,
        actor: &Actor,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<String, TokenError> {
        if ttl <= Duration::zero() || ttl > Duration::days(LONGEST_TTL_DAYS) {
            return Err(TokenError(format!(
                "a token lives longer than 0 and at most {LONGEST_TTL_DAYS} days"
            )));
        }
        if Actor::is_reserved(&actor.subject) {
            return Err(TokenError(RESERVED.to_owned()));
        }
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: actor.subject.clone(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + ttl).timestamp(),
            jti: uuid::Uuid::new_v4().to_string(),
            role: actor.role,
        };
        jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|error| TokenError(format!("sign a token: {error}")))
    }

    /// What a token says, when it is ours and in force.
    ///
    /// # Errors
    /// When it is not; the text says no more than a caller may know.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let refused = |why: &str| TokenError(why.to_owned());
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("the token is not a signed JSON Web Token"))?;
        if header.typ.as_deref() != Some("JWT") {
            return Err(refused("this is signed, but it is no token"));
        }
        if header.alg != Algorithm::EdDSA || header.kid.as_deref() != Some(&self.id) {
            return Err(refused("the token was not signed with this server's key"));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                    refused("the token has expired")
                }
                jsonwebtoken::errors::ErrorKind::ImmatureSignature => {
                    refused("the token is not valid yet: are the clocks right?")
                }
                jsonwebtoken::errors::ErrorKind::InvalidSignature => {
                    refused("the token was not signed with this server's key")
                }
                _ => refused("the token lacks claims, or they are not for this server"),
            })?
            .claims;
        if claims.sub.is_empty() || claims.sub.len() > 200 || claims.jti.is_empty() {
            return Err(refused("the token names nobody"));
        }
        if Actor::is_reserved(&claims.sub) {
            return Err(refused(RESERVED));
        }
        Ok(claims)
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A pair of keys from its PEM.
pub(crate) fn read_pair(pem: &str) -> Option<Ed25519KeyPair> {
    let body: String = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(body).ok()?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()
}

/// A key's file in a data directory, with a new key (mode 0600) when there is none.
pub(crate) fn read_or_make_key(data_dir: &Path, file: &str) -> Result<String, TokenError> {
    let path = data_dir.join(file);
    let failed = |what: &str, error: std::io::Error| {
        TokenError(format!("{what} {}: {error}", path.display()))
    };
    match fs::read_to_string(&path) {
        Ok(pem) => Ok(pem),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_private_dir(data_dir).map_err(|error| failed("create", error))?;
            let pem = new_pem()?;
            match write_new(&path, &pem) {
                Ok(()) => Ok(pem),
                // Another process was faster: its key is the one.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    fs::read_to_string(&path).map_err(|error| failed("read", error))
                }
                Err(error) => Err(failed("write", error)),
            }
        }
        Err(error) => Err(failed("read", error)),
    }
}

/// A new key in PEM.
pub(crate) fn new_pem() -> Result<String, TokenError> {
    let failed = |_| TokenError("make a signing key: the system gives no randomness".to_owned());
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let der = pair.to_pkcs8v1().map_err(failed)?;
    let body = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    ))
}

/// Makes a directory that only its owner may enter, unless it is there.
pub(crate) fn make_private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> TokenKeys {
        TokenKeys::from_pem(&new_pem().unwrap()).unwrap()
    }

    fn actor() -> Actor {
        Actor {
            subject: "ann@example.com".to_owned(),
            role: Role::Operator,
        }
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let keys = keys();
        let token = keys.sign(&actor(), Utc::now(), Duration::hours(8)).unwrap();
        assert_eq!(keys.verify(&token).unwrap().actor(), actor());
        let old = Utc::now() - Duration::hours(9);
        let expired = keys.sign(&actor(), old, Duration::hours(8)).unwrap();
        assert!(
            keys.verify(&expired)
                .unwrap_err()
                .to_string()
                .contains("expired")
        );
        let early = Utc::now() + Duration::hours(1);
        let early = keys.sign(&actor(), early, Duration::hours(8)).unwrap();
        assert!(keys.verify(&early).is_err());
    }

    #[test]
    fn a_foreign_or_altered_token_is_refused() {
        let (ours, theirs) = (keys(), keys());
        let foreign = theirs
            .sign(&actor(), Utc::now(), Duration::hours(1))
            .unwrap();
        assert!(ours.verify(&foreign).is_err());
        let token = ours.sign(&actor(), Utc::now(), Duration::hours(1)).unwrap();
        for position in (0..token.len()).step_by(7) {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            assert!(ours.verify(&String::from_utf8(bytes).unwrap()).is_err());
        }
    }

    #[test]
    fn the_key_of_a_data_directory_is_kept_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let made = TokenKeys::from_data_dir(directory.path()).unwrap();
        let read = TokenKeys::from_data_dir(directory.path()).unwrap();
        assert_eq!(made.id, read.id);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(directory.path().join(KEY_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
