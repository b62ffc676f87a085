//! What listens where a Prometheus should be, and does as the query says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchover_server::prometheus::Settings;

/// A server on a port of its own. It ends with the tests.
pub(crate) struct Strange {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What it answers to the query `told`.
    told: String,
    /// The queries that it was sent, each with the value of its header Authorization.
    asked: Vec<(String, String)>,
}

impl Strange {
    pub(crate) fn start() -> Strange {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                thread::spawn(move || answer(stream.unwrap(), &state));
            }
        });
        Strange { address, state }
    }

    /// How to reach it; guards ask at each look.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            url: self.url(),
            token_file: None,
            every: Duration::ZERO,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers to the query `told` from now on: as to a query of that text.
    pub(crate) fn tell(&self, what: &str) {
        self.state.lock().unwrap().told = what.to_owned();
    }

    /// The queries that it was sent.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().asked.clone()
    }
}

/// Answers one request: whoever asked gives up, so nothing that fails here matters.
fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let Some((authorization, body)) = request(&stream) else {
        return;
    };
    let query = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "query");
    let mut query = query
        .map(|(_, query)| query.into_owned())
        .unwrap_or_default();
    {
        let mut state = state.lock().unwrap();
        state.asked.push((query.clone(), authorization));
        if query == "told" {
            query.clone_from(&state.told);
        }
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let sample = |number: &str| format!(r#"{{"metric":{{}},"value":[{now},"{number}"]}}"#);
    let vector = |samples: &[String]| {
        let samples = samples.join(",");
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#)
    };
    // What comes after the first word only tells questions apart.
    let (status, body) = match query.split(' ').next().unwrap_or_default() {
        "empty" => ("200 OK", vector(&[])),
        "nan" => ("200 OK", vector(&[sample("NaN")])),
        "two" => ("200 OK", vector(&[sample("0"), sample("0")])),
        "broken" => ("500 Internal Server Error", "oops".to_owned()),
        "elsewhere" => ("302 Found\r\nLocation: http://127.0.0.1:1/", String::new()),
        "large" => (
            "200 OK",
            format!("{}{}", " ".repeat(10_000_000), vector(&[sample("0")])),
        ),
        "hang" => return thread::sleep(Duration::from_secs(30)),
        "drip" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            for _ in 0..300 {
                if stream.write_all(b" ").is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
            return;
        }
        "slow" => {
            thread::sleep(Duration::from_secs(2));
            ("200 OK", vector(&[sample("0.5")]))
        }
        "gone" => return,
        number => ("200 OK", vector(&[sample(number)])),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
}

/// The value of a request's header Authorization, and its body.
fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((authorization, String::from_utf8(body).ok()?))
}
