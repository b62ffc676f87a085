//! What an evaluation takes: an SDK key, and a context of which the key to decide by is read.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::refused::Refused;
use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::http::extract::{LARGEST_BODY, app, receive};
use crate::http::streams::not_published;
use crate::publish::{Flags, Published};
use crate::service::KnownKey;

const API_KEY: &str = "x-api-key";

/// Marks what a node answers that is cut off from its database: for how many seconds.
pub(super) const STALE: &str = "Switchover-Stale";

/// Who asks, and which key to decide by.
pub(crate) struct Evaluate {
    pub(super) caller: KnownKey,
    pub(super) key: Option<String>,
}

/// What a client knows of whom or what it evaluates for.
#[derive(Deserialize, ToSchema)]
#[schema(as = EvaluationRequest)]
pub(super) struct Body<'a> {
    /// `targetingKey` (text, or a whole number) is the key that ramps and cohorts decide by. Without
    /// one, ramps leave the old path in place. Anything else is read by nobody.
    #[serde(borrow, default)]
    #[schema(value_type = Object, required = false, example = json!({"targetingKey": "user-42"}))]
    context: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default, rename = "targetingKey")]
    targeting_key: Option<&'a RawValue>,
}

impl FromRequest for Evaluate {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Evaluate, Refused>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let evaluate = async {
                let caller = caller(app(&request)?, request.headers())?;
                let body = receive(payload, LARGEST_BODY).await?;
                Ok(Evaluate {
                    caller,
                    key: key_of(&body, request.headers())?,
                })
            };
            evaluate
                .await
                .map_err(|refused: Refused| refused.of(&request))
        })
    }
}

fn caller(app: &App, headers: &HeaderMap) -> Result<KnownKey, Refused> {
    let key = sdk_key(headers).ok_or_else(|| {
        Refused::unauthenticated(
            "send your SDK key in the header `Authorization: Bearer …` or `X-API-Key: …`",
        )
    })?;
    app.services.access().known(key).ok_or_else(|| {
        Refused::unauthenticated(
            "the SDK key is unknown or revoked: make one with `switchover sdk-key create`",
        )
    })
}

/// The header that is for nothing else comes first: the other one may be a proxy's.
fn sdk_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(API_KEY) {
        return key.to_str().ok().map(str::trim);
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The key that a body asks to decide by. Clients without a context send no body, nothing, `{}`, or an
/// empty context; none of these has a key.
fn key_of(body: &[u8], headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let body = body.trim_ascii();
    if body.is_empty() || body == b"null" {
        return Ok(None);
    }
    if !is_json(headers) {
        return Err(Refused::parse_error(
            "send the body as JSON, with the header `Content-Type: application/json`",
        ));
    }
    // A list of the right length would pass for an object.
    if !body.starts_with(b"{") {
        return Err(Refused::parse_error("the body is no JSON object"));
    }
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| Refused::parse_error(format!("the body cannot be read: {error}")))?;
    let Some(context) = body.context.map(RawValue::get) else {
        return Ok(None);
    };
    if !context.starts_with('{') {
        return Err(Refused::invalid_context("`context` is an object"));
    }
    let context: Context<'_> = serde_json::from_str(context)
        .map_err(|error| Refused::invalid_context(format!("`context` cannot be read: {error}")))?;
    let Some(key) = context.targeting_key.map(RawValue::get) else {
        return Ok(None);
    };
    let key = text(key)
        .ok_or_else(|| Refused::invalid_context("`targetingKey` is text or a whole number"))?;
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Text, or a whole number's decimal text, as the SDK takes numbers.
fn text(json: &str) -> Option<String> {
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    let digits = json.strip_prefix('-').unwrap_or(json);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match json {
        "-0" => Some("0".to_owned()),
        number if is_whole => Some(number.to_owned()),
        _ => None,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// What is published where the caller reads.
pub(super) fn published(app: &App, caller: &KnownKey) -> Result<Arc<Published>, Problem> {
    let hub = app.services.hub();
    hub.current(&caller.environment).ok_or_else(not_published)
}

/// The flags of a state.
pub(super) fn flags(published: &Published) -> Result<Arc<Flags>, Problem> {
    published.flags().map_err(|error| {
        tracing::error!(%error, version = %published.version(), "no flag can be evaluated");
        Problem::new(
            Code::Internal,
            "the requirements on record cannot be decided; the server's log says more",
        )
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(body: &str) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
        key_of(body.as_bytes(), &headers).map_err(|refused| refused.to_string())
    }

    #[test]
    fn the_key_is_text_or_a_whole_number() {
        for (context, key) in [
            (r#"{}"#, None),
            (r#"{"targetingKey":null}"#, None),
            (r#"{"targetingKey":""}"#, None),
            (r#"{"targetingKey":"a"}"#, Some("a")),
            (
                r#" { "x" : [{}] , "targetingKey" : " é\n" } "#,
                Some(" é\n"),
            ),
            (
                r#"{"targetingKey":"\ud83d\ude00\u0000"}"#,
                Some("\u{1F600}\0"),
            ),
            (r#"{"targetingKey":42}"#, Some("42")),
            (r#"{"targetingKey":-42}"#, Some("-42")),
            (r#"{"targetingKey":-0}"#, Some("0")),
            (
                r#"{"targetingKey":340282366920938463463374607431768211456}"#,
                Some("340282366920938463463374607431768211456"),
            ),
        ] {
            let body = format!(r#"{{"more":1,"context":{context}}}"#);
            assert_eq!(read(&body), Ok(key.map(str::to_owned)), "{body}");
        }
        for none in ["", " \n", "null", "{}", r#"{"context":null}"#] {
            assert_eq!(read(none), Ok(None));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in ["1.0", "1e3", "true", "[]", "{}", r#"["a"]"#, r#""\ud800""#] {
            let body = format!(r#"{{"context":{{"targetingKey":{wrong}}}}}"#);
            assert!(read(&body).unwrap_err().contains("targetingKey"), "{body}");
        }
        for context in ["1", "[]", r#""a""#, r#"[{"targetingKey":"a"}]"#] {
            let body = format!(r#"{{"context":{context}}}"#);
            assert!(read(&body).unwrap_err().contains("context"), "{body}");
        }
        for body in ["1", "[]", "[{}]", "{", r#"{"context":}"#, "{}x", "{'a':1}"] {
            assert!(read(body).unwrap_err().contains("the body"), "{body}");
        }
        let plain = key_of(b"{}", &HeaderMap::new()).unwrap_err();
        assert!(plain.to_string().contains("Content-Type"));
    }
}
