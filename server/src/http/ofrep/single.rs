//! One flag: what server-side clients ask for at each evaluation.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};

use super::refused::{ErrorCode, Refused};
use super::request::{Body, Evaluate, STALE, flags, published};
use crate::http::App;
use crate::publish::Evaluation;

/// Evaluates one flag: a route's key is a boolean (true: the new path), the key and `.path` the same
/// as `old` or `new`.
#[utoipa::path(
    operation_id = "ofrep_evaluate",
    tag = "openfeature",
    params(("key" = String, Path, description = "A route's key, or the key and `.path`", example = "count_commits")),
    request_body(content = Option<Body<'static>>, description = "Whom or what it is evaluated for", content_type = "application/json"),
    responses((status = 200, description = "The answer", body = Evaluation<'static>)),
    security(("sdk_key" = []), ("sdk_key_header" = []))
)]
#[post("/evaluate/flags/{key:.*}")]
pub(crate) async fn evaluate(
    app: Data<Arc<App>>,
    evaluate: Evaluate,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let refused = |problem| Refused::from(problem).of(&request);
    let state = published(&app, &evaluate.caller).map_err(refused)?;
    let flags = flags(&state).map_err(refused)?;
    let flag = request.match_info().query("key");
    let answer = flags.one(flag, evaluate.key.as_deref()).ok_or_else(|| {
        let shown: String = flag.chars().take(100).collect();
        let details = format!(
            "there is no flag `{shown}` in {}",
            evaluate.caller.environment
        );
        Refused::new(StatusCode::NOT_FOUND, ErrorCode::FlagNotFound, details).of(&request)
    })?;
    let mut response = HttpResponse::Ok();
    if let Some(away) = app.contact.lost_for() {
        response.insert_header((STALE, away.as_secs().to_string()));
    }
    Ok(response
        .content_type("application/json")
        .body(answer.into_owned()))
}
