//! Webhooks: made, listed, changed, given a new secret, deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::environment::EnvironmentKey;
use crate::domain::webhook::{Secret, Selector};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, Order, Query, Viewer, id_in_path, without_tag};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_reason;
use crate::service::{
    Answer, Failure, Filters, NewWebhook, WebhookPatch, WebhookView, webhook_tag,
};

/// How long the secret before holds, when nothing is said.
const OVERLAP_HOURS: u32 = 24;

/// A webhook to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
pub(crate) struct NewWebhookBody {
    /// What it is for.
    #[schema(example = "release room", min_length = 1, max_length = 100)]
    pub(crate) name: String,
    /// Where messages are posted to: https, and a public address unless the operator allows others.
    /// Shown afterwards without its path and query.
    #[schema(example = "https://chat.example.com/hooks/releases", max_length = 2000)]
    pub(crate) url: String,
    /// Kinds of events, or single ones; all when left out.
    #[serde(default)]
    #[schema(example = json!(["release", "rollout.promoted"]))]
    pub(crate) events: Vec<String>,
    /// Only what happens in these environments.
    #[serde(default)]
    #[schema(example = json!(["production"]))]
    pub(crate) environments: Vec<String>,
    /// Only what happens to routes of these owners.
    #[serde(default)]
    #[schema(example = json!(["gitaly"]))]
    pub(crate) owners: Vec<String>,
    #[schema(
        example = "the release room asked for it",
        min_length = 1,
        max_length = 1000
    )]
    pub(crate) reason: String,
}

impl NewWebhookBody {
    /// What is asked for.
    pub(crate) fn read(self) -> Result<NewWebhook, Failure> {
        Ok(NewWebhook {
            filters: Filters {
                events: read_events(&self.events)?,
                environments: read_environments(&self.environments)?,
                owners: read_owners(&self.owners),
            },
            name: self.name,
            url: self.url,
            reason: read_reason(&self.reason)?,
        })
    }
}

/// What is to be different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookPatch)]
pub(crate) struct WebhookPatchBody {
    #[schema(example = "release room", min_length = 1, max_length = 100)]
    pub(crate) name: Option<String>,
    #[schema(example = "https://chat.example.com/hooks/releases", max_length = 2000)]
    pub(crate) url: Option<String>,
    #[schema(example = json!(["release"]))]
    pub(crate) events: Option<Vec<String>>,
    pub(crate) environments: Option<Vec<String>>,
    pub(crate) owners: Option<Vec<String>>,
    /// Whether it is sent anything. What happens while it is not is not sent later.
    pub(crate) enabled: Option<bool>,
    #[schema(example = "the receiver has moved", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

impl WebhookPatchBody {
    /// What is asked for.
    pub(crate) fn read(self) -> Result<WebhookPatch, Failure> {
        let (events, environments) = (self.events, self.environments);
        Ok(WebhookPatch {
            name: self.name,
            url: self.url,
            events: events.map(|events| read_events(&events)).transpose()?,
            environments: environments
                .map(|environments| read_environments(&environments))
                .transpose()?,
            owners: self.owners.map(|owners| read_owners(&owners)),
            enabled: self.enabled,
            reason: read_reason(&self.reason)?,
        })
    }
}

/// A new secret to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookSecret)]
struct RotationBody {
    /// For so many hours messages are signed with the secret before, too: 0 to 168, 24 when left out.
    #[schema(example = 24, minimum = 0, maximum = 168)]
    overlap_hours: Option<u32>,
    #[schema(example = "yearly", min_length = 1, max_length = 1000)]
    reason: String,
}

/// Somebody who is told of what is put on record.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookBody {
    id: String,
    name: String,
    /// Without path and query: whoever has those can post there.
    #[schema(example = "https://chat.example.com/…")]
    url: String,
    /// All when empty.
    events: Vec<String>,
    environments: Vec<String>,
    owners: Vec<String>,
    /// `active`; `disabled`; or `needs_secret`: the server's signing key has changed, so it has to be
    /// given its address anew, and then a new secret by rotating.
    #[schema(example = "active")]
    state: String,
    /// Why it is sent nothing.
    why: Option<String>,
    /// Since when nothing has arrived, if the last attempt failed.
    failing_since: Option<DateTime<Utc>>,
    /// When something arrived last.
    delivered_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
    /// What messages are signed with, in the answer that makes it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<&WebhookView> for WebhookBody {
    fn from(view: &WebhookView) -> WebhookBody {
        let webhook = &view.webhook;
        WebhookBody {
            id: webhook.id.clone(),
            name: webhook.name.clone(),
            url: webhook.url.to_string(),
            events: webhook.events.iter().map(ToString::to_string).collect(),
            environments: webhook
                .environments
                .iter()
                .map(ToString::to_string)
                .collect(),
            owners: webhook.owners.iter().cloned().collect(),
            state: webhook.state.name().to_owned(),
            why: webhook.state.why(),
            failing_since: view.health.failing_since,
            delivered_at: view.health.delivered_at,
            created_by: webhook.created_by.clone(),
            created_at: webhook.created_at,
            secret: None,
        }
    }
}

