//! The thread that follows the server: stream, polling, back-off.
//!
//! Nothing that the server does ends it; only [`Thread::end`] does, and that interrupts whatever it
//! waits for.

use std::convert::Infallible;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::backoff::{Attempt, Backoff, Delays, Notice};
use crate::cache::Halts;
use crate::chance::Chance;
use crate::engine::Engine;
use crate::events::{Item, Parser};
use crate::snapshot::Snapshot;
use crate::status::Mode;
use crate::table::Source;
use crate::transport::{Failure, Server, Transport, is_timeout};
use crate::versions::{Admission, Refusal, admit};

/// Streams in a row that say nothing before the client asks from time to time instead.
const SILENT_STREAMS: u32 = 2;
const READ_BYTES: usize = 16 * 1024;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    id: ThreadId,
    agent: ureq::Agent,
    /// Dropped to tell the thread to end.
    running: Sender<Infallible>,
    /// Says so when the thread has ended.
    ended: Receiver<Infallible>,
}

pub(crate) fn start(engine: Arc<Engine>, server: &Server) -> std::io::Result<Thread> {
    let transport = Transport::new(server.clone(), engine.settings().pace);
    let agent = transport.agent();
    let (running, stop) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("switchover-sync".to_owned())
        .spawn(move || {
            Follower::new(engine, transport, stop).run();
            drop(end);
        })?;
    Ok(Thread {
        id: thread.thread().id(),
        agent,
        running,
        ended,
    })
}

impl Thread {
    /// Has the thread end, whatever it waits for.
    pub(crate) fn end(self) -> Ending {
        drop(self.running);
        self.agent.shutdown();
        Ending {
            id: self.id,
            ended: self.ended,
        }
    }
}

/// A thread that was told to end.
pub(crate) struct Ending {
    id: ThreadId,
    ended: Receiver<Infallible>,
}

impl Ending {
    pub(crate) fn wait(self, until: Instant) {
        // A callback may hold the last client; its thread cannot wait for itself.
        if thread::current().id() != self.id {
            let left = until.saturating_duration_since(Instant::now());
            let _ = self.ended.recv_timeout(left);
        }
    }
}

/// How the client follows the server.
enum Way {
    Stream,
    /// Until the stream is tried again; `None` for ever.
    Poll(Option<Instant>),
}

struct Follower {
    engine: Arc<Engine>,
    transport: Transport,
    stop: Receiver<Infallible>,
    backoff: Backoff,
    chance: Chance,
    way: Way,
    silent_streams: u32,
    /// Whether the next stream goes on from the version at hand, or begins with a full snapshot.
    resumes: bool,
    /// The snapshot that is to become the last good one, and since when it is used.
    on_trial: Option<(Arc<Snapshot>, Instant)>,
    live_since: Instant,
    /// What the log has been told, so that it is told once.
    told: Option<String>,
}

impl Follower {
    fn new(engine: Arc<Engine>, transport: Transport, stop: Receiver<Infallible>) -> Follower {
        let settings = engine.settings();
        let delays = Delays {
            first: settings.pace.first_retry,
            longest: settings.pace.longest_retry,
            slow: settings.pace.slow_retry,
        };
        Follower {
            way: match settings.is_polling_only {
                true => Way::Poll(None),
                false => Way::Stream,
            },
            backoff: Backoff::new(delays),
            engine,
            transport,
            stop,
            chance: Chance::default(),
            silent_streams: 0,
            resumes: true,
            on_trial: None,
            live_since: Instant::now(),
            told: None,
        }
    }

