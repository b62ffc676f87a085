//! What webhooks were sent: listed, tried out, sent again.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::domain::webhook::{Attempt, Delivery, DeliveryState};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Maintainer, Order, Query, id_in_path, in_path, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::store::DeliveryFilter;

/// A message to a webhook, and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryBody {
    id: String,
    webhook: String,
    /// The message's name, `webhook-id` in its head: the same each time that it is sent.
    #[schema(example = "msg_2f0e2a8e5b1d4c9b9a375f2c1a4c2f10")]
    message: String,
    #[schema(example = "rollout.halted")]
    r#type: String,
    /// The place in the record of what it tells; null of a test.
    seq: Option<u64>,
    route: Option<String>,
    environment: Option<String>,
    /// When it happened.
    at: DateTime<Utc>,
    /// `pending`: not tried yet; `delivered`; `failed`: another attempt follows; `given_up`.
    #[schema(example = "delivered")]
    state: String,
    /// When it is sent next.
    due_at: Option<DateTime<Utc>>,
    /// Who had it sent, where it was not by itself.
    ordered_by: Option<String>,
    /// The latest attempts, oldest first.
    attempts: Vec<AttemptBody>,
    /// What is sent.
    body: Value,
}

/// One attempt to deliver a message.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct AttemptBody {
    at: DateTime<Utc>,
    /// In milliseconds.
    took_ms: u64,
    /// The status of the answer; null when there was none.
    #[schema(example = 204)]
    status: Option<u16>,
    /// Why it failed.
    error: Option<String>,
    /// The beginning of the answer's body, at most 1 KiB.
    answer: String,
}

impl From<&Attempt> for AttemptBody {
    fn from(attempt: &Attempt) -> AttemptBody {
        AttemptBody {
            at: attempt.at,
            took_ms: attempt.took_ms,
            status: attempt.status,
            error: attempt.error.clone(),
            answer: attempt.answer.clone(),
        }
    }
}

impl From<&Delivery> for DeliveryBody {
    fn from(delivery: &Delivery) -> DeliveryBody {
        DeliveryBody {
            id: delivery.id.clone(),
            webhook: delivery.webhook.clone(),
            message: delivery.message.clone(),
            r#type: delivery.kind.clone(),
            seq: delivery.seq,
            route: delivery.route.clone(),
            environment: delivery.environment.clone(),
            at: delivery.happened_at,
            state: delivery.state.name().to_owned(),
            due_at: delivery.due_at,
            ordered_by: delivery.ordered_by.clone(),
            attempts: delivery.attempts.iter().map(AttemptBody::from).collect(),
            // It was written from a value.
            body: serde_json::from_str(&delivery.body).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveriesQuery {
    /// Only those that are `pending`, `delivered`, `failed` or `given_up`.
    state: Option<String>,
    /// 1 to 1,000; 50 when nothing is said.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists what a webhook was sent and will be, latest first.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000"), DeliveriesQuery),
    responses((status = 200, body = Page<DeliveryBody>)),
    security(("token" = ["maintainer"]))
)]
#[get("/webhooks/{id}/deliveries")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Maintainer>,
    query: Query<DeliveriesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "webhook")?;
    let query = query.0;
    let limit = respond::read_limit(query.limit)?;
    let filter = DeliveryFilter {
        state: query.state.as_deref().map(read_state).transpose()?,
        before: respond::read_cursor(query.cursor.as_ref())?,
    };
    let found = app
        .blocking(move |services| services.deliveries(&id, &filter, limit + 1))
        .await?;
    let bodies = found.iter().map(DeliveryBody::from).collect();
    let page = Page::of(bodies, limit, |delivery: &DeliveryBody| delivery.id.clone());
    Ok(respond::resource(&request, None, &page))
}

/// Sends a webhook a test message, `webhook.ping`.
#[utoipa::path(
    tag = "webhooks",
    params(("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000")),
    responses((status = 202, body = DeliveryBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/webhooks/{id}/test")]
pub(crate) async fn test(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let id = id_in_path(&request, "webhook")?;
    app.blocking(move |services| {
        services.test_webhook(&order.ctx, &id, &|ordered| {
            respond::receipt(StatusCode::ACCEPTED, None, &DeliveryBody::from(ordered))
        })
    })
    .await
    .map(answer)
}

/// Sends a message again, whatever became of it, under the same name.
#[utoipa::path(
    tag = "webhooks",
    params(
        ("id" = String, Path, example = "0199c0de-0000-7000-8000-000000000000"),
        ("delivery" = String, Path, example = "0199c0de-0000-7000-8000-000000000001")
    ),
    responses((status = 202, body = DeliveryBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/webhooks/{id}/deliveries/{delivery}/redeliver")]
pub(crate) async fn redeliver(
    app: Data<Arc<App>>,
    order: Order<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    without_tag(&order.ctx)?;
    let id = id_in_path(&request, "webhook")?;
    let delivery: uuid::Uuid = in_path(&request, "delivery", "delivery")?;
    app.blocking(move |services| {
        let delivery = delivery.to_string();
        services.redeliver(&order.ctx, (&id, &delivery), &|ordered| {
            respond::receipt(StatusCode::ACCEPTED, None, &DeliveryBody::from(ordered))
        })
    })
    .await
    .map(answer)
}

fn read_state(name: &str) -> Result<DeliveryState, Problem> {
    let mut states = DeliveryState::ALL.into_iter();
    states
        .find(|state| state.name() == name)
        .ok_or_else(|| Problem::malformed("`state` is pending, delivered, failed or given_up"))
}