/// Makes a webhook. The answer shows its secret; a repeated request with the same idempotency key does
/// not.
#[utoipa::path(
    tag = "webhooks",
    request_body = NewWebhookBody,
    responses((status = 201, body = WebhookBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/webhooks")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    change: Change<Maintainer, NewWebhookBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    let (made, secret) = app
        .blocking(move |services| {
            services.create_webhook(&change.ctx, &body.read()?, &|made| {
                let tag = Some(webhook_tag(&made.webhook));
                respond::receipt(StatusCode::CREATED, tag, &WebhookBody::from(made))
            })
        })
        .await?;
    Ok(with_secret(made, secret.as_ref()))
}

/// Lists webhooks, without what they are signed with.
#[utoipa::path(
    tag = "webhooks",
    responses((status = 200, body = Page<WebhookBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/webhooks")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.webhooks()).await?;
    let page = Page {
        items: found.iter().map(WebhookBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// Shows a webhook, and how it fares.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000")),
    responses((status = 200, body = WebhookBody)),
    security(("token" = ["viewer"]))
)]
#[get("/webhooks/{id}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "webhook")?;
    let found = app.blocking(move |services| services.webhook(&id)).await?;
    // How it fares is not in the tag.
    let tag = webhook_tag(&found.webhook);
    Ok(respond::always(&tag, &WebhookBody::from(&found)))
}

/// Changes a webhook. One that is enabled again hears of what happens from then on.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000")),
    request_body = WebhookPatchBody,
    responses((status = 200, body = WebhookBody)),
    security(("token" = ["maintainer"]))
)]
#[patch("/webhooks/{id}")]
pub(crate) async fn patch(
    app: Data<Arc<App>>,
    change: Change<Maintainer, WebhookPatchBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "webhook")?;
    let body = change.body;
    app.blocking(move |services| {
        services.change_webhook(&change.ctx, &id, &body.read()?, &|changed| {
            let tag = Some(webhook_tag(&changed.webhook));
            respond::receipt(StatusCode::OK, tag, &WebhookBody::from(changed))
        })
    })
    .await
    .map(answer)
}

/// Makes a new secret. The answer shows it; the one before holds for some hours more.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000")),
    request_body = RotationBody,
    responses((status = 201, body = WebhookBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/webhooks/{id}/rotate")]
pub(crate) async fn rotate(
    app: Data<Arc<App>>,
    change: Change<Maintainer, RotationBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "webhook")?;
    let body = change.body;
    let (made, secret) = app
        .blocking(move |services| {
            let reason = read_reason(&body.reason)?;
            let hours = body.overlap_hours.unwrap_or(OVERLAP_HOURS);
            services.rotate_webhook(&change.ctx, (&id, hours), &reason, &|rotated| {
                let tag = Some(webhook_tag(&rotated.webhook));
                respond::receipt(StatusCode::CREATED, tag, &WebhookBody::from(rotated))
            })
        })
        .await?;
    Ok(with_secret(made, secret.as_ref()))
}

/// Deletes a webhook, with the log of what it was sent.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000"), ReasonQuery),
    responses((status = 204, description = "Deleted")),
    security(("token" = ["maintainer"]))
)]
#[delete("/webhooks/{id}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "webhook")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.delete_webhook(&order.ctx, &id, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}

/// Only now, so that the receipt which is kept has no secret in it.
fn with_secret(mut made: Answer, secret: Option<&Secret>) -> HttpResponse {
    if let Some(secret) = secret {
        let without_brace = made.receipt.body.trim_end_matches('}');
        made.receipt.body = format!("{without_brace},\"secret\":\"{}\"}}", secret.reveal());
    }
    let mut response = answer(made);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn read_events(names: &[String]) -> Result<BTreeSet<Selector>, Failure> {
    let names = names.iter().map(|name| name.trim().parse());
    names
        .collect::<Result<_, String>>()
        .map_err(|detail| Failure::invalid("events", detail))
}

fn read_environments(names: &[String]) -> Result<BTreeSet<EnvironmentKey>, Failure> {
    let names = names.iter().map(|name| name.trim().parse());
    names
        .collect::<Result<_, &str>>()
        .map_err(|detail| Failure::invalid("environments", detail))
}

fn read_owners(names: &[String]) -> BTreeSet<String> {
    names.iter().map(|name| name.trim().to_owned()).collect()
}
