//! A reader of the event stream, and the state that it builds as an SDK would.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use switchover::{Snapshot, Source};

/// One thing that a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Comment,
    Named {
        name: String,
        id: String,
        data: String,
    },
}

/// An open stream.
pub(crate) struct Events(Receiver<Event>);

impl Events {
    pub(crate) fn open(address: &str, sdk_key: &str, last_event_id: Option<&str>) -> Events {
        Events::open_at(address, "/sdk/v1/stream", sdk_key, last_event_id)
    }

    /// A stream at another path.
    pub(crate) fn open_at(
        address: &str,
        path: &str,
        credentials: &str,
        last_event_id: Option<&str>,
    ) -> Events {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(10)))
            .build()
            .new_agent();
        let mut request = agent
            .get(format!("http://{address}{path}"))
            .header("accept-encoding", "gzip, br, zstd")
            .header("authorization", format!("Bearer {credentials}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.call().expect("a stream");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(response.into_body().into_reader()).lines();
            let mut block = Vec::new();
            while let Some(Ok(line)) = lines.next() {
                if !line.is_empty() {
                    block.push(line);
                    continue;
                }
                if sender.send(read(&block)).is_err() {
                    return;
                }
                block.clear();
            }
        });
        Events(receiver)
    }

    /// The next thing that the stream says.
    #[track_caller]
    pub(crate) fn next(&self, within: Duration) -> Event {
        match self.0.recv_timeout(within) {
            Ok(event) => event,
            Err(error) => panic!("nothing within {within:?}: {error}"),
        }
    }

    /// What the stream has said and nobody has taken yet.
    pub(crate) fn try_next(&self) -> Option<Event> {
        self.0.try_recv().ok()
    }

    /// The next event: its name, identity and data.
    #[track_caller]
    pub(crate) fn event(&self, within: Duration) -> (String, String, String) {
        loop {
            if let Event::Named { name, id, data } = self.next(within) {
                return (name, id, data);
            }
        }
    }

    /// Reads until the stream ends.
    #[track_caller]
    pub(crate) fn end(&self, within: Duration) {
        let started = std::time::Instant::now();
        loop {
            let left = within.saturating_sub(started.elapsed());
            match self.0.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("still open after {within:?}"),
            }
        }
    }
}

fn read(block: &[String]) -> Event {
    let field = |name: &str| {
        let lines = block.iter();
        let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.next().map(str::to_owned)
    };
    match (field("event"), field("id"), field("data")) {
        (Some(name), id, Some(data)) => Event::Named {
            name,
            id: id.unwrap_or_default(),
            data,
        },
        // Where a reader resumes, and nothing to tell.
        (None, Some(id), None) => Event::Named {
            name: String::new(),
            id,
            data: String::new(),
        },
        _ => {
            assert!(block.iter().all(|line| line.starts_with(':')), "{block:?}");
            Event::Comment
        }
    }
}

/// A stream, and the state that follows from what it said.
pub(crate) struct StreamReader {
    events: Events,
    snapshot: Snapshot,
}

impl StreamReader {
    #[track_caller]
    pub(crate) fn new(events: Events) -> StreamReader {
        let (name, _, data) = events.event(Duration::from_secs(5));
        assert_eq!(name, "snapshot");
        let snapshot = Snapshot::from_json(&data, Source::Live).unwrap();
        StreamReader { events, snapshot }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Follows the stream until its state has this revision.
    #[track_caller]
    pub(crate) fn follow_to(&mut self, revision: u64, within: Duration) {
        while self.snapshot.version().revision < revision {
            let (name, id, data) = self.events.event(within);
            self.snapshot = match name.as_str() {
                "snapshot" => Snapshot::from_json(&data, Source::Live).unwrap(),
                "delta" => self.snapshot.apply(&data).unwrap(),
                other => panic!("an event {other}"),
            };
            assert_eq!(self.snapshot.version().to_string(), id);
        }
    }
}
