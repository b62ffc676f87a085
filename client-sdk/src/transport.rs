//! The requests that the client makes, and what can go wrong with them.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::SystemTime;

use ureq::http::{HeaderValue, Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder, Timeout};

use crate::backoff::{self, Attempt};
use crate::builder::StartError;
use crate::pace::Pace;
use crate::snapshot::{MAX_SNAPSHOT_BYTES, SnapshotError, Version};
use crate::versions::Refusal;
use crate::writers::MAX_WRITER_BYTES;

/// The most that is read of what the server answers to a report, in bytes.
const MOST_SAID: u64 = 4 * 1024;

/// Where the server is, and how to be let in.
#[derive(Clone)]
pub(crate) struct Server {
    url: String,
    authorization: HeaderValue,
    roots: Option<Vec<Certificate<'static>>>,
}

impl fmt::Debug for Server {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(url: &str, key: &str, ca_pem: Option<&[u8]>) -> Result<Server, StartError> {
        check_url(url).map_err(StartError::InvalidUrl)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .ok()
            .filter(|_| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(StartError::InvalidKey)?;
        authorization.set_sensitive(true);
        let url = url.trim_end_matches('/').to_owned();
        Ok(Server {
            url,
            authorization,
            roots: ca_pem.map(certificates).transpose()?,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// What is wrong with a server's URL, if anything, without repeating any of it: a user's password or
/// the key may be where none should be.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Err("is empty");
    }
    let is_http = |scheme: &str| ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    if !url
        .split_once("://")
        .is_some_and(|(scheme, _)| is_http(scheme))
    {
        return Err("does not begin with http:// or https://");
    }
    // Parsing drops a fragment, and what is appended to the text would become part of it.
    if url.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    let parsed: Uri = url.parse().map_err(|_| "has no host or cannot be read")?;
    match parsed.authority() {
        None => Err("has no host or cannot be read"),
        Some(authority) if authority.as_str().contains('@') => Err("has a user or a password"),
        Some(_) => Ok(()),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, StartError> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(StartError::InvalidCertificate),
        }
    }
    if certificates.is_empty() {
        return Err(StartError::InvalidCertificate);
    }
    Ok(certificates)
}

/// Why an attempt ended.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) attempt: Attempt,
    pub(crate) retry_after: Option<std::time::Duration>,
    /// The stream was opened, or held back, and said nothing in its time.
    pub(crate) is_silent: bool,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure {
            attempt: Attempt::Failed,
            retry_after: None,
            is_silent: false,
            message: message.into(),
        }
    }

    pub(crate) fn silent(message: impl Into<String>) -> Failure {
        Failure {
            is_silent: true,
            ..Failure::failed(message)
        }
    }

    fn from_request(error: &ureq::Error) -> Failure {
        let attempt = match error {
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => Attempt::Refused,
            // What rustls finds wrong during the handshake comes as invalid data.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Attempt::Refused
            }
            _ => Attempt::Failed,
        };
        Failure {
            attempt,
            ..Failure::failed(error.to_string())
        }
    }

    fn from_status(response: &Response<Body>) -> Failure {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        Failure {
            attempt: match status {
                401 | 403 | 404 => Attempt::Refused,
                _ => Attempt::Failed,
            },
            retry_after: retry_after
                .and_then(|value| value.to_str().ok())
                .and_then(|value| backoff::retry_after(value, SystemTime::now())),
            ..Failure::failed(format!("the server answers {status}"))
        }
    }
}

