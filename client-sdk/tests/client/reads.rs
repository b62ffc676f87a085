//! Reads: what runs, what comes back, what is counted and what compared, whatever either side does.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchover::{Client, MirrorStats, Path, PathStats, Route};

use crate::PATIENCE;
use crate::calls::block_on;
use crate::server::{Server, eventually};

/// Long enough for what does not hang, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(2);

/// A rollout with reads mirrored, in percent.
pub(crate) fn mirrored(setting: &str, percent: u32) -> String {
    format!(r#"{{"flag":"B","stage":"opt_in",{setting},"mirror":{{"read_percent":{percent}}}}}"#)
}

pub(crate) const OLD: &str = r#""setting":{"mode":"off"}"#;
pub(crate) const NEW: &str = r#""setting":{"mode":"on"}"#;

/// What an implementation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Well,
    Differ,
    Fail,
    Panic,
    Slow,
    Hang,
}

/// Ends hanging threads with the test.
#[derive(Clone, Default)]
pub(crate) struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        // Shared with those that hang: the last but them.
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
pub(crate) struct Implementation {
    does: Does,
    ran: Arc<AtomicUsize>,
    goes_on: Arc<AtomicBool>,
}

impl Implementation {
    pub(crate) fn new(does: Does, release: &Release) -> Implementation {
        Implementation {
            does,
            ran: Arc::default(),
            goes_on: Arc::clone(&release.0),
        }
    }

    fn result(&self) -> Result<u64, &'static str> {
        match self.does {
            Does::Well | Does::Slow | Does::Hang => Ok(7),
            Does::Differ => Ok(8),
            Does::Fail => Err("fails"),
            Does::Panic => panics(),
        }
    }

    fn run(&self) -> Result<u64, &'static str> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        match self.does {
            Does::Slow => thread::sleep(Duration::from_millis(40)),
            Does::Hang => {
                while !self.goes_on.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            _ => {}
        }
        self.result()
    }

    async fn run_async(self) -> Result<u64, &'static str> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        match self.does {
            Does::Slow => {
                let end = Instant::now() + Duration::from_millis(40);
                std::future::poll_fn(|context| {
                    context.waker().wake_by_ref();
                    match Instant::now() < end {
                        true => std::task::Poll::Pending,
                        false => std::task::Poll::Ready(()),
                    }
                })
                .await;
            }
            Does::Hang => pending().await,
            _ => {}
        }
        self.result()
    }
}

/// Panics, without the time that it takes to tell of it.
pub(crate) fn panics() -> ! {
    resume_unwind(Box::new(()))
}

/// How a read is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Blocking,
    /// Shadows are awaited by the SDK.
    Awaited,
    /// They are awaited by the application's runtime.
    Spawned,
}

pub(crate) fn read(
    route: &Route,
    way: Way,
    old: &Implementation,
    new: &Implementation,
) -> Option<Result<u64, &'static str>> {
    let (old, new) = (old.clone(), new.clone());
    let read = route.read("a key");
    let run = || match way {
        Way::Blocking => {
            let read = read.old(move || old.run()).new(move || new.run());
            read.compare(|old, new| old == new).run()
        }
        Way::Awaited | Way::Spawned => {
            let read = read.old(move || old.run_async());
            let read = read.new(move || new.run_async());
            block_on(read.compare(|old, new| old == new).run_async())
        }
    };
    catch_unwind(AssertUnwindSafe(run)).ok()
}

pub(crate) fn client(server: &Server, way: Way) -> Client {
    let builder = server
        .builder()
        .mirror_threads(64)
        .mirror_deadline(DEADLINE);
    let builder = match way {
        Way::Blocking | Way::Awaited => builder,
        Way::Spawned => builder.spawner(|future| drop(thread::spawn(|| block_on(future)))),
    };
    let client = builder.start().unwrap();
    assert!(client.wait_ready(PATIENCE));
    client
}

pub(crate) fn brief(stats: &PathStats) -> [u64; 4] {
    [stats.calls, stats.errors, stats.panics, stats.cancelled]
}

pub(crate) fn brief_mirror(stats: &MirrorStats) -> [u64; 7] {
    let [calls, errors, panics, cancelled] = brief(&stats.runs);
    let (compared, differed) = (stats.comparisons, stats.mismatches);
    [
        calls,
        errors,
        panics,
        cancelled,
        stats.dropped,
        compared,
        differed,
    ]
}

