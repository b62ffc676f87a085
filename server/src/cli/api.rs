//! A user of the REST interface.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, AsSendBody, Body, BodyReader};

use crate::cli::error::CliError;
use crate::cli::problem::Problem;
use crate::config::Config;

/// The most that a page of a list may have.
const LARGEST_PAGE: usize = 1_000;
/// An answer beyond this is none of ours, in bytes.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;
/// An import of ten thousand routes takes seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// A server, as somebody.
pub(crate) struct Api {
    agent: Agent,
    url: String,
    token: String,
}

/// What the server answered.
pub(crate) struct Reply {
    text: String,
    url: String,
    etag: Option<String>,
}

/// A change, and under which conditions it is to be made.
pub(crate) struct Change {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// None for a deletion.
    pub(crate) body: Option<String>,
    /// The tag of what was seen: 412 when it is another by now.
    pub(crate) if_match: Option<String>,
    /// The name by which the server knows a change that it has made already.
    pub(crate) idempotency_key: Option<String>,
}

impl Api {
    pub(crate) fn new(url: &str, token: &str, roots: RootCerts) -> Api {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A token goes where it was sent, and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_connect(Some(Duration::from_secs(3)))
            .timeout_recv_response(Some(DEADLINE));
        // A proxy for the way out does not lead back to this machine.
        let config = if is_on_this_machine(url) {
            config.proxy(None)
        } else {
            config
        };
        Api {
            agent: config.build().into(),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Reply, CliError> {
        self.send(Method::GET, &with_query(path, query), None)
    }

    pub(crate) fn post(&self, path: &str, body: String) -> Result<Reply, CliError> {
        self.send(Method::POST, path, Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: String) -> Result<Reply, CliError> {
        self.send(Method::PUT, path, Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: String) -> Result<Reply, CliError> {
        self.send(Method::PATCH, path, Some(body))
    }

    /// Puts Markdown as it is.
    pub(crate) fn put_markdown(
        &self,
        path: &str,
        query: &[(&str, String)],
        text: String,
    ) -> Result<Reply, CliError> {
        let path = with_query(path, query);
        self.send_as(Method::PUT, &path, Some(("text/markdown", text)))
    }

    pub(crate) fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Reply, CliError> {
        self.send(Method::DELETE, &with_query(path, query), None)
    }

    /// Sends a change with its conditions.
    pub(crate) fn change(&self, change: &Change) -> Result<Reply, CliError> {
        let headers = [
            ("If-Match", &change.if_match),
            ("Idempotency-Key", &change.idempotency_key),
        ];
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        let body = change.body.clone().map(|body| ("application/json", body));
        let (method, path) = (change.method.clone(), &change.path);
        let mut response = self.answered(method, path, &headers, body, Some(DEADLINE))?;
        self.read(&mut response)
    }

    /// All of a list, or its first `limit` items, as one page.
    pub(crate) fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Reply, CliError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let missing = limit.map_or(LARGEST_PAGE, |limit| limit.saturating_sub(items.len()));
            let mut query = query.to_vec();
            query.push(("limit", missing.min(LARGEST_PAGE).to_string()));
            if let Some(cursor) = cursor {
                query.push(("cursor", cursor));
            }
            let page: RawPage = self.get(path, &query)?.read()?;
            items.extend(page.items);
            cursor = page.next_cursor;
            let enough = limit.is_some_and(|limit| items.len() >= limit);
            if cursor.is_none() || enough {
                break;
            }
        }
        let page = RawPage {
            items,
            next_cursor: cursor,
        };
        Ok(Reply {
            // JSON texts in a struct always serialise.
            text: serde_json::to_string(&page).unwrap_or_default(),
            url: self.url.clone(),
            etag: None,
        })
    }

    /// An answer that is read as it arrives, for as long as that takes.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<BodyReader<'static>, CliError> {
        let path = with_query(path, query);
        let response = self.answered(Method::GET, &path, &[], None, None)?;
        Ok(response.into_body().into_reader())
    }

    fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Reply, CliError> {
        self.send_as(method, path, body.map(|body| ("application/json", body)))
    }

    fn send_as(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Reply, CliError> {
        let mut response = self.answered(method, path, &[], body, Some(DEADLINE))?;
        self.read(&mut response)
    }

    fn read(&self, response: &mut Response<Body>) -> Result<Reply, CliError> {
        let etag = response.headers().get("ETag");
        let etag = etag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let text = read_text(response.body_mut()).map_err(|error| self.unreachable(&error))?;
        Ok(Reply {
            text,
            url: self.url.clone(),
            etag,
        })
    }

    /// A good answer, its body not read yet.
    fn answered(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, String)>,
        deadline: Option<Duration>,
    ) -> Result<Response<Body>, CliError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = match body {
            None => request.body(()).map(|request| self.run(request, deadline)),
            Some((kind, body)) => request
                .header("Content-Type", kind)
                .body(body)
                .map(|request| self.run(request, deadline)),
        };
        let mut response = answered
            .map_err(|error| {
                CliError::new(format!("{} or the token cannot be used: {error}", self.url))
            })?
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = read_text(response.body_mut()).map_err(|error| self.unreachable(&error))?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(mut problem) => {
                problem.raw = text;
                Err(CliError::Refused(Box::new(problem)))
            }
            Err(_) => Err(CliError::new(format!(
                "{} answered {status}: no Switchover server seems to be there",
                self.url
            ))),
        }
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        deadline: Option<Duration>,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(request);
        self.agent.run(request.timeout_global(deadline).build())
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        if is_of_certificate(error) {
            return CliError::new(format!(
                "{} may be another server: {why}\n  name the authority that signed its certificate \
                 with --ca-file or SWITCHOVER_CA_FILE",
                self.url
            ));
        }
        CliError::Unreachable {
            url: self.url.clone(),
            why,
        }
    }
}

