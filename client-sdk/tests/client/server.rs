//! A server that does what a test tells it to, over real sockets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use switchover::{
    Batch, Client, ClientBuilder, ContentHash, EnvironmentKind, Overrides, Pace, RouteKey, Version,
    WriterAnswer, WriterReport, write_delta, write_snapshot,
};

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// As it should.
    Well,
    /// With this status line and these headers, and no body.
    Status(&'static str),
    /// With this body.
    Body(String),
    /// Opens the stream and says nothing on it.
    Silent,
    /// Not at all.
    Hang,
    /// Hears the request, and hangs up.
    HangUp,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

/// What was reported, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) body: Vec<u8>,
    pub(crate) batch: Batch,
}

pub(crate) struct Server {
    address: String,
    /// Of each server's URL: a port is used again, and log lines are found by URL.
    number: u32,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    environment: &'static str,
    epoch: String,
    revision: u64,
    routes: BTreeMap<RouteKey, String>,
    snapshot: Answer,
    stream: Answer,
    telemetry: Answer,
    writers: Answer,
    /// What processes have told of their data routes, and what they are asked next.
    told: Vec<(WriterReport, Instant)>,
    order: WriterAnswer,
    requests: Vec<Request>,
    /// Apart from the other requests: they come when they come.
    reports: Vec<Report>,
    streams: Vec<TcpStream>,
    /// Connections that are kept open and get no answer.
    held: Vec<TcpStream>,
    is_down: bool,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared {
            environment: "production",
            epoch: "e1".to_owned(),
            revision: 1,
            routes: BTreeMap::new(),
            snapshot: Answer::Well,
            stream: Answer::Well,
            telemetry: Answer::Well,
            writers: Answer::Well,
            told: Vec::new(),
            order: WriterAnswer::default(),
            requests: Vec::new(),
            reports: Vec::new(),
            streams: Vec::new(),
            held: Vec::new(),
            is_down: false,
        }));
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = Server {
            address: address.clone(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&shared),
        };
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for connection in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    if shared.lock().unwrap().is_down {
                        return;
                    }
                    thread::spawn(move || serve(&shared, connection));
                }
            }
        });
        thread::spawn(move || {
            while !shared.lock().unwrap().is_down {
                send(&mut shared.lock().unwrap(), ":\n\n");
                thread::sleep(Duration::from_millis(20));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/t{:04}", self.address, self.number)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client of this server at a pace for tests.
    pub(crate) fn client(&self) -> Client {
        self.builder().start().unwrap()
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        builder(&self.url())
    }

    /// Changes a route, and tells it by a delta.
    pub(crate) fn set(&self, route: &str, entry: &str) {
        let mut shared = self.shared();
        let before = version(&shared);
        shared.revision += 1;
        let route: RouteKey = route.parse().unwrap();
        shared.routes.insert(route.clone(), entry.to_owned());
        let text = write_delta(
            &before,
            &version(&shared),
            hash(&shared),
            [(&route, entry)].into_iter(),
        );
        send(&mut shared, &format!("event: delta\ndata: {text}\n\n"));
    }

    /// Changes the server without telling.
    pub(crate) fn restore(&self, environment: &'static str, epoch: &str, revision: u64) {
        let mut shared = self.shared();
        shared.environment = environment;
        shared.epoch = epoch.to_owned();
        shared.revision = revision;
    }

    /// Tells the full state to every open stream.
    pub(crate) fn push_snapshot(&self) {
        let text = self.snapshot_event();
        self.push(&text);
    }

    pub(crate) fn snapshot_event(&self) -> String {
        format!("event: snapshot\ndata: {}\n\n", text(&self.shared()))
    }

    /// Sends this to every open stream.
    pub(crate) fn push(&self, text: &str) {
        send(&mut self.shared(), text);
    }

    pub(crate) fn answer_streams(&self, answer: Answer) {
        self.shared().stream = answer;
    }

    pub(crate) fn answer_polls(&self, answer: Answer) {
        self.shared().snapshot = answer;
    }

    pub(crate) fn answer_reports(&self, answer: Answer) {
        self.shared().telemetry = answer;
    }

    pub(crate) fn answer_writers(&self, answer: Answer) {
        self.shared().writers = answer;
    }

    /// What the next process is asked that tells of its data routes.
    pub(crate) fn order(&self, order: WriterAnswer) {
        self.shared().order = order;
    }

    /// What processes have told of their data routes, and when.
    pub(crate) fn told(&self) -> Vec<(WriterReport, Instant)> {
        self.shared().told.clone()
    }

    /// Every report that came, whatever it was answered.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.shared().reports.clone()
    }

    /// Gives up the requests that have got no answer.
    pub(crate) fn release(&self) {
        for connection in self.shared().held.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn close_streams(&self) {
        for stream in self.shared().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.shared().streams.len()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared().requests.clone()
    }

    pub(crate) fn requests_for(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path == path);
        requests
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared().is_down = true;
        self.close_streams();
        self.shared().held.clear();
        // Wakes the thread that accepts, so that it sees.
        let _ = TcpStream::connect(&self.address);
    }
}

/// A client's builder at a pace for tests.
pub(crate) fn builder(url: &str) -> ClientBuilder {
    Client::builder()
        .server(url, "sdk-key")
        .overrides(Overrides::none())
        .poll_interval(Duration::from_millis(5))
        .cache_after(Duration::from_millis(30))
        .pace(pace())
}

pub(crate) fn pace() -> Pace {
    Pace {
        connect: Duration::from_secs(2),
        answer: Duration::from_millis(250),
        read: Duration::from_millis(250),
        first_retry: Duration::from_millis(4),
        longest_retry: Duration::from_millis(20),
        report: Duration::from_millis(40),
        report_soon: Duration::from_millis(10),
        ..Pace::default()
    }
}

/// An address where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn serve(shared: &Mutex<Shared>, connection: TcpStream) {
    connection.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        let mut shared = shared.lock().unwrap();
        let is_stream = request.path == "/sdk/v1/stream";
        let is_report = request.path == "/sdk/v1/telemetry";
        let is_writer = request.path == "/sdk/v1/writers";
        let answer = match () {
            () if is_writer => shared.writers.clone(),
            () if is_stream => shared.stream.clone(),
            () if is_report => shared.telemetry.clone(),
            () => shared.snapshot.clone(),
        };
        if is_report {
            let key = request.headers.get("authorization");
            assert_eq!(key.map(String::as_str), Some("Bearer sdk-key"));
            shared.reports.push(Report {
                batch: Batch::from_json(&request.body).unwrap(),
                body: request.body.clone(),
            });
        } else if is_writer {
            let report = serde_json::from_slice(&request.body).unwrap();
            shared.told.push((report, Instant::now()));
        } else {
            shared.requests.push(request.clone());
        }
        let mut connection = connection.try_clone().unwrap();
        let answered = match answer {
            Answer::Status(status) => {
                write!(connection, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::HangUp => return,
            Answer::Well if is_report => write!(connection, "HTTP/1.1 204 No Content\r\n\r\n"),
            Answer::Well if is_writer => {
                let order = WriterAnswer {
                    revision: shared.revision,
                    ..std::mem::take(&mut shared.order)
                };
                write_body(&mut connection, &serde_json::to_string(&order).unwrap())
            }
            Answer::Hang => {
                shared.held.push(connection);
                return;
            }
            Answer::Silent => {
                let _ = write!(connection, "HTTP/1.1 200 OK\r\n\r\n");
                shared.held.push(connection);
                return;
            }
            Answer::Body(body) if is_stream => {
                let _ = write!(connection, "HTTP/1.1 200 OK\r\n\r\n{body}");
                shared.streams.push(connection);
                return;
            }
            Answer::Well if is_stream => {
                let known = request.headers.get("last-event-id");
                let first = match known {
                    Some(known) if *known == version(&shared).to_string() => ":\n\n".to_owned(),
                    _ => format!("event: snapshot\ndata: {}\n\n", text(&shared)),
                };
                let _ = write!(connection, "HTTP/1.1 200 OK\r\n\r\n{first}");
                shared.streams.push(connection);
                return;
            }
            Answer::Body(body) => write_body(&mut connection, &body),
            Answer::Well => {
                let tag = format!("\"{}\"", version(&shared));
                match request.headers.get("if-none-match") {
                    Some(known) if *known == tag => {
                        write!(connection, "HTTP/1.1 304 Not Modified\r\n\r\n")
                    }
                    _ => write_body(&mut connection, &text(&shared)),
                }
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

fn write_body(connection: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers = lines.iter().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    });
    let path = lines.first()?.split(' ').nth(1)?;
    let headers: BTreeMap<String, String> = headers.collect();
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        path: path.find("/sdk/").map_or(path, |at| &path[at..]).to_owned(),
        headers,
        body,
        at: Instant::now(),
    })
}

fn send(shared: &mut Shared, text: &str) {
    shared
        .streams
        .retain_mut(|stream| stream.write_all(text.as_bytes()).is_ok());
}

fn version(shared: &Shared) -> Version {
    Version {
        epoch: shared.epoch.as_str().into(),
        revision: shared.revision,
    }
}

fn hash(shared: &Shared) -> ContentHash {
    let entries = shared.routes.iter();
    entries.fold(ContentHash::default(), |hash, (route, entry)| {
        hash.with(route, entry)
    })
}

fn text(shared: &Shared) -> String {
    write_snapshot(
        shared.environment,
        EnvironmentKind::Hosted,
        &version(shared),
        hash(shared),
        shared
            .routes
            .iter()
            .map(|(route, entry)| (route, entry.as_str())),
    )
}
