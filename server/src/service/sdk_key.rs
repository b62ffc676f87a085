//! SDK keys: made, listed, revoked. A key is shown once; the store keeps its hash.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::approval::hex;
use crate::domain::environment::EnvironmentKey;
use crate::domain::key_kind::KeyKind;
use crate::domain::text::bounded;
use crate::service::access::key_hash;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{NewSdkKey, SdkKey, StoreError};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewSdkKeyRequest {
    /// The one environment that it reads.
    pub environment: EnvironmentKey,
    /// What it opens there.
    pub kind: KeyKind,
    /// What it is for.
    pub name: String,
}

/// A key that has just been made: the only time that it can be read.
#[derive(Clone)]
pub struct CreatedSdkKey {
    /// What is kept of it.
    pub key: SdkKey,
    /// The key itself.
    pub secret: String,
}

impl Services {
    /// Makes a key. `render` must leave the secret out of what is kept: a repeated request gets no
    /// key again.
    ///
    /// # Errors
    /// When there is no such environment, or the name is not valid.
    pub fn create_sdk_key(
        &self,
        ctx: &Ctx,
        request: &NewSdkKeyRequest,
        render: Render<'_, SdkKey>,
    ) -> Result<(Answer, Option<String>), Failure> {
        let name = bounded(&request.name, 100)
            .ok_or_else(|| Failure::invalid("name", "must be 1 to 100 printable characters"))?;
        let secret = new_secret()?;
        let answer = self.change(ctx, render, |work| {
            work.environment(&request.environment)?;
            let key = SdkKey {
                id: uuid::Uuid::now_v7().to_string(),
                environment: request.environment.clone(),
                kind: request.kind,
                name,
                created_by: ctx.actor.subject.clone(),
                created_at: work.now,
                revoked_at: None,
            };
            work.tx.add_sdk_key(&NewSdkKey {
                key: key.clone(),
                hash: hex(&key_hash(&secret)),
            })?;
            let record = (Value::Null, described(&key));
            let environment = Some(&request.environment);
            work.record("sdk_key_create", None, environment, "created", record);
            Ok(key)
        })?;
        self.learn_access();
        let secret = (!answer.replayed).then_some(secret);
        Ok((answer, secret))
    }

    /// Revokes a key. Revoking it again changes nothing.
    ///
    /// # Errors
    /// When there is none.
    pub fn revoke_sdk_key(
        &self,
        ctx: &Ctx,
        id: &str,
        reason: &str,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        let answer = self.change(ctx, render, |work| {
            let key = work
                .tx
                .sdk_keys()?
                .into_iter()
                .find(|key| key.id == id)
                .ok_or_else(|| Failure::missing("SDK key", id))?;
            if key.revoked_at.is_none() {
                work.tx.revoke_sdk_key(id, work.now)?;
                let record = (described(&key), Value::Null);
                let environment = Some(&key.environment);
                work.record("sdk_key_revoke", None, environment, reason, record);
            }
            Ok(())
        })?;
        self.learn_access();
        Ok(answer)
    }

    /// Every key, revoked ones included, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn sdk_keys(&self) -> Result<Vec<SdkKey>, Failure> {
        Ok(self.store.read(|tx| tx.sdk_keys())?)
    }
}

/// 32 random bytes behind a prefix that secret scanners can look for.
fn new_secret() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)
        .map_err(|_| StoreError::Unavailable("the system gives no randomness".to_owned()))?;
    Ok(format!("swk_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn described(key: &SdkKey) -> Value {
    json!({
        "id": key.id,
        "environment": key.environment,
        "kind": key.kind,
        "name": key.name,
        "created_by": key.created_by,
    })
}