/// Why what was sent was not taken.
#[derive(Debug)]
pub(crate) enum ReportFailure {
    /// It never will be: the server says what is wrong with it.
    Refused(String),
    /// It may be yet.
    Later(Failure),
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        Failure::failed(format!(
            "the server sent a snapshot that is refused: {error}"
        ))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::failed(refusal.to_string())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Transport {
    agent: Agent,
    server: Server,
    pace: Pace,
}

impl Transport {
    pub(crate) fn new(server: Server, pace: Pace) -> Transport {
        let roots = match &server.roots {
            Some(certificates) => RootCerts::new_with_certs(certificates),
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect could take the key elsewhere.
            .max_redirects(0)
            .user_agent(concat!("switchover-rust/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(pace.connect))
            .timeout_connect(Some(pace.connect))
            .timeout_send_request(Some(pace.answer))
            .timeout_recv_response(Some(pace.answer))
            .timeout_per_read(Some(pace.read));
        // A proxy for the way out does not lead back to this machine.
        let config = if is_on_this_machine(server.url()) {
            config.proxy(None)
        } else {
            config
        };
        Transport {
            agent: config.build().new_agent(),
            server,
            pace,
        }
    }

    /// What ends a request that waits for the server.
    pub(crate) fn agent(&self) -> Agent {
        self.agent.clone()
    }

    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }

    /// Opens the stream of changes after a version, or from a full snapshot on.
    pub(crate) fn stream(&self, after: Option<&Version>) -> Result<impl Read + use<>, Failure> {
        let mut request = self
            .get("/sdk/v1/stream")
            .header(header::ACCEPT, "text/event-stream");
        if let Some(version) = after {
            request = request.header("Last-Event-ID", version.to_string());
        }
        let response = request.call().map_err(|error| Failure {
            // Whatever holds the answer back may hold its head back too.
            is_silent: matches!(error, ureq::Error::Timeout(Timeout::RecvResponse)),
            ..Failure::from_request(&error)
        })?;
        match response.status().as_u16() {
            200 => Ok(response.into_body().into_reader()),
            _ => Err(Failure::from_status(&response)),
        }
    }

    /// The full snapshot; `None` where it is the version at hand.
    pub(crate) fn snapshot(&self, at_hand: Option<&Version>) -> Result<Option<String>, Failure> {
        let mut request = self
            .get("/sdk/v1/snapshot")
            .header(header::ACCEPT, "application/json");
        if let Some(version) = at_hand {
            request = request.header(header::IF_NONE_MATCH, format!("\"{version}\""));
        }
        let whole_body = self.pace.read.saturating_mul(4);
        let response = request
            .config()
            .timeout_recv_body(Some(whole_body))
            .build()
            .call();
        let mut response = response.map_err(|error| Failure::from_request(&error))?;
        match response.status().as_u16() {
            200 => {
                let most = u64::try_from(MAX_SNAPSHOT_BYTES).unwrap_or(u64::MAX);
                let body = response
                    .body_mut()
                    .with_config()
                    .limit(most)
                    .read_to_string();
                match body {
                    Ok(text) => Ok(Some(text)),
                    Err(ureq::Error::BodyExceedsLimit(_)) => Err(SnapshotError::TooLarge.into()),
                    Err(error) => Err(Failure::from_request(&error)),
                }
            }
            304 if at_hand.is_some() => Ok(None),
            _ => Err(Failure::from_status(&response)),
        }
    }

    /// Hands over a batch of what was counted.
    pub(crate) fn report(&self, batch: &[u8]) -> Result<(), ReportFailure> {
        self.post("/sdk/v1/telemetry", batch, MOST_SAID).map(drop)
    }

    /// Tells the server something about data routes, and gives what it answers.
    pub(crate) fn tell(&self, path: &str, body: &[u8]) -> Result<String, ReportFailure> {
        let most = u64::try_from(MAX_WRITER_BYTES).unwrap_or(u64::MAX);
        self.post(path, body, most)
    }

    fn post(&self, path: &str, body: &[u8], most: u64) -> Result<String, ReportFailure> {
        let response = self
            .agent
            .post(format!("{}{path}", self.server.url))
            .header(header::AUTHORIZATION, self.server.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .config()
            .timeout_send_body(Some(self.pace.answer))
            .build()
            .send(body);
        let mut response =
            response.map_err(|error| ReportFailure::Later(Failure::from_request(&error)))?;
        let status = response.status().as_u16();
        let failure = Failure::from_status(&response);
        // What the server says besides; a connection is used again only once it was read.
        let said = response.body_mut().with_config().limit(most);
        let said = said.read_to_string().unwrap_or_default();
        match status {
            200..=299 => Ok(said),
            400 | 409 | 413 | 422 => Err(ReportFailure::Refused(format!("{status} {said}"))),
            _ => Err(ReportFailure::Later(failure)),
        }
    }

    fn get(&self, path: &str) -> RequestBuilder<ureq::typestate::WithoutBody> {
        self.agent
            .get(format!("{}{path}", self.server.url))
            .header(header::AUTHORIZATION, self.server.authorization.clone())
    }
}

fn is_on_this_machine(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

/// Whether a read ended because nothing came in its time.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

#[cfg(test)]
mod tests {
    use super::is_on_this_machine;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in [
            "http://127.0.0.1:7070",
            "http://localhost:1/x",
            "http://[::1]:7070",
        ] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://10.0.0.1:7070",
            "",
        ] {
            assert!(!is_on_this_machine(url), "{url}");
        }
    }
}
