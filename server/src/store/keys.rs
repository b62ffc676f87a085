//! SDK keys and revoked tokens on record. Of a key only its hash is kept.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::domain::environment::EnvironmentKey;
use crate::domain::key_kind::KeyKind;
use crate::store::rows::{read, time};
use crate::store::schema::{revoked_tokens, sdk_keys};
use crate::store::{StoreError, Tx, dialect};

/// An SDK key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdkKey {
    /// Its identity.
    pub id: String,
    /// The one environment that it reads.
    pub environment: EnvironmentKey,
    /// What it opens there.
    pub kind: KeyKind,
    /// What it is for.
    pub name: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Since when it is void.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A key to be put on record.
#[derive(Clone, Debug)]
pub struct NewSdkKey {
    /// What is kept of it.
    pub key: SdkKey,
    /// SHA-256 of the key, in hexadecimal.
    pub hash: String,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    chrono::NaiveDateTime,
    Option<chrono::NaiveDateTime>,
);

impl Tx<'_> {
    /// Adds a key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_sdk_key(&mut self, new: &NewSdkKey) -> Result<(), StoreError> {
        let key = &new.key;
        diesel::insert_into(sdk_keys::table)
            .values((
                sdk_keys::id.eq(&key.id),
                sdk_keys::environment.eq(key.environment.as_str()),
                sdk_keys::kind.eq(key.kind.name()),
                sdk_keys::name.eq(&key.name),
                sdk_keys::hash.eq(&new.hash),
                sdk_keys::created_by.eq(&key.created_by),
                sdk_keys::created_at.eq(time(key.created_at)),
            ))
            .execute(self.connection)?;
        self.count_access_change()
    }

    /// Every key, revoked ones included, by identity (which is by age).
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn sdk_keys(&mut self) -> Result<Vec<SdkKey>, StoreError> {
        sdk_keys::table
            .select((
                sdk_keys::id,
                sdk_keys::environment,
                sdk_keys::kind,
                sdk_keys::name,
                sdk_keys::created_by,
                sdk_keys::created_at,
                sdk_keys::revoked_at,
            ))
            .order(sdk_keys::id.asc())
            .load::<Row>(self.connection)?
            .into_iter()
            .map(
                |(id, environment, kind, name, created_by, created_at, revoked_at)| {
                    Ok(SdkKey {
                        id,
                        environment: read("sdk_keys.environment", &environment)?,
                        kind: read("sdk_keys.kind", &kind)?,
                        name,
                        created_by,
                        created_at: created_at.and_utc(),
                        revoked_at: revoked_at.map(|at| at.and_utc()),
                    })
                },
            )
            .collect()
    }

    /// The identities of the keys that are in force, with their hash, their environment and their kind.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn sdk_key_hashes(&mut self) -> Result<Vec<(String, String, String, String)>, StoreError> {
        Ok(sdk_keys::table
            .filter(sdk_keys::revoked_at.is_null())
            .select((
                sdk_keys::id,
                sdk_keys::hash,
                sdk_keys::environment,
                sdk_keys::kind,
            ))
            .load(self.connection)?)
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn revoke_sdk_key(&mut self, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        diesel::update(sdk_keys::table.filter(sdk_keys::id.eq(id)))
            .set(sdk_keys::revoked_at.eq(time(at)))
            .execute(self.connection)?;
        self.count_access_change()
    }

    /// Revokes a token. `false` when it was already.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn revoke_token(
        &mut self,
        jti: &str,
        by: &str,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if dialect::add_revoked_token(self.connection, jti, by, reason, time(at))? == 0 {
            return Ok(false);
        }
        self.count_access_change()?;
        Ok(true)
    }

    /// The identities of all revoked tokens.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn revoked_tokens(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(revoked_tokens::table
            .select(revoked_tokens::jti)
            .load(self.connection)?)
    }
}