impl Reply {
    /// The answer as it came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The tag of what it shows.
    pub(crate) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        serde_json::from_str(&self.text).map_err(|error| {
            CliError::new(format!(
                "the answer of {} is not what this version understands: {error}",
                self.url
            ))
        })
    }
}

/// A part of a path, or of a query, for an address.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Whether a server was reached, and not believed to be itself.
fn is_of_certificate(error: &ureq::Error) -> bool {
    let found = match error {
        ureq::Error::Rustls(found) => Some(found),
        // What is wrong in a handshake comes as what is wrong with the connection.
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    matches!(found, Some(rustls::Error::InvalidCertificate(_)))
}

/// By whose word a server is believed to be itself.
pub(crate) fn roots(config: &Config) -> Result<RootCerts, CliError> {
    let Some(file) = &config.ca_file else {
        return Ok(RootCerts::WebPki);
    };
    let place = file.display();
    let pem = fs::read(file).map_err(|error| {
        CliError::new(format!("cannot read the certificates in {place}: {error}"))
    })?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(CliError::new(format!(
            "{place} holds no certificate in PEM"
        )));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Whether an address names this machine.
pub(crate) fn is_on_this_machine(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

/// A list's page, its items untouched.
#[derive(Serialize, Deserialize)]
struct RawPage {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

fn read_text(body: &mut Body) -> Result<String, ureq::Error> {
    body.with_config().limit(LARGEST_ANSWER).read_to_string()
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_an_address() {
        assert_eq!(encode("count_commits"), "count_commits");
        assert_eq!(encode("../a?b=c&d e#ä"), "..%2Fa%3Fb%3Dc%26d%20e%23%C3%A4");
        let query = [("q", "a&b".to_owned()), ("stage", "opt_in".to_owned())];
        assert_eq!(
            with_query("/routes", &query),
            "/routes?q=a%26b&stage=opt_in"
        );
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in [
            "http://127.0.0.1:7070",
            "http://localhost:1/x",
            "http://[::1]:7070",
            "http://127.9.9.9",
        ] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://example.com/127.0.0.1",
            "http://example.com?@localhost",
            "http://10.0.0.1:7070",
        ] {
            assert!(!is_on_this_machine(url), "{url}");
        }
    }
}