/// What is to be counted of an authority and of a mirror that do this.
fn expected(authority: Does, mirror: Option<Does>) -> ([u64; 4], [u64; 7]) {
    let ended = |does| match does {
        Does::Well | Does::Differ | Does::Slow => [1, 0, 0, 0],
        Does::Fail | Does::Hang => [1, 1, 0, 0],
        Does::Panic => [1, 0, 1, 0],
    };
    let is_result = |does| matches!(does, Does::Well | Does::Differ | Does::Slow);
    let Some(mirror) = mirror else {
        return (ended(authority), [0; 7]);
    };
    let [calls, errors, panics, cancelled] = ended(mirror);
    let compared = u64::from(is_result(authority) && is_result(mirror));
    let differs =
        u64::from(compared == 1 && (authority == Does::Differ) != (mirror == Does::Differ));
    let mirror = [calls, errors, panics, cancelled, 0, compared, differs];
    (ended(authority), mirror)
}

fn what_runs(way: Way) {
    let release = Release::default();
    let server = Server::start();
    let authorities = [
        Does::Well,
        Does::Differ,
        Does::Fail,
        Does::Panic,
        Does::Slow,
    ];
    let mirrors = [
        Does::Well,
        Does::Differ,
        Does::Fail,
        Does::Panic,
        Does::Slow,
        Does::Hang,
    ];
    let mut cases = Vec::new();
    for (setting, path) in [(OLD, Path::Old), (NEW, Path::New)] {
        for percent in [0, 100] {
            for authority in authorities {
                for mirror in mirrors {
                    let route = format!("r{}", cases.len());
                    server.set(&route, &mirrored(setting, percent));
                    cases.push((route, path, percent, authority, mirror));
                }
            }
        }
    }
    let client = client(&server, way);
    thread::scope(|scope| {
        for (route, path, percent, authority, mirror) in &cases {
            let (client, release) = (&client, &release);
            scope.spawn(move || {
                let route = client.route(route);
                let chosen = Implementation::new(*authority, release);
                let other = Implementation::new(*mirror, release);
                let (old, new) = match path {
                    Path::Old => (&chosen, &other),
                    Path::New => (&other, &chosen),
                };
                let case = format!("{path} {percent} % {authority:?} {mirror:?} {way:?}");
                // The caller gets what the authority says, and nothing else.
                let result = match authority {
                    Does::Panic => None,
                    _ => Some(chosen.result()),
                };
                assert_eq!(read(&route, way, old, new), result, "{case}");
                let mirror = (*percent == 100).then_some(*mirror);
                let (calls, runs) = expected(*authority, mirror);
                let counted = || {
                    let stats = route.stats();
                    let (old, new) = (stats.old, stats.new);
                    let (old_mirror, new_mirror) = (stats.old_mirror, stats.new_mirror);
                    match path {
                        Path::Old => (old, new_mirror, new, old_mirror),
                        Path::New => (new, old_mirror, old, new_mirror),
                    }
                };
                eventually(&format!("{case}: {runs:?}"), || {
                    brief_mirror(&counted().1) == runs
                });
                let (chosen_stats, _, unused, unused_mirror) = counted();
                assert_eq!(brief(&chosen_stats), calls, "{case}");
                assert_eq!((unused, unused_mirror), Default::default(), "{case}");
                assert_eq!(chosen.ran.load(Ordering::SeqCst), 1, "{case}");
                let beside = usize::from(mirror.is_some());
                assert_eq!(other.ran.load(Ordering::SeqCst), beside, "{case}");
            });
        }
    });
    // Nothing comes later, from what was late.
    drop(release);
    thread::sleep(Duration::from_millis(50));
    for (route, path, percent, authority, mirror) in &cases {
        let stats = client.route(route).stats();
        let mirrored = match path {
            Path::Old => stats.new_mirror,
            Path::New => stats.old_mirror,
        };
        let mirror = (*percent == 100).then_some(*mirror);
        assert_eq!(brief_mirror(&mirrored), expected(*authority, mirror).1);
    }
}

#[test]
fn what_runs_comes_back_is_counted_and_compared_blocking() {
    what_runs(Way::Blocking);
}

#[test]
fn what_runs_comes_back_is_counted_and_compared_awaited() {
    what_runs(Way::Awaited);
}

#[test]
fn what_runs_comes_back_is_counted_and_compared_spawned() {
    what_runs(Way::Spawned);
}
