//! A client that hides nothing: every status is an answer, and raw bytes can be sent too.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use ureq::http;

use super::app::Who;

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

/// A server somewhere.
pub(crate) struct Remote {
    address: String,
    agent: ureq::Agent,
}

impl Remote {
    pub(crate) fn at(address: &str) -> Remote {
        Remote {
            address: address.to_owned(),
            agent: agent(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A request; a path that does not begin at the root is one below `/api/v1`.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/api/v1/{path}")
        };
        let url = format!("http://{}{path}", self.address);
        Request {
            agent: self.agent.clone(),
            builder: http::Request::builder().method(method).uri(url),
            body: None,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path).by(Who::VIEWER).send()
    }

    pub(crate) fn post(&self, who: Who, path: &str, body: &Value) -> Reply {
        self.request("POST", path).by(who).json(body).send()
    }

    pub(crate) fn put(&self, who: Who, path: &str, body: &Value) -> Reply {
        self.request("PUT", path).by(who).json(body).send()
    }
}

pub(crate) struct Request {
    agent: ureq::Agent,
    builder: http::request::Builder,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn by(self, who: Who) -> Request {
        let token = who.token();
        self.bearer(&token)
    }

    pub(crate) fn bearer(self, credentials: &str) -> Request {
        self.header("authorization", &format!("Bearer {credentials}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn json(self, body: &Value) -> Request {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn send(self) -> Reply {
        self.try_send().expect("an answer")
    }

    pub(crate) fn try_send(self) -> Result<Reply, ureq::Error> {
        let answered = match self.body {
            Some(body) => self.agent.run(self.builder.body(body).unwrap()),
            None => self.agent.run(self.builder.body(()).unwrap()),
        };
        let (parts, mut body) = answered?.into_parts();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            // Snapshots may be larger than what the library takes by itself.
            body: body
                .with_config()
                .limit(32 * 1024 * 1024)
                .read_to_string()?,
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{} {error}: {}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        self.header("etag").expect("an ETag").to_owned()
    }

    /// The body of an error, checked to be one that helps.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.body
        );
        let problem = self.json();
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("urn:switchover:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert!(
            problem["title"]
                .as_str()
                .is_some_and(|title| title.len() > 5)
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.len() > 15, "says too little: {detail}");
        problem
    }

    #[track_caller]
    pub(crate) fn code(&self, status: u16) -> String {
        self.problem(status)["code"].as_str().unwrap().to_owned()
    }
}

/// Sends bytes as they are, and reads what comes back.
pub(crate) fn raw(address: &str, bytes: &[u8]) -> Reply {
    let mut socket = TcpStream::connect(address).unwrap();
    // The server may answer and close before it has read everything.
    let _ = socket.write_all(bytes);
    read_raw(&mut socket)
}

/// Reads one answer from a socket.
pub(crate) fn read_raw(socket: &mut TcpStream) -> Reply {
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(reply) = parse(&seen) {
            return reply;
        }
        match socket.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => seen.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&seen)),
        }
    }
    panic!("no whole answer: {}", String::from_utf8_lossy(&seen));
}

fn parse(seen: &[u8]) -> Option<Reply> {
    let text = std::str::from_utf8(seen).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = http::HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, value.trim().parse().unwrap());
    }
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    (body.len() >= length).then(|| Reply {
        status,
        headers,
        body: body.to_owned(),
    })
}
