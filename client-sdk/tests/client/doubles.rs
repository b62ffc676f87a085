//! What a write runs, in which order, what comes back, what is counted and what becomes a repair, for
//! every way in which either side may behave.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use switchover::{Cause, Client, DataRoute, Path, RepairState, Step, WriteError};

use crate::calls::block_on;
use crate::server::{Server, eventually};
use crate::stores::{Manner, Shelf};
use crate::writes::rollout;

/// How the implementation that is run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Well,
    /// Having written.
    Fails,
    /// Having written.
    Panics,
    Slow,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    path: Path,
    is_mirrored: bool,
    outcome: Outcome,
    other: Manner,
    is_async: bool,
}

impl Case {
    fn all() -> Vec<Case> {
        let mut all = Vec::new();
        for path in [Path::Old, Path::New] {
            for is_mirrored in [true, false] {
                for outcome in [
                    Outcome::Well,
                    Outcome::Fails,
                    Outcome::Panics,
                    Outcome::Slow,
                ] {
                    for other in [Manner::Well, Manner::Fails, Manner::Panics, Manner::Hangs] {
                        for is_async in [false, true] {
                            all.push(Case {
                                path,
                                is_mirrored,
                                outcome,
                                other,
                                is_async,
                            });
                        }
                    }
                }
            }
        }
        all
    }

    fn is_known(self) -> bool {
        matches!(self.outcome, Outcome::Well | Outcome::Slow)
    }

    fn cause(self) -> Option<Cause> {
        if !self.is_mirrored || self.other == Manner::Well {
            return None;
        }
        Some(match self.other {
            _ if !self.is_known() => Cause::UnknownOutcome,
            Manner::Hangs => Cause::TimedOut,
            _ => Cause::Failed,
        })
    }
}

/// A case under way.
struct Run {
    case: Case,
    data: DataRoute,
    old: Shelf,
    new: Shelf,
}

impl Run {
    fn begin(case: Case, client: &Client, route: &str) -> Run {
        let (old, new) = (Shelf::default(), Shelf::default());
        let data = client
            .route(route)
            .stores(old.clone(), new.clone())
            .unwrap();
        Run {
            case,
            data,
            old,
            new,
        }
    }

    fn authority(&self) -> &Shelf {
        match self.case.path {
            Path::Old => &self.old,
            Path::New => &self.new,
        }
    }

    fn other(&self) -> &Shelf {
        match self.case.path {
            Path::Old => &self.new,
            Path::New => &self.old,
        }
    }

    fn behaves(&self, at: Path, ran: &RefCell<Vec<Path>>) -> Result<Path, String> {
        ran.borrow_mut().push(at);
        let store = match at {
            Path::Old => &self.old,
            Path::New => &self.new,
        };
        // The copy comes after the write, whatever becomes of that.
        assert_eq!(self.other().get("key"), None);
        if self.case.outcome == Outcome::Slow {
            std::thread::sleep(Duration::from_millis(5));
        }
        store.set("key", "row");
        match self.case.outcome {
            Outcome::Well | Outcome::Slow => Ok(at),
            Outcome::Fails => Err("the write fails".to_owned()),
            Outcome::Panics => panic!("the write panics"),
        }
    }

    fn write(&self) {
        self.other().behave(self.case.other);
        let ran = RefCell::new(Vec::new());
        let write = self.data.write("key");
        let came = catch_unwind(AssertUnwindSafe(|| match self.case.is_async {
            false => write
                .old(|generation| {
                    assert_eq!(generation, 1);
                    self.behaves(Path::Old, &ran)
                })
                .new(|_| self.behaves(Path::New, &ran))
                .run(),
            true => block_on(
                write
                    .old(async |_| self.behaves(Path::Old, &ran))
                    .new(async |generation| {
                        assert_eq!(generation, 1);
                        self.behaves(Path::New, &ran)
                    })
                    .run_async(),
            ),
        }));
        assert_eq!(*ran.borrow(), [self.case.path], "{:?}", self.case);
        match self.case.outcome {
            Outcome::Well | Outcome::Slow => assert_eq!(came.unwrap(), Ok(self.case.path)),
            Outcome::Fails => {
                let failed = WriteError::Failed("the write fails".to_owned());
                assert_eq!(came.unwrap(), Err(failed));
            }
            Outcome::Panics => assert!(came.is_err()),
        }
    }

    fn check(&self) {
        let case = self.case;
        let what = format!("{case:?}");
        match case.cause() {
            None if case.is_mirrored => {
                eventually(&what, || self.other().get("key").is_some());
                assert_eq!(self.other().get("key"), self.authority().get("key"));
                eventually(&what, || self.data.status().under_way == 0);
                assert_eq!(self.data.repairs(), []);
            }
            None => {
                assert_eq!(self.other().get("key"), None, "{what}");
                assert_eq!(self.data.status().under_way, 0);
                assert_eq!(self.data.repairs(), []);
            }
            Some(cause) => {
                eventually(&what, || !self.data.repairs().is_empty());
                let repairs = self.data.repairs();
                let repair = repairs.first().unwrap();
                assert_eq!(repair.key, "key");
                assert_eq!((repair.cause, repair.written), (cause, case.path), "{what}");
                assert_eq!(repair.state, RepairState::Open);
                let load = match case.path {
                    Path::Old => Step::LoadNew,
                    Path::New => Step::LoadOld,
                };
                let failed_at = match case.other {
                    Manner::Hangs => Some(Step::Deadline),
                    Manner::Fails => Some(load),
                    _ => None,
                };
                assert_eq!(repair.failed_at, failed_at, "{what}");
            }
        }
        self.check_counts(&what);
    }

