//! Requests to addresses that users give. They reach the public internet and what the operator
//! allows, and nothing else: not this machine, not its networks, not what hands out credentials.
//!
//! A name is resolved once, its addresses are judged, and only those that pass are connected to, so a
//! name that answers differently the second time gains nothing. Redirects are not followed, the
//! environment's proxies are not used, and whatever comes back is read within bounds.

mod net;
mod resolve;
mod target;

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

pub use net::{Net, Rules};
pub use resolve::{Lookup, system_lookup};
pub use target::Target;

use resolve::{Checked, Refused};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a request may take in all.
const TOTAL: Duration = Duration::from_secs(10);
/// The largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// So many bytes of an answer's body are read.
const MOST_READ: u64 = 4 * 1024;

/// Sends requests.
#[derive(Clone)]
pub struct Outbound {
    rules: Arc<Rules>,
    roots: RootCerts,
    lookup: Lookup,
    total: Duration,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// When to ask again, in seconds from now, where it says so in seconds.
    pub retry_after: Option<u64>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// Why there is no answer, in words that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered(pub String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Outbound {
    /// Requests by these rules, to receivers that public authorities vouch for.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Outbound {
        Outbound {
            rules,
            roots: RootCerts::WebPki,
            lookup: system_lookup(),
            total: TOTAL,
        }
    }

    /// The same, to receivers that these authorities vouch for (certificates in PEM), and no others.
    ///
    /// # Errors
    /// When there is none in the text.
    pub fn trusting(self, pem: &str) -> Result<Outbound, String> {
        let items = ureq::tls::parse_pem(pem.as_bytes());
        let certificates: Vec<Certificate<'static>> = items
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err("holds no certificate in PEM".to_owned());
        }
        Ok(Outbound {
            roots: RootCerts::new_with_certs(&certificates),
            ..self
        })
    }

    /// The same, with another way to find a name's addresses.
    #[must_use]
    pub fn looking_up(self, lookup: Lookup) -> Outbound {
        Outbound { lookup, ..self }
    }

    /// The same, with another deadline for a whole request.
    #[must_use]
    pub fn within(self, total: Duration) -> Outbound {
        Outbound { total, ..self }
    }

    /// What may be reached.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Posts JSON, and waits for the answer: ten seconds in all.
    ///
    /// # Errors
    /// When there is none: refused, not reached, not understood, too late.
    pub fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answered, Unanswered> {
        // The rules may have changed since it was registered.
        let target = Target::read(url, &self.rules).map_err(Unanswered)?;
        let agent = self.agent();
        let mut request = agent
            .post(target.as_str())
            .content_type("application/json; charset=utf-8");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).map_err(|error| told(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut read = Vec::new();
        // What of a body breaks off or comes too late is not needed: the status says it all.
        let _ = response
            .body_mut()
            .as_reader()
            .take(MOST_READ)
            .read_to_end(&mut read);
        Ok(Answered {
            status,
            retry_after,
            body: read,
        })
    }

    /// One request's own: no connection outlives the judgement of its address.
    fn agent(&self) -> ureq::Agent {
        let tls = TlsConfig::builder().root_certs(self.roots.clone()).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(self.total))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .max_response_header_size(LARGEST_HEAD)
            .user_agent(concat!("switchover/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .accept_encoding("identity")
            .tls_config(tls)
            .build();
        let resolver = Checked::new(Arc::clone(&self.rules), Arc::clone(&self.lookup));
        ureq::Agent::with_parts(config, DefaultConnector::default(), resolver)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. Nothing of the address is repeated: its path may be a secret.
fn told(error: &ureq::Error) -> Unanswered {
    Unanswered(match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve) => {
            format!("its name was not resolved within {} s", CONNECT.as_secs())
        }
        ureq::Error::Timeout(ureq::Timeout::Connect) => {
            format!("no connection within {} s", CONNECT.as_secs())
        }
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::Io(error) => format!("the connection failed: {}", error.kind()),
        ureq::Error::Rustls(error) => format!("TLS failed: {error}"),
        ureq::Error::Tls(error) => format!("TLS failed: {error}"),
        ureq::Error::Other(other) => match other.downcast_ref::<Refused>() {
            Some(refused) => refused.to_string(),
            None => "the request failed".to_owned(),
        },
        ureq::Error::Protocol(_) => "the answer is not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    })
}