    fn run(&mut self) {
        loop {
            // A panic would be a mistake of ours; it must not leave the process with a state that
            // grows old unseen.
            let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt()));
            let wait = match attempt {
                Ok(Ok(wait)) => wait,
                Ok(Err(failure)) => self.after(failure),
                Err(_) => self.after(Failure::failed("the thread panicked")),
            };
            if !self.rests(wait) {
                return;
            }
        }
    }

    /// One poll, or one stream from its beginning to its end. Says when to go on.
    fn attempt(&mut self) -> Result<Duration, Failure> {
        match self.way {
            Way::Poll(until) if until.is_none_or(|until| Instant::now() < until) => {
                self.poll()?;
                self.heard(Mode::Polling);
                let notice = self.backoff.good_poll();
                self.tell(notice);
                // All processes started by one deployment should not ask at once for ever.
                let interval = self.engine.settings().poll_interval;
                Ok(interval.mul_f64(0.9 + 0.2 * self.chance.draw()))
            }
            Way::Poll(_) | Way::Stream => {
                // The first load is a plain request: it comes through where streams are held back.
                // So does one after a stream that said nothing.
                if self.engine.state().live().is_none() || self.silent_streams > 0 {
                    self.poll()?;
                }
                Err(self
                    .follow()
                    .err()
                    .unwrap_or_else(|| Failure::failed("the server ended the stream")))
            }
        }
    }

    fn poll(&mut self) -> Result<(), Failure> {
        let state = self.engine.state();
        let at_hand = state.live().map(|live| live.version());
        match self.transport.snapshot(at_hand)? {
            Some(text) => self.offer(Snapshot::from_json(&text, Source::Live)?),
            None => {
                self.recovered();
                Ok(())
            }
        }
    }

    /// Reads a stream to its end.
    fn follow(&mut self) -> Result<(), Failure> {
        let state = self.engine.state();
        let live = state.live().filter(|_| self.resumes);
        let mut body = self.transport.stream(live.map(|live| live.version()))?;
        drop(state);
        let opened = Instant::now();
        let healthy_after = self.engine.settings().pace.healthy_after;
        let mut is_healthy = false;
        let mut has_spoken = false;
        let mut parser = Parser::new();
        let mut buffer = vec![0; READ_BYTES];
        while !self.is_stopped() {
            let length = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if is_timeout(&error) && !has_spoken => {
                    return Err(Failure::silent("the stream says nothing"));
                }
                Err(error) => return Err(Failure::failed(format!("the stream broke: {error}"))),
            };
            has_spoken = true;
            self.silent_streams = 0;
            self.way = Way::Stream;
            self.heard(Mode::Streaming);
            let items = parser
                .push(buffer.get(..length).unwrap_or_default())
                .map_err(|_| Failure::failed("the stream sent more than a snapshot may have"))?;
            for item in items {
                self.take(item)?;
            }
            self.keep_what_proved_good();
            if !is_healthy && opened.elapsed() >= healthy_after {
                is_healthy = true;
                let notice = self.backoff.recovered();
                self.tell(notice);
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Item) -> Result<(), Failure> {
        let Item::Event { name, data } = item else {
            return Ok(());
        };
        let snapshot = match name.as_str() {
            "snapshot" => Snapshot::from_json(&data, Source::Live),
            "delta" => match self.engine.state().live() {
                Some(live) => live.apply(&data),
                None => return Err(Failure::failed("the stream began with a delta")),
            },
            // A newer server's.
            _ => return Ok(()),
        };
        self.resumes = snapshot.is_ok();
        self.offer(snapshot?)
    }

    fn offer(&mut self, snapshot: Snapshot) -> Result<(), Failure> {
        let admission = admit(self.engine.state().seen(), &snapshot);
        match admission {
            Admission::Apply => {
                let snapshot = Arc::new(snapshot);
                let is_void = self.notes_void_cache(&snapshot);
                self.engine.apply(Arc::clone(&snapshot));
                self.live_since = Instant::now();
                self.on_trial
                    .get_or_insert((Arc::clone(&snapshot), self.live_since));
                let life = self.engine.last_life();
                if let Some(cache) = life.cache().as_mut() {
                    if is_void {
                        cache.remove_others(snapshot.environment());
                    }
                    cache.keep_halts(Halts::of(&snapshot));
                }
                tracing::debug!(version = %snapshot.version(), "snapshot applied");
                self.recovered();
                Ok(())
            }
            Admission::Known => {
                self.recovered();
                Ok(())
            }
            // The stream goes on: a server that lags behind will catch up on it.
            Admission::Refuse(refusal @ Refusal::Older { .. }) => {
                self.note(&Failure::from(refusal));
                Ok(())
            }
            Admission::Refuse(refusal) => Err(refusal.into()),
        }
    }

    /// Whether what is on disk is another environment's, which the log hears of: after this snapshot
    /// it has no say any more.
    fn notes_void_cache(&self, snapshot: &Snapshot) -> bool {
        let state = self.engine.state();
        let Some(cached) = state.voided_by(snapshot) else {
            return false;
        };
        tracing::warn!(
            server = self.transport.url(),
            "the cache is of environment `{cached}` and void: the server is of `{}`; each \
             environment needs a cache directory or a cache name of its own",
            snapshot.environment()
        );
        true
    }

    /// What to do after a failure, and how long to wait.
    fn after(&mut self, failure: Failure) -> Duration {
        if self.is_stopped() {
            return Duration::ZERO;
        }
        let was_polling = matches!(self.way, Way::Poll(_));
        if failure.is_silent {
            self.silent_streams += 1;
            if was_polling || self.silent_streams >= SILENT_STREAMS {
                return self.turn_to_polling();
            }
        } else if was_polling && !self.engine.settings().is_polling_only {
            // Polls fail too, so it was not something on the way that held the streams back.
            self.way = Way::Stream;
            self.silent_streams = 0;
        }
        self.note(&failure);
        let chance = self.chance.draw();
        let (wait, notice) = self
            .backoff
            .after(failure.attempt, failure.retry_after, chance);
        if notice == Some(Notice::SlowedDown) {
            tracing::warn!(
                server = self.transport.url(),
                "the server refuses this client again and again ({}): trying seldom from now on, \
                 and deciding by what is known",
                failure.message
            );
        }
        self.engine.last_life().health().mode = Mode::Waiting;
        wait
    }

    fn turn_to_polling(&mut self) -> Duration {
        let pause = self.engine.settings().pace.retry_stream;
        if matches!(self.way, Way::Stream) {
            tracing::warn!(
                server = self.transport.url(),
                "streams are held back on the way to the server: polling instead"
            );
        }
        self.way = Way::Poll(Some(Instant::now() + pause));
        Duration::ZERO
    }

    fn heard(&self, mode: Mode) {
        let mut health = self.engine.last_life().health();
        health.mode = mode;
        health.last_heard = Some(Instant::now());
    }

    /// What the server says is in use.
    fn recovered(&mut self) {
        self.told = None;
        let mut health = self.engine.last_life().health();
        health.last_error = None;
        health.last_heard = Some(Instant::now());
    }

    /// Keeps a failure for whoever asks; the log hears of it once. Of refusals it hears when they
    /// have become a habit.
    fn note(&mut self, failure: &Failure) {
        let message = &failure.message;
        let is_new = self.told.as_ref() != Some(message);
        self.engine.last_life().health().last_error = Some(message.clone());
        if failure.attempt == Attempt::Failed && is_new {
            tracing::warn!(
                server = self.transport.url(),
                "deciding by what is known: {message}"
            );
            self.told = Some(message.clone());
        } else {
            tracing::debug!(server = self.transport.url(), "{message}");
        }
    }

    fn tell(&self, notice: Option<Notice>) {
        if notice == Some(Notice::Recovered) {
            tracing::info!(
                server = self.transport.url(),
                "the server lets this client in again"
            );
        }
    }

    /// A snapshot that this process has run on for long enough becomes the last good one.
    ///
    /// Where snapshots follow each other faster than that, the process has outlived the one on
    /// trial just as well; else a busy server would never let one become good.
    fn keep_what_proved_good(&mut self) {
        let cache_after = self.engine.settings().cache_after;
        let Some((snapshot, since)) = &self.on_trial else {
            return;
        };
        if since.elapsed() < cache_after {
            return;
        }
        let life = self.engine.last_life();
        if let Some(cache) = life.cache().as_mut() {
            cache.keep(snapshot);
        }
        let state = self.engine.state();
        let next = state.live().filter(|live| !Arc::ptr_eq(live, snapshot));
        self.on_trial = next.map(|live| (Arc::clone(live), self.live_since));
    }

    /// Waits; `false` when the thread is to end.
    fn rests(&mut self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        loop {
            self.keep_what_proved_good();
            let cache_after = self.engine.settings().cache_after;
            let left = end.saturating_duration_since(Instant::now());
            let nap = self.on_trial.as_ref().map_or(left, |(_, since)| {
                left.min(cache_after.saturating_sub(since.elapsed()))
            });
            match self.stop.recv_timeout(nap) {
                Err(RecvTimeoutError::Disconnected) => return false,
                _ if Instant::now() >= end => return true,
                _ => {}
            }
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.stop.try_recv(), Err(TryRecvError::Disconnected))
    }
}
