//! What Prometheus reads, and the counting of requests.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpResponse, get};

use crate::http::App;
use crate::http::error::Problem;
use crate::metrics::{CONTENT_TYPE, HereReading, Request};

/// Numbers for Prometheus, as OpenMetrics text. It takes no token, as monitors expect; it names routes
/// and guards, so a proxy should not hand it to the world.
#[utoipa::path(
    tag = "health",
    responses((
        status = 200,
        description = "OpenMetrics text",
        content_type = "application/openmetrics-text",
        body = String,
        example = "switchover_rollout_halted{route=\"count_commits\",environment=\"production\"} 0"
    ))
)]
#[get("/metrics")]
pub(crate) async fn metrics(app: Data<Arc<App>>) -> Result<HttpResponse, Problem> {
    let (streams, pages) = (
        app.streams.load(Ordering::Relaxed),
        app.pages.load(Ordering::Relaxed),
    );
    let here = HereReading {
        sdk_streams: streams.saturating_sub(pages),
        page_streams: pages,
        snapshot_age: app.contact.age().as_secs_f64(),
        has_database: app.contact.lost_for().is_none(),
    };
    let services = Arc::clone(&app.services);
    let text = actix_web::web::block(move || services.metrics().text(services.measured(here)));
    let text = text.await.map_err(|_| Problem::overloaded())?;
    let text = text.map_err(|_| Problem::unavailable("the metrics cannot be written", 1))?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

/// Counts every request by the template of its address.
pub(crate) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let app = request.app_data::<Data<Arc<App>>>().cloned();
    let method = method(request.method());
    let endpoint = endpoint(&request);
    let answered = next.call(request).await;
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if let Some(app) = app {
        let request = Request {
            method,
            endpoint,
            status: class(status),
        };
        app.services.metrics().answered(&request, began.elapsed());
    }
    answered
}

/// The template of the address. What is asked most often is known without a search.
fn endpoint(request: &ServiceRequest) -> Cow<'static, str> {
    const SINGLE: &str = "/ofrep/v1/evaluate/flags/";
    match request.path() {
        "/sdk/v1/snapshot" => Cow::Borrowed("/sdk/v1/snapshot"),
        "/sdk/v1/telemetry" => Cow::Borrowed("/sdk/v1/telemetry"),
        "/ofrep/v1/evaluate/flags" => Cow::Borrowed("/ofrep/v1/evaluate/flags"),
        path if path.starts_with(SINGLE) => Cow::Borrowed("/ofrep/v1/evaluate/flags/{key}"),
        _ => match request.match_pattern() {
            Some(template) => Cow::Owned(template),
            None => Cow::Borrowed("none"),
        },
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
