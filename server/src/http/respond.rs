//! Answers: a change's receipt, a resource with its tag, a page of a list.

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::approval::hex;
use crate::http::error::Problem;
use crate::service::Answer;
use crate::store::Receipt;

/// The receipt of a change: what its answer shows.
pub(crate) fn receipt(status: StatusCode, etag: Option<String>, body: &impl Serialize) -> Receipt {
    Receipt {
        status: status.as_u16(),
        etag,
        // Wire types are structs of plain values, which always serialise.
        body: serde_json::to_string(body).unwrap_or_default(),
    }
}

/// The receipt of a change that leaves nothing to show.
pub(crate) fn empty_receipt() -> Receipt {
    Receipt {
        status: StatusCode::NO_CONTENT.as_u16(),
        etag: None,
        body: String::new(),
    }
}

/// The answer to a change.
pub(crate) fn answer(answer: Answer) -> HttpResponse {
    let receipt = answer.receipt;
    let status = StatusCode::from_u16(receipt.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(etag) = &receipt.etag {
        response.insert_header((ETAG, etag.as_str()));
    }
    if answer.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    if receipt.body.is_empty() {
        response.finish()
    } else {
        response.content_type("application/json").body(receipt.body)
    }
}

/// A resource with its tag; 304 when the reader has it already.
pub(crate) fn resource(
    request: &HttpRequest,
    etag: Option<String>,
    body: &impl Serialize,
) -> HttpResponse {
    let body = serde_json::to_string(body).unwrap_or_default();
    let etag = etag.unwrap_or_else(|| {
        let hash = hex(&Sha256::digest(&body));
        format!("\"{}\"", hash.chars().take(32).collect::<String>())
    });
    if has(request, &etag) {
        return HttpResponse::NotModified()
            .insert_header((ETAG, etag))
            .finish();
    }
    HttpResponse::Ok()
        .insert_header((ETAG, etag))
        .content_type("application/json")
        .body(body)
}

/// A resource with its tag, of which more changes than the tag says.
pub(crate) fn always(etag: &str, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, etag))
        .content_type("application/json")
        .body(serde_json::to_string(body).unwrap_or_default())
}

/// Whether the reader has the state with this tag. Proxies may have weakened it.
pub(crate) fn has(request: &HttpRequest, etag: &str) -> bool {
    let Some(value) = request.headers().get(IF_NONE_MATCH) else {
        return false;
    };
    value.to_str().is_ok_and(|value| {
        value
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*")
    })
}

/// A page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// This page's items.
    pub(crate) items: Vec<T>,
    /// Pass it as `cursor` for the next page; null on the last one.
    #[schema(example = "Y291bnRfY29tbWl0cw")]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of what was found with one item more than asked for.
    pub(crate) fn of(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|last| URL_SAFE_NO_PAD.encode(cursor(last)));
        Page { items, next_cursor }
    }
}

/// What a cursor stands for.
pub(crate) fn read_cursor(cursor: Option<&String>) -> Result<Option<String>, Problem> {
    cursor
        .map(|cursor| {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.filter(|text| text.bytes().all(|b| b.is_ascii_graphic()))
                .ok_or_else(|| {
                    Problem::malformed("`cursor` is not one that this list gave: leave it out")
                })
        })
        .transpose()
}

/// The place in the record that a cursor stands for.
pub(crate) fn read_place(cursor: Option<&String>) -> Result<Option<u64>, Problem> {
    read_cursor(cursor)?
        .map(|cursor| {
            cursor.parse().map_err(|_| {
                Problem::malformed("`cursor` is not one that this list gave: leave it out")
            })
        })
        .transpose()
}

/// How many items a page has: 1 to 1,000, 50 when nothing is said.
pub(crate) fn read_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(50) {
        limit @ 1..=1_000 => Ok(limit),
        _ => Err(Problem::malformed("`limit` is 1 to 1000")),
    }
}
