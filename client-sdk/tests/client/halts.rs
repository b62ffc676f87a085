//! A halt moves keys back without having waited for anything. What was acknowledged after it is
//! never overwritten by what was under way; and nothing that was acknowledged before it is forgotten.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchover::{Client, DataRoute, Path, RepairState, Rollout, WriteError, testing};

use crate::calls::block_on;
use crate::server::{Server, eventually};
use crate::stores::{Manner, Shelf};
use crate::writes::rollout;

/// Back at the old store, unannounced.
fn halted(generation: u64) -> Rollout {
    Rollout {
        halted: true,
        generation,
        ..rollout(Path::New, 100)
    }
}

struct Halting {
    client: testing::TestClient,
    data: DataRoute,
    old: Shelf,
    new: Shelf,
}

impl Halting {
    fn fenced() -> Halting {
        Halting::with(Shelf::fenced(), Shelf::fenced())
    }

    fn with(old: Shelf, new: Shelf) -> Halting {
        let client = testing::client();
        client.set_rollout("gear", rollout(Path::New, 100));
        let route = client.route("gear");
        Halting {
            data: route.stores(old.clone(), new.clone()).unwrap(),
            client,
            old,
            new,
        }
    }

    fn write(&self, row: &str) -> Result<(), WriteError<String>> {
        let write = self.data.write("a");
        let write = write.old(|generation| self.old.put("a", Some(row), generation));
        write
            .new(|generation| self.new.put("a", Some(row), generation))
            .run()
    }

    async fn write_async(&self, row: &str) -> Result<(), WriteError<String>> {
        let write = self.data.write("a");
        let write = write.old(|generation| async move { self.old.put("a", Some(row), generation) });
        let write = write.new(|generation| async move { self.new.put("a", Some(row), generation) });
        write.run_async().await
    }
}

#[test]
fn a_copy_under_way_does_not_undo_what_is_written_after_a_halt() {
    for (is_fenced, is_async) in [(true, false), (true, true), (false, false), (false, true)] {
        let halting = match is_fenced {
            true => Halting::fenced(),
            false => Halting::with(Shelf::default(), Shelf::default()),
        };
        halting.old.behave(Manner::Hangs);
        halting.write("before").unwrap();
        // Its copy has read it in the new store, and is about to look at the old one.
        eventually("its copy has begun", || {
            halting.data.status().under_way > 0 && halting.old.is_asked()
        });
        halting.client.set_rollout("gear", halted(2));
        thread::scope(|scope| {
            let written = scope.spawn(|| match is_async {
                false => halting.write("after"),
                true => block_on(halting.write_async("after")),
            });
            thread::sleep(Duration::from_millis(50));
            halting.old.behave(Manner::Well);
            assert_eq!(written.join().unwrap(), Ok(()));
        });
        eventually("it is copied", || {
            halting.data.status().under_way == 0 && halting.data.repairs().is_empty()
        });
        for shelf in [&halting.old, &halting.new] {
            assert_eq!(
                shelf.get("a").as_deref(),
                Some("after"),
                "{is_fenced} {is_async}"
            );
        }
    }
}

#[test]
fn a_store_that_hangs_does_not_keep_the_other_one_from_being_written() {
    let halting = Halting::fenced();
    halting.new.behave(Manner::Hangs);
    let began = Instant::now();
    halting.client.set_rollout("gear", halted(2));
    assert_eq!(halting.write("after"), Ok(()));
    // The other store's fence is waited for a moment only.
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(halting.old.get("a").as_deref(), Some("after"));
    halting.new.behave(Manner::Well);
    eventually("it is copied", || {
        halting.new.get("a").as_deref() == Some("after")
    });
}

#[test]
fn a_fence_that_cannot_be_raised_delays_writes_and_refuses_none() {
    let halting = Halting::fenced();
    halting.old.behave(Manner::Fails);
    let began = Instant::now();
    halting.client.set_rollout("gear", halted(2));
    assert_eq!(halting.write("after"), Ok(()));
    assert!(began.elapsed() >= Duration::from_secs(2));
    // That was once, not for each write.
    let began = Instant::now();
    assert_eq!(halting.write("later"), Ok(()));
    assert!(began.elapsed() < Duration::from_secs(1));
}