    fn check_counts(&self, what: &str) {
        let case = self.case;
        let stats = self.data.route().stats();
        let (calls, idle) = match case.path {
            Path::Old => (stats.old, stats.new),
            Path::New => (stats.new, stats.old),
        };
        assert_eq!((calls.calls, idle.calls), (1, 0), "{what}");
        assert_eq!(calls.errors, u64::from(case.outcome == Outcome::Fails));
        assert_eq!(calls.panics, u64::from(case.outcome == Outcome::Panics));
        let (mirror, idle) = match case.path {
            Path::Old => (stats.new_mirror.runs, stats.old_mirror.runs),
            Path::New => (stats.old_mirror.runs, stats.new_mirror.runs),
        };
        let copies = u64::from(case.is_mirrored);
        assert_eq!((mirror.calls, idle.calls), (copies, 0), "{what}");
        let is = |manners: &[Manner]| u64::from(manners.contains(&case.other)) * copies;
        assert_eq!(mirror.errors, is(&[Manner::Fails, Manner::Hangs]), "{what}");
        assert_eq!(mirror.panics, is(&[Manner::Panics]), "{what}");
    }
}

#[test]
fn every_setting_by_every_way_in_which_either_side_may_behave() {
    let server = Server::start();
    let cases = Case::all();
    let name = |n: usize| format!("gear_{n}");
    for (n, case) in cases.iter().enumerate() {
        let rollout = rollout(case.path, if case.is_mirrored { 100 } else { 0 });
        server.set(&name(n), &serde_json::to_string(&rollout).unwrap());
    }
    let client = server.builder().mirror_threads(200);
    let client = client.mirror_deadline(Duration::from_secs(1));
    let client = client.start().unwrap();
    let begin = |(n, case): (usize, &Case)| Run::begin(*case, &client, &name(n));
    let runs: Vec<Run> = cases.iter().enumerate().map(begin).collect();
    eventually("the process is in contact", || {
        runs.iter().all(|run| run.data.status().is_in_contact)
    });
    // The hanging ones last: they have the longest to wait for.
    for manner in [Manner::Well, Manner::Fails, Manner::Panics, Manner::Hangs] {
        let of_manner = || runs.iter().filter(|run| run.case.other == manner);
        of_manner().for_each(Run::write);
        of_manner().for_each(Run::check);
    }
    for run in &runs {
        run.other().behave(Manner::Well);
    }
    for run in runs.iter().filter(|run| run.case.other == Manner::Hangs) {
        let what = format!("{:?} is over", run.case);
        eventually(&what, || {
            run.data.repairs().is_empty() && run.data.status().under_way == 0
        });
        let is_copied = run.other().get("key").is_some();
        assert_eq!(is_copied, run.case.is_mirrored, "{what}");
    }
}

#[test]
fn a_future_that_is_dropped_is_copied_and_counts_as_cancelled() {
    let doubling = crate::writes::doubling(Path::Old, 100);
    let old = &doubling.old;
    let write = doubling.data.write("a");
    let write = write.old(async |_| {
        old.set("a", "1");
        std::future::pending::<Result<(), String>>().await
    });
    let write = write.new(async |_| Ok(()));
    let mut future = Box::pin(write.run_async());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert_eq!(doubling.data.status().under_way, 1);
    drop(future);
    eventually("it is copied", || doubling.new.get("a").is_some());
    eventually("nothing is under way", || {
        doubling.data.status().under_way == 0
    });
    assert_eq!(doubling.data.route().stats().old.cancelled, 1);
}

#[test]
fn a_future_waits_while_its_key_moves_and_gives_up() {
    use crate::writes::{doubling, held};
    let doubling = doubling(Path::Old, 100);
    doubling.client.set_rollout("gear", held(Path::Old));
    let write = |key: &'static str| {
        let (old, new) = (doubling.old.clone(), doubling.new.clone());
        let data = doubling.data.clone();
        move || {
            let write = data.write(key).old(async |_| {
                old.set(key, "1");
                Ok::<_, String>(Path::Old)
            });
            let write = write.new(async |_| {
                new.set(key, "1");
                Ok(Path::New)
            });
            block_on(write.run_async())
        }
    };
    let gives_up = std::thread::spawn(write("a"));
    assert_eq!(gives_up.join().unwrap(), Err(WriteError::Moving));
    assert_eq!(doubling.old.get("a"), None);
    let waits = std::thread::spawn(write("b"));
    std::thread::sleep(Duration::from_millis(30));
    assert!(!waits.is_finished());
    let mut flipped = rollout(Path::New, 100);
    flipped.generation = 2;
    doubling.client.set_rollout("gear", flipped);
    assert_eq!(waits.join().unwrap(), Ok(Path::New));
}
