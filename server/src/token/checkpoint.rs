//! Signed statements about the record. They are signed with the key of the tokens, and neither can
//! pass for the other: their type, their audience and what they say differ.

use std::fmt;

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Ed25519KeyPair, ISSUER, TokenError, TokenKeys};
use crate::domain::approval::hex;
use crate::domain::checkpoint::Statement;

const TYPE: &str = "switchover-checkpoint";
const AUDIENCE: &str = "switchover-audit";
/// What stands before the 32 bytes of a public Ed25519 key in DER.
const PUBLIC_KEY_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A statement, and what its signature is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// What it says.
    pub statement: Statement,
    /// The name of the key that it says it is signed with.
    pub key: String,
    /// Whether the signature was checked: not when it is another key's.
    pub checked: bool,
}

/// What checks statements.
#[derive(Clone)]
pub struct PublicKey {
    decoding: DecodingKey,
    id: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    #[serde(flatten)]
    statement: Statement,
}

impl TokenKeys {
    /// Signs a statement.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign_statement(&self, statement: &Statement) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.id.clone());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            statement: statement.clone(),
        };
        jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|error| TokenError(format!("sign a checkpoint: {error}")))
    }

    /// What checks the statements that this key signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            decoding: self.decoding.clone(),
            id: self.id.clone(),
        }
    }
}

impl PublicKey {
    /// A key in PEM: the public one, or the signing key itself.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_pem(pem: &str) -> Result<PublicKey, TokenError> {
        let none = || {
            TokenError(
                "this is no Ed25519 key in PEM: make it with `openssl pkey -in signing-key.pem \
                 -pubout`"
                    .to_owned(),
            )
        };
        let body: String = pem
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(body).map_err(|_| none())?;
        if let Some(public) = der
            .strip_prefix(&PUBLIC_KEY_HEAD)
            .filter(|key| key.len() == 32)
        {
            return Ok(PublicKey::of(public));
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| none())?;
        Ok(PublicKey::of(pair.public_key().as_ref()))
    }

    fn of(public: &[u8]) -> PublicKey {
        PublicKey {
            decoding: DecodingKey::from_ed_der(public),
            id: hex(&Sha256::digest(public)).chars().take(16).collect(),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SignedStatement {
    /// Reads a statement, and checks its signature when the key is the one that it names.
    ///
    /// # Errors
    /// When it is none, or its signature is wrong.
    pub fn read(signed: &str, key: Option<&PublicKey>) -> Result<SignedStatement, TokenError> {
        let none = || TokenError("this is no checkpoint of the record".to_owned());
        let header = jsonwebtoken::decode_header(signed).map_err(|_| none())?;
        if header.typ.as_deref() != Some(TYPE) || header.alg != Algorithm::EdDSA {
            return Err(none());
        }
        let named = header.kid.ok_or_else(none)?;
        let known = key.filter(|key| key.id == named);
        let claims = match known {
            Some(key) => {
                let mut validation = Validation::new(Algorithm::EdDSA);
                validation.validate_exp = false;
                validation.set_audience(&[AUDIENCE]);
                validation.set_issuer(&[ISSUER]);
                validation.set_required_spec_claims(&["aud", "iss"]);
                jsonwebtoken::decode::<Claims>(signed, &key.decoding, &validation)
                    .map_err(|_| TokenError("its signature is wrong".to_owned()))?
                    .claims
            }
            None => unchecked(signed).ok_or_else(none)?,
        };
        Ok(SignedStatement {
            statement: claims.statement,
            key: named,
            checked: known.is_some(),
        })
    }
}

fn unchecked(signed: &str) -> Option<Claims> {
    let said = signed.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
    (claims.aud == AUDIENCE && claims.iss == ISSUER).then_some(claims)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration, Utc};

    use super::*;
    use crate::domain::actor::{Actor, Role};

    fn keys() -> TokenKeys {
        TokenKeys::from_pem(&super::super::new_pem().unwrap()).unwrap()
    }

    fn statement() -> Statement {
        Statement {
            epoch: "0123456789abcdef".to_owned(),
            seq: 900,
            hash: "ab".repeat(32),
            at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
        }
    }

    #[test]
    fn a_statement_is_read_with_its_key_and_known_for_anothers() {
        let (ours, theirs) = (keys(), keys());
        let signed = ours.sign_statement(&statement()).unwrap();
        let read = SignedStatement::read(&signed, Some(&ours.public())).unwrap();
        assert!(read.checked && read.statement == statement());
        for key in [None, Some(&theirs.public())] {
            let read = SignedStatement::read(&signed, key).unwrap();
            assert!(!read.checked && read.statement == statement());
        }
        for position in 0..signed.len() {
            let mut bytes = signed.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let read =
                SignedStatement::read(&String::from_utf8(bytes).unwrap(), Some(&ours.public()));
            assert!(read.is_err() || !read.unwrap().checked, "{position}");
        }
    }

    #[test]
    fn a_statement_is_no_token_and_a_token_no_statement() {
        let keys = keys();
        let signed = keys.sign_statement(&statement()).unwrap();
        assert!(keys.verify(&signed).is_err());
        let actor = Actor {
            subject: "ann".to_owned(),
            role: Role::Admin,
        };
        let token = keys.sign(&actor, Utc::now(), Duration::hours(1)).unwrap();
        assert!(SignedStatement::read(&token, Some(&keys.public())).is_err());
        assert!(SignedStatement::read(&token, None).is_err());
    }

    #[test]
    fn a_public_key_is_read_from_either_half() {
        let pem = super::super::new_pem().unwrap();
        let keys = TokenKeys::from_pem(&pem).unwrap();
        assert_eq!(PublicKey::from_pem(&pem).unwrap().id, keys.id);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(body).unwrap());
        let mut der = PUBLIC_KEY_HEAD.to_vec();
        der.extend_from_slice(pair.unwrap().public_key().as_ref());
        let public = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        );
        assert_eq!(PublicKey::from_pem(&public).unwrap().id, keys.id);
        assert!(PublicKey::from_pem("nonsense").is_err());
    }
}
