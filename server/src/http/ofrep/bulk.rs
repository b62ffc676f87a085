//! All flags: what clients in browsers and phones keep, and ask for again when something changes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use actix_web::middleware::Compress;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Deserialize;
use switchover::Version;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_128;

use super::refused::Refused;
use super::request::{Body, Evaluate, STALE, flags, published};
use super::streams::{IDLE_SECONDS, address};
use crate::http::App;
use crate::publish::{Evaluation, Published};
use crate::service::KnownKey;

/// How long an answer waits for a state that its reader has heard of and this node has not. Nodes
/// look at the database every second.
const CATCH_UP: Duration = Duration::from_secs(2);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the parameters: a query is never refused"
)]
struct Heard {
    /// The `etag` of the event that had the client ask. A node that is not as far yet waits for two
    /// seconds at most.
    #[serde(rename = "flagConfigEtag")]
    #[param(example = "5f0c2b7a.17")]
    flag_config_etag: Option<String>,
    /// The `lastModified` of that event: taken, and not needed.
    #[serde(rename = "flagConfigLastModified")]
    #[param(example = "1767607200")]
    flag_config_last_modified: Option<String>,
}

/// Every flag, and where to hear of changes.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes the answer, which is put together from ready parts"
)]
struct BulkEvaluation<'a> {
    flags: Vec<Evaluation<'a>>,
    metadata: BulkMetadata,
    event_streams: Vec<EventStream>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a part of the answer")]
struct BulkMetadata {
    /// Where it was decided.
    #[schema(example = "production")]
    environment: String,
    #[schema(example = "production")]
    flag_set_id: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a part of the answer")]
struct EventStream {
    #[schema(example = "sse")]
    r#type: String,
    endpoint: Endpoint,
    /// After how many seconds in the background a client hangs up.
    #[schema(example = 120)]
    inactivity_delay_sec: u32,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a part of the answer")]
struct Endpoint {
    /// The stream's path and query, on the server that was asked. It holds a ticket: do not log it.
    request_uri: String,
}

/// Evaluates every flag. The tag covers the whole answer, and so the context; it also changes every six
/// hours, with the ticket in the stream's address.
#[utoipa::path(
    operation_id = "ofrep_evaluate_all",
    tag = "openfeature",
    params(Heard, ("If-None-Match" = Option<String>, Header, description = "The tag of the answer that the client has")),
    request_body(content = Option<Body<'static>>, description = "Whom or what it is evaluated for", content_type = "application/json"),
    responses(
        (status = 200, description = "Every flag", body = BulkEvaluation<'static>, headers(("ETag" = String, description = "The answer's tag"))),
        (status = 304, description = "You have it")
    ),
    security(("sdk_key" = []), ("sdk_key_header" = []))
)]
#[post("/evaluate/flags", wrap = "Compress::default()")]
pub(crate) async fn evaluate_all(
    app: Data<Arc<App>>,
    evaluate: Evaluate,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let Evaluate { caller, key } = evaluate;
    let mut state = published(&app, &caller)?;
    if let Some(heard) = heard_of(request.query_string(), &state) {
        state = catch_up(&app, &caller, heard).await.unwrap_or(state);
    }
    let body = written(&app, &caller, &state, key.as_deref())?;
    let tag = format!("{:032x}", xxh3_128(body.as_bytes()));
    let is_known = knows(request.headers(), &tag);
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((ETAG, format!("\"{tag}\"")));
    if let Some(away) = app.contact.lost_for() {
        response.insert_header((STALE, away.as_secs().to_string()));
    }
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.content_type("application/json").body(body))
}

/// The whole answer. A client that is told 304 keeps the stream's address that it has, so the ticket in
/// it is a part of what the tag is over: a client with a ticket that is no longer good would never be
/// given another.
fn written(
    app: &App,
    caller: &KnownKey,
    state: &Published,
    key: Option<&str>,
) -> Result<String, Refused> {
    let mut body = String::from("{\"flags\":[");
    flags(state)?.all(key, &mut body);
    let environment = &caller.environment;
    // Names of environments and addresses have nothing in them that JSON escapes, and writing to a
    // String cannot fail.
    let _ = write!(
        body,
        "],\"metadata\":{{\"environment\":\"{environment}\",\"flagSetId\":\"{environment}\"}},\
         \"eventStreams\":[{{\"type\":\"sse\",\"endpoint\":{{\"requestUri\":\"{}\"}},\
         \"inactivityDelaySec\":{IDLE_SECONDS}}}]}}",
        address(app, caller)
    );
    Ok(body)
}

/// Whether the client has the answer with this tag, however it or a proxy has written the tag.
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH);
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/").trim_matches('"'));
    tags.any(|known| known == tag || known == "*")
}

/// The version that the client has heard of, where this node is not as far.
fn heard_of(query: &str, state: &Published) -> Option<Version> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, etag) = pairs.find(|(name, _)| name == "flagConfigEtag")?;
    let heard: Version = etag.trim_matches('"').parse().ok()?;
    let at = state.version();
    (heard.epoch == at.epoch && heard.revision > at.revision).then_some(heard)
}

/// The state at this version or a later one; nothing when it does not come in time.
async fn catch_up(app: &App, caller: &KnownKey, heard: Version) -> Option<Arc<Published>> {
    let mut states = app.services.hub().follow(&caller.environment)?;
    let there = states.wait_for(|state| {
        let state = state.as_deref().map(Published::version);
        state.is_some_and(|at| at.epoch != heard.epoch || at.revision >= heard.revision)
    });
    let state = timeout(CATCH_UP, there).await.ok()?.ok()?;
    state.clone()
}
