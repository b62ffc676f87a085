//! Which pages of other sites may evaluate flags from a browser: those that the operator names.

use std::str::FromStr;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};

use crate::http::App;

/// What a browser is told that asks before it calls; it need not ask again for ten minutes.
const PREFLIGHT: [(HeaderName, &str); 3] = [
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-API-Key",
    ),
    (ACCESS_CONTROL_MAX_AGE, "600"),
];
const ANY: &str = "*";

/// The pages of other sites that may evaluate flags. None, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsOrigins(Arc<[HeaderValue]>);

/// Origins `scheme://host[:port]`, separated by commas, or `*` for any.
impl FromStr for CorsOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<CorsOrigins, String> {
        let origins = text.split(',').map(str::trim);
        let origins = origins.filter(|origin| !origin.is_empty());
        let parsed: Result<Vec<HeaderValue>, String> = origins.map(parse).collect();
        parsed.map(|origins| CorsOrigins(origins.into()))
    }
}

impl CorsOrigins {
    /// What a page of this origin is told in the header that lets it read answers.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let mut origins = self.0.iter();
        let found = origins.find(|known| *known == ANY || *known == origin)?;
        Some(found.clone())
    }

    /// Whether pages of different origins are told different things: then a cache must keep the answers
    /// apart, also those to pages that may not and to clients that are no pages.
    fn differ(&self) -> bool {
        self.0.iter().any(|known| *known != ANY)
    }
}

fn parse(origin: &str) -> Result<HeaderValue, String> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let is_host = |host: &str| {
        let mut bytes = host.bytes();
        !host.is_empty()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    };
    let is_origin = origin == ANY || host.is_some_and(is_host);
    // Browsers send it in lower case.
    let value = HeaderValue::from_str(&origin.to_ascii_lowercase()).ok();
    value.filter(|_| is_origin).ok_or_else(|| {
        format!("`{origin}` is no origin of pages: write https://HOST, https://HOST:PORT, or *")
    })
}

/// Answers what browsers ask before a page may call, and lets pages that may read the answer.
pub(crate) async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let origin = request.headers().get(ORIGIN);
    let app = request.app_data::<Data<Arc<App>>>();
    let origins = app.map(|app| &app.front.cors_origins);
    let varies = origins.is_some_and(CorsOrigins::differ);
    let allowed = origins
        .zip(origin)
        .and_then(|(origins, origin)| origins.allowed(origin));
    let Some(allowed) = allowed else {
        let mut response = next.call(request).await?;
        vary(response.headers_mut(), varies);
        return Ok(response.map_into_left_body());
    };
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if is_preflight {
        let mut response = HttpResponse::NoContent().finish();
        let headers = response.headers_mut();
        vary(headers, varies);
        allow(headers, allowed);
        for (name, value) in PREFLIGHT {
            headers.insert(name, HeaderValue::from_static(value));
        }
        return Ok(request.into_response(response).map_into_right_body());
    }
    let mut response = next.call(request).await?;
    vary(response.headers_mut(), varies);
    allow(response.headers_mut(), allowed);
    Ok(response.map_into_left_body())
}

fn vary(headers: &mut HeaderMap, varies: bool) {
    if varies {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let shown = HeaderValue::from_static("ETag, Retry-After, Switchover-Stale");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let of = |origin: &'static str| HeaderValue::from_static(origin);
        let some: CorsOrigins = "https://App.example.com, http://[::1]:3000 ,"
            .parse()
            .unwrap();
        let app = of("https://app.example.com");
        assert_eq!(some.allowed(&app), Some(app));
        assert!(some.allowed(&of("http://[::1]:3000")).is_some());
        for other in [
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "https://app.example.com:8443",
            "null",
            "*",
        ] {
            assert_eq!(some.allowed(&of(other)), None, "{other}");
        }
        assert_eq!(CorsOrigins::default().allowed(&of("https://a")), None);
        let any: CorsOrigins = "*".parse().unwrap();
        assert_eq!(any.allowed(&of("https://a")), Some(of(ANY)));
        for wrong in [
            "app.example.com",
            "https://",
            "https://a/b",
            "https://a/",
            "https://*.example.com",
            "https://a b",
            "null",
            "ftp://a",
        ] {
            assert!(wrong.parse::<CorsOrigins>().is_err(), "{wrong}");
        }
    }
}
