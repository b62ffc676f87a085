//! Tokens of people: revoked by identity.

use serde_json::{Value, json};

use crate::domain::text::{Reason, bounded};
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// A token that is void.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Its identity.
    pub jti: String,
    /// Who revoked it.
    pub revoked_by: String,
    /// Why.
    pub reason: String,
}

impl Services {
    /// Revokes a token, known here or not. Revoking it again changes nothing.
    ///
    /// # Errors
    /// When the identity is not one.
    pub fn revoke_token(
        &self,
        ctx: &Ctx,
        jti: &str,
        reason: &Reason,
        render: Render<'_, Revocation>,
    ) -> Result<Answer, Failure> {
        let jti = bounded(jti, 100).ok_or_else(|| {
            Failure::invalid("jti", "must be the token's `jti`, 1 to 100 characters")
        })?;
        let answer = self.change(ctx, render, |work| {
            let by = &work.ctx.actor.subject;
            if work.tx.revoke_token(&jti, by, reason.as_str(), work.now)? {
                let record = (Value::Null, json!({ "jti": jti }));
                work.record("token_revoke", None, None, reason.as_str(), record);
            }
            Ok(Revocation {
                jti: jti.clone(),
                revoked_by: by.clone(),
                reason: reason.to_string(),
            })
        })?;
        self.learn_access();
        Ok(answer)
    }
}
