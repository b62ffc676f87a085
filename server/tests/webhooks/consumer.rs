//! A receiver of webhooks, on a port of its own: it keeps what it gets, and answers as it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use standardwebhooks::Webhook;

use crate::support::eventually;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 204.
    Take,
    /// This status, with this body.
    Answer(u16, &'static str),
    /// 503, and to be asked again after so many seconds.
    Later(u64),
    /// To another address.
    Redirect(&'static str),
    /// Not at all.
    Hang,
    /// One byte now and then, without end.
    Trickle,
    /// A body of ten megabytes.
    Large,
    /// A body, or a head, without end.
    Endless(&'static str),
    /// By closing the connection.
    Close,
    /// With something that is not HTTP.
    Nonsense,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) raw: String,
    pub(crate) body: Value,
}

impl Message {
    pub(crate) fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn signatures(&self) -> Vec<&str> {
        self.headers["webhook-signature"].split(' ').collect()
    }

    /// What the public library makes of the secret, name, time and bytes.
    pub(crate) fn expected(&self, secret: &str) -> String {
        let timestamp = self.headers["webhook-timestamp"].parse().unwrap();
        let signer = Webhook::new(secret).unwrap();
        signer
            .sign(self.id(), timestamp, self.raw.as_bytes())
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_signed_with(&self, secret: &str) {
        assert_eq!(self.signatures(), [self.expected(secret)]);
    }

    /// As a receiver does it, with its own clock.
    pub(crate) fn is_verified_by(&self, secret: &str) -> bool {
        let mut headers = ureq::http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, self.headers[name].parse().unwrap());
        }
        let verifier = Webhook::new(secret).unwrap();
        verifier.verify(self.raw.as_bytes(), &headers).is_ok()
    }
}

/// A receiver.
pub(crate) struct Consumer {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    messages: Arc<Mutex<Vec<Message>>>,
    /// How many bytes it could write before nobody read any more.
    written: Arc<AtomicUsize>,
}

impl Consumer {
    pub(crate) fn new(manner: Manner) -> Consumer {
        Consumer::at("127.0.0.1:0", manner)
    }

    pub(crate) fn at(address: &str, manner: Manner) -> Consumer {
        let listener = TcpListener::bind(address).unwrap();
        let consumer = Consumer {
            port: listener.local_addr().unwrap().port(),
            manner: Arc::new(Mutex::new(manner)),
            messages: Arc::default(),
            written: Arc::default(),
        };
        let (manner, messages) = (Arc::clone(&consumer.manner), Arc::clone(&consumer.messages));
        let written = Arc::clone(&consumer.written);
        // It ends with the test's process: the listener holds nothing but a port.
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (manner, messages) = (Arc::clone(&manner), Arc::clone(&messages));
                let written = Arc::clone(&written);
                thread::spawn(move || {
                    if let Some(message) = read(&socket) {
                        messages.lock().unwrap().push(message);
                        let manner = *manner.lock().unwrap();
                        answer(socket, manner, &written);
                    }
                });
            }
        });
        consumer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?room=1", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// What has arrived, when so many messages have.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Message> {
        eventually("messages", Duration::from_secs(20), || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        })
    }
}

fn read(socket: &TcpStream) -> Option<Message> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut raw = vec![0; length];
    reader.read_exact(&mut raw).ok()?;
    let raw = String::from_utf8(raw).ok()?;
    Some(Message {
        path,
        headers,
        body: serde_json::from_str(&raw).ok()?,
        raw,
    })
}

fn answer(mut socket: TcpStream, manner: Manner, written: &AtomicUsize) {
    let mut say = |text: &[u8]| {
        let sent = socket.write_all(text);
        written.fetch_add(text.len(), Ordering::Relaxed);
        sent
    };
    let filler = [b'x'; 16 * 1024];
    // Whoever asked may be gone: that is what these are for.
    let _ = match manner {
        Manner::Take => say(b"HTTP/1.1 204 No Content\r\n\r\n"),
        Manner::Answer(status, body) => say(format!(
            "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes()),
        Manner::Later(seconds) => say(format!(
            "HTTP/1.1 503 Later\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n"
        )
        .as_bytes()),
        Manner::Redirect(to) => say(format!(
            "HTTP/1.1 307 There\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
        )
        .as_bytes()),
        Manner::Hang => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Manner::Trickle => {
            say(b"HTTP/1.1 200 Slow\r\ncontent-length: 100000\r\n\r\n").and_then(|()| {
                loop {
                    say(b"x")?;
                    thread::sleep(Duration::from_millis(200));
                }
            })
        }
        Manner::Large => say(b"HTTP/1.1 200 Large\r\ncontent-length: 10485760\r\n\r\n")
            .and_then(|()| (0..640).try_for_each(|_| say(&filler))),
        Manner::Endless(head) => say(head.as_bytes()).and_then(|()| {
            loop {
                say(&filler)?;
            }
        }),
        Manner::Close => Ok(()),
        Manner::Nonsense => say(b"SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x02\r\n"),
    };
}
