//! SDK keys, and the revocation of tokens.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::key_kind::KeyKind;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Admin, By, Change, Maintainer, Order, id_in_path, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, NewSdkKeyRequest};
use crate::store::SdkKey;

/// An SDK key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSdkKey)]
pub(crate) struct NewSdkKeyBody {
    /// The one environment that it reads.
    #[schema(example = "production")]
    pub(crate) environment: String,
    /// What it is for.
    #[schema(example = "web", min_length = 1, max_length = 100)]
    pub(crate) name: String,
    /// What it opens: `server`, when nothing is said, all that SDKs use; `page`, which is for keys that
    /// visitors can read, what is below `/ofrep/v1` and nothing else.
    #[schema(example = "page", pattern = "^(server|page)$")]
    pub(crate) kind: Option<String>,
}

impl NewSdkKeyBody {
    /// What is asked for.
    pub(crate) fn read(self) -> Result<NewSdkKeyRequest, Failure> {
        Ok(NewSdkKeyRequest {
            environment: self
                .environment
                .parse()
                .map_err(|detail: &str| Failure::invalid("environment", detail))?,
            name: self.name,
            kind: match self.kind {
                None => KeyKind::default(),
                Some(kind) => kind
                    .parse()
                    .map_err(|detail: &str| Failure::invalid("kind", detail))?,
            },
        })
    }
}

/// An SDK key. The key itself is shown once, when it is made.
#[derive(Serialize, ToSchema)]
#[schema(as = SdkKey)]
struct SdkKeyBody {
    id: String,
    environment: String,
    /// What it opens: `server`, all that SDKs use; `page`, the evaluation of flags alone.
    #[schema(example = "server", pattern = "^(server|page)$")]
    kind: String,
    name: String,
    created_by: String,
    created_at: DateTime<Utc>,
    /// Since when it is void.
    revoked_at: Option<DateTime<Utc>>,
    /// The key, in the answer that makes it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A token to be revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRevocation)]
struct RevocationRequest {
    /// The token's `jti`.
    #[schema(example = "0b0e2a8e-5b1d-4c9b-9a37-5f2c1a4c2f10")]
    jti: String,
    #[schema(example = "the laptop was lost", min_length = 1, max_length = 1000)]
    reason: String,
}

/// A revoked token.
#[derive(Serialize, ToSchema)]
#[schema(as = Revocation)]
struct RevocationBody {
    jti: String,
    revoked_by: String,
    reason: String,
}

impl From<&SdkKey> for SdkKeyBody {
    fn from(key: &SdkKey) -> SdkKeyBody {
        SdkKeyBody {
            id: key.id.clone(),
            environment: key.environment.to_string(),
            kind: key.kind.to_string(),
            name: key.name.clone(),
            created_by: key.created_by.clone(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            key: None,
        }
    }
}

/// Makes an SDK key. The answer shows it; a repeated request with the same idempotency key does not.
#[utoipa::path(
    tag = "access",
    request_body = NewSdkKeyBody,
    responses((status = 201, body = SdkKeyBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/sdk-keys")]
pub(crate) async fn create_sdk_key(
    app: Data<Arc<App>>,
    change: Change<Maintainer, NewSdkKeyBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    let (mut made, secret) = app
        .blocking(move |services| {
            let request = body.read()?;
            services.create_sdk_key(&change.ctx, &request, &|key| {
                respond::receipt(StatusCode::CREATED, None, &SdkKeyBody::from(key))
            })
        })
        .await?;
    if let Some(secret) = secret {
        // Only now, so that the receipt which is kept has no secret in it.
        let without_brace = made.receipt.body.trim_end_matches('}');
        made.receipt.body = format!("{without_brace},\"key\":\"{secret}\"}}");
    }
    let mut response = answer(made);
    response.headers_mut().insert(
        actix_web::http::header::CACHE_CONTROL,
        actix_web::http::header::HeaderValue::from_static("no-store"),
    );
    Ok(response)
}

/// Lists SDK keys, revoked ones included, without the keys.
#[utoipa::path(
    tag = "access",
    responses((status = 200, body = Page<SdkKeyBody>)),
    security(("token" = ["maintainer"]))
)]
#[get("/sdk-keys")]
pub(crate) async fn list_sdk_keys(
    app: Data<Arc<App>>,
    _by: By<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.sdk_keys()).await?;
    let page = Page {
        items: found.iter().map(SdkKeyBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// Revokes an SDK key. Its streams end within seconds.
#[utoipa::path(
    tag = "access",
    params(("id" = String, Path)),
    responses((status = 204, description = "Revoked")),
    security(("token" = ["maintainer"]))
)]
#[delete("/sdk-keys/{id}")]
pub(crate) async fn revoke_sdk_key(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let id = id_in_path(&request, "SDK key")?;
    app.blocking(move |services| {
        services.revoke_sdk_key(&order.ctx, &id, "revoked", &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}

/// Revokes a token by its `jti`, on every node within seconds.
#[utoipa::path(
    tag = "access",
    request_body = RevocationRequest,
    responses((status = 201, body = RevocationBody)),
    security(("token" = ["admin"]))
)]
#[post("/tokens/revocations")]
pub(crate) async fn revoke_token(
    app: Data<Arc<App>>,
    change: Change<Admin, RevocationRequest>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let reason = read_reason(&body.reason)?;
        services.revoke_token(&change.ctx, &body.jti, &reason, &|revocation| {
            let body = RevocationBody {
                jti: revocation.jti.clone(),
                revoked_by: revocation.revoked_by.clone(),
                reason: revocation.reason.clone(),
            };
            respond::receipt(StatusCode::CREATED, None, &body)
        })
    })
    .await
    .map(answer)
}
