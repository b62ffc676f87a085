//! What SDKs report.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use switchover::{Batch, MAX_BATCH_BYTES};

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{JSON, SdkCaller, read_body};
use crate::telemetry::{NotTaken, Outcome};

/// A batch of what an instance counted. It is counted once, however often it is sent, and durable
/// when it is answered.
#[utoipa::path(
    tag = "sdk",
    request_body(
        content = serde_json::Value,
        description = "A batch, numbered by its instance. Readers ignore fields that they do not know",
        content_type = "application/json",
        example = json!({
            "sequence": 7,
            "instance": {
                "id": "7f3c0c6e", "name": "web-3:4711", "application": "web", "version": "1.4.0",
                "sdk": "rust/0.1.0", "snapshot": "k3v9.41", "source": "live", "uptime_ms": 60000,
                "cpu_ms": 1200, "memory_bytes": 73400320
            },
            "age_ms": 0,
            "interval_ms": 5000,
            "routes": [{ "route": "count_commits" }],
            "counts": [{
                "route": "count_commits", "path": "new", "role": "authoritative", "revision": 40,
                "calls": 2, "errors": 1, "latency": [[620, 2]]
            }]
        })
    ),
    responses(
        (status = 204, description = "It is counted, now or before"),
        (status = 400, description = "It is no batch; nothing is counted"),
        (status = 413, description = "It is larger than 256 KiB"),
        (status = 503, description = "Not now; nothing is counted: send it again after `Retry-After`")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/telemetry")]
pub(crate) async fn take(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload.into_inner(), JSON, MAX_BATCH_BYTES).await?;
    let batch =
        Batch::from_json(&body).map_err(|invalid| Problem::malformed(invalid.to_string()))?;
    let arrived = app
        .services
        .arrived(caller.environment, batch)
        .ok_or_else(|| {
            Problem::unavailable("the environment is not published yet: try again", 1)
        })?;
    match app.ingest.hand_in(arrived, body.len()).await {
        Ok(Outcome::Counted | Outcome::Duplicate) => Ok(HttpResponse::NoContent().finish()),
        Ok(Outcome::TooManyInstances) => Err(Problem::unavailable(
            "as many instances as are kept report in this environment: nothing of it is counted",
            60,
        )),
        Err(NotTaken::Overloaded) => Err(Problem::overloaded()),
        Err(NotTaken::NoStore) => Err(Problem::unavailable(
            "reports cannot be kept right now; nothing of it is counted",
            1,
        )),
    }
}