const KEYS: u64 = 4;
const ROUNDS: u64 = 12;

struct Process {
    data: DataRoute,
    _client: Client,
    _spool: tempfile::TempDir,
}

/// Two processes that write the same keys.
struct World {
    server: Server,
    old: Shelf,
    new: Shelf,
    processes: Vec<Process>,
    /// What was last acknowledged of each key, held while it is written: so there is a last.
    last: Vec<Mutex<Option<String>>>,
    stamp: AtomicU64,
}

impl World {
    fn new() -> World {
        let server = Server::start();
        publish(&server, &rollout(Path::New, 100));
        let (old, new) = (Shelf::fenced(), Shelf::fenced());
        let begin = |_| {
            let spool = tempfile::tempdir().unwrap();
            let client = server.builder().spool_dir(spool.path()).start().unwrap();
            let stores = (old.clone(), new.clone());
            let data = client.route("gear").stores(stores.0, stores.1).unwrap();
            assert!(data.wait_ready(crate::PATIENCE));
            Process {
                data,
                _client: client,
                _spool: spool,
            }
        };
        World {
            processes: (0..2).map(begin).collect(),
            last: (0..KEYS).map(|_| Mutex::default()).collect(),
            stamp: AtomicU64::new(0),
            server,
            old,
            new,
        }
    }

    fn write(&self, data: &DataRoute, n: usize) {
        let mut last = self.last.get(n).unwrap().lock().unwrap();
        let row = self.stamp.fetch_add(1, Ordering::Relaxed).to_string();
        let key = key(n);
        let put = |store: &Shelf, generation| store.put(&key, Some(&row), generation);
        let write = data
            .write(&key)
            .old(|generation| put(&self.old, generation));
        match write.new(|generation| put(&self.new, generation)).run() {
            Ok(()) => *last = Some(row),
            // It was refused by a fence, or its key moved: nothing is written.
            Err(WriteError::Failed(_) | WriteError::Moving) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn key(n: usize) -> String {
    format!("k{n}")
}

fn publish(server: &Server, rollout: &Rollout) {
    server.set("gear", &serde_json::to_string(rollout).unwrap());
}

#[test]
fn nothing_that_was_acknowledged_is_forgotten_by_a_halt() {
    for round in 0..ROUNDS {
        let world = World::new();
        world.old.delay(Duration::from_millis(1 + round % 4 * 4));
        world.new.delay(Duration::from_millis(round % 3 * 2));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for (process, n) in world.processes.iter().cycle().zip(0..4_usize) {
                let (world, is_over) = (&world, &is_over);
                scope.spawn(move || {
                    let keys = usize::try_from(KEYS).unwrap();
                    for turn in 0..usize::MAX {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        world.write(&process.data, (n + turn * 5) % keys);
                        thread::sleep(Duration::from_micros(700));
                    }
                });
            }
            thread::sleep(Duration::from_millis(40 + 3 * round));
            publish(&world.server, &halted(2));
            for process in &world.processes {
                eventually("it has heard of the halt", || {
                    process.data.status().generation == 2
                });
            }
            thread::sleep(Duration::from_millis(round % 5));
            is_over.store(true, Ordering::Relaxed);
        });
        let mut conflicts = BTreeSet::new();
        for process in &world.processes {
            let is_open = |state: RepairState| state == RepairState::Open;
            eventually("nothing is open but for a person", || {
                let repairs = process.data.repairs();
                let is_settled = repairs.iter().all(|repair| !is_open(repair.state));
                process.data.status().under_way == 0 && is_settled
            });
            let repairs = process.data.repairs();
            conflicts.extend(repairs.into_iter().map(|repair| repair.key));
        }
        for (n, last) in world.last.iter().enumerate() {
            let last = last.lock().unwrap().clone();
            let rows = [&world.old, &world.new].map(|store| store.get(&key(n)));
            match conflicts.contains(&key(n)) {
                // A person chooses: it must be there to be chosen.
                true => assert!(rows.contains(&last), "{round}: {last:?} of {rows:?}"),
                false => assert_eq!(rows, [last.clone(), last], "{round}"),
            }
        }
    }
}
