//! What processes that move data report: backfills and consistency runs.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::de::DeserializeOwned;
use switchover::{BackfillProgress, BackfillStart, ConsistencyResult, MAX_WRITER_BYTES};

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{JSON, SdkCaller, id_in_path, read_body};

/// A process begins a backfill, or goes on with the one that was begun. One process runs it at a time;
/// another can go on 30 seconds after that one was last heard of.
#[utoipa::path(
    tag = "sdk",
    request_body(
        content = serde_json::Value,
        description = "Which route, in which batches",
        content_type = "application/json",
        example = json!({ "instance": "7f3c0c6e", "route": "save_item", "batch": 1000, "total": 10000 })
    ),
    responses(
        (status = 200, description = "How it stands: `running`, `paused` or `complete`, and the last key that is done",
            content_type = "application/json"),
        (status = 400, description = "It cannot be read"),
        (status = 404, description = "There is no such route here"),
        (status = 409, description = "Another process runs it, or not every write is copied"),
        (status = 422, description = "It says what cannot be")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/backfills")]
pub(crate) async fn start(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let start: BackfillStart = read(&request, payload).await?;
    check_instance(&start.instance)?;
    let order = app
        .blocking(move |services| services.start_backfill(&caller.environment, &start))
        .await?;
    Ok(HttpResponse::Ok().json(order))
}

/// A batch is done. It counts once, by its cursor, however often it is sent, and is durable when it is
/// answered. Without a cursor it asks how the backfill stands.
#[utoipa::path(
    tag = "sdk",
    params(("id" = String, Path, example = "0199b1c2-0000-7000-8000-000000000000")),
    request_body(
        content = serde_json::Value,
        description = "What the batch was",
        content_type = "application/json",
        example = json!({ "instance": "7f3c0c6e", "cursor": "item-1000", "keys": 1000, "copied": 998, "failed": ["item-17"] })
    ),
    responses(
        (status = 200, description = "How it stands: also `reset` where it is void, and `taken_over`",
            content_type = "application/json"),
        (status = 400, description = "It cannot be read"),
        (status = 422, description = "It says what cannot be; nothing of it is counted")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/backfills/{id}")]
pub(crate) async fn advance(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let id = id_in_path(&request, "backfill")?;
    let progress: BackfillProgress = read(&request, payload).await?;
    check_instance(&progress.instance)?;
    let order = app
        .blocking(move |services| services.take_backfill(&caller.environment, &id, &progress))
        .await?;
    Ok(HttpResponse::Ok().json(order))
}

/// What a consistency run found. It is taken once, however often it is sent.
#[utoipa::path(
    tag = "sdk",
    request_body(
        content = serde_json::Value,
        description = "What was compared",
        content_type = "application/json",
        example = json!({
            "instance": "7f3c0c6e", "route": "save_item", "kind": "sample", "generation": 3,
            "duration_ms": 210, "compared": 100, "differing": 0
        })
    ),
    responses(
        (status = 204, description = "It is on record, now or before"),
        (status = 400, description = "It cannot be read"),
        (status = 404, description = "There is no such route here"),
        (status = 409, description = "The route has no two stores"),
        (status = 422, description = "It says what cannot be")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/consistency")]
pub(crate) async fn compared(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let result: ConsistencyResult = read(&request, payload).await?;
    check_instance(&result.instance)?;
    app.blocking(move |services| services.take_consistency(&caller.environment, &result))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn read<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Problem> {
    let body = read_body(request, payload.into_inner(), JSON, MAX_WRITER_BYTES).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("the body cannot be read: {error}")))
}

/// A process is known by the id of its telemetry.
fn check_instance(instance: &str) -> Result<(), Problem> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=100).contains(&instance.len()) && instance.bytes().all(legal) {
        Ok(())
    } else {
        Err(Problem::malformed(
            "`instance` is 1 to 100 letters, digits, `-`, `_` or `.`",
        ))
    }
}
