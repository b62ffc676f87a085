//! One log line a request, with an identity that the answer carries too.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tracing::Instrument as _;

use crate::http::front::address_of;
use crate::http::{App, Counted};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes the caller's `X-Request-Id`, or makes one; everything logged on the way carries it.
pub(crate) async fn requests(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let app = request.app_data::<Data<Arc<App>>>();
    let _counted = app.map(|app| Counted::one(&app.requests));
    let client = app
        .and_then(|app| address_of(request.request(), &app.front.proxies))
        .map(tracing::field::display);
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=64).contains(&id.len()))
        .map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let span = tracing::info_span!("request", %id, %method, %path, client);
    let mut response = next.call(request).instrument(span.clone()).await?;
    let _entered = span.entered();
    let status = response.status();
    let elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
    match response.response().error() {
        Some(error) => tracing::info!(status = status.as_u16(), elapsed_ms, %error, "refused"),
        None => tracing::info!(status = status.as_u16(), elapsed_ms, "answered"),
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}
