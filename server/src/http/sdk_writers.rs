//! What processes that write data routes report.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use switchover::{LONGEST_KEY, MAX_WRITER_BYTES, MOST_KEYS, WriterReport};

use crate::domain::text::misleads;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{JSON, SdkCaller, read_body};
use crate::service::{HeardWriter, NotHeard, TakenWriter};

/// The longest identity and name of a process, in bytes.
const LONGEST_NAME: usize = 100;
/// The most routes of one report.
const MOST_ROUTES: usize = 1_000;

/// A process says which data routes it writes, and how far it is. Durable when it is answered; what is
/// sent again changes nothing.
#[utoipa::path(
    tag = "sdk",
    request_body(
        content = serde_json::Value,
        description = "Which data routes a process writes. Readers ignore fields that they do not know",
        content_type = "application/json",
        example = json!({
            "instance": "7f3c0c6e",
            "name": "web-3:4711",
            "routes": [{ "route": "save_gear", "generation": 7, "drained": 7 }]
        })
    ),
    responses(
        (status = 200, description = "The environment's revision, and what the process is asked to do", content_type = "application/json", example = json!({ "revision": 41 })),
        (status = 400, description = "It is no report; nothing is kept"),
        (status = 413, description = "It is larger than 256 KiB"),
        (status = 503, description = "Not now; nothing is kept: send it again after `Retry-After`")
    ),
    security(("sdk_key" = []))
)]
#[post("/sdk/v1/writers")]
pub(crate) async fn take_writers(
    app: Data<Arc<App>>,
    caller: SdkCaller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload.into_inner(), JSON, MAX_WRITER_BYTES).await?;
    let report = read(&body)?;
    let heard = HeardWriter {
        environment: caller.environment,
        report,
    };
    match app.reception.hand_in(heard).await {
        Ok(TakenWriter::Taken(answer)) => Ok(HttpResponse::Ok()
            .content_type("application/json")
            // A struct of plain values always serialises.
            .body(serde_json::to_string(&answer).unwrap_or_default())),
        Ok(TakenWriter::TooMany) => Err(Problem::unavailable(
            "as many processes as are kept write this route: nothing of it is kept",
            60,
        )),
        Err(NotHeard) => Err(Problem::unavailable(
            "reports of writers cannot be kept right now; nothing of it is kept",
            1,
        )),
    }
}

fn read(body: &[u8]) -> Result<WriterReport, Problem> {
    let report: WriterReport = serde_json::from_slice(body)
        .map_err(|error| Problem::malformed(format!("it is no report: {error}")))?;
    check(&report).map_err(Problem::malformed)?;
    Ok(report)
}

fn check(report: &WriterReport) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let id = &report.instance;
    if id.is_empty() || id.len() > LONGEST_NAME || !id.bytes().all(legal) {
        return Err(format!(
            "instance: 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`"
        ));
    }
    let name = &report.name;
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(misleads) {
        return Err(format!(
            "name: 1 to {LONGEST_NAME} bytes without control characters"
        ));
    }
    if report.routes.len() > MOST_ROUTES {
        return Err(format!("routes: {MOST_ROUTES} at most"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for route in &report.routes {
        if !seen.insert(&route.route) {
            return Err(format!("routes: `{}` is there twice", route.route));
        }
        let is_id =
            |id: &String| !id.is_empty() && id.len() <= LONGEST_NAME && id.bytes().all(legal);
        if route.adopted.len() > MOST_KEYS || !route.adopted.iter().all(is_id) {
            return Err(format!("adopted: {MOST_KEYS} instances at most"));
        }
        let keys = route.repairs.iter().map(|repair| &repair.key);
        if keys
            .clone()
            .any(|key| key.is_empty() || key.len() > LONGEST_KEY)
        {
            return Err(format!("repairs: a key has 1 to {LONGEST_KEY} bytes"));
        }
        if keys.count() > MOST_KEYS {
            return Err(format!("repairs: {MOST_KEYS} of a route at most"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_refused() {
        let good = r#"{"instance":"a","name":"web","routes":[{"route":"save"}]}"#;
        assert!(read(good.as_bytes()).is_ok());
        for bad in [
            "",
            "[]",
            r#"{"instance":"","name":"web","routes":[]}"#,
            r#"{"instance":"a b","name":"web","routes":[]}"#,
            r#"{"instance":"a","name":"","routes":[]}"#,
            r#"{"instance":"a","name":"w\u0000b","routes":[]}"#,
            r#"{"instance":"a","name":"web","routes":[{"route":"Save"}]}"#,
            r#"{"instance":"a","name":"web","routes":[{"route":"save","generation":-1}]}"#,
            r#"{"instance":"a","name":"web","routes":[{"route":"save"},{"route":"save"}]}"#,
            r#"{"instance":"a","name":"web","routes":[{"route":"save","repairs":[
                {"key":"","written":"old","cause":"failed"}]}]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
