//! Two processes write the same keys while these move from one store to the other and back: nothing
//! that was acknowledged is lost, and in the end both stores are the same.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use switchover::{Client, DataRoute, Next, Percent, Rollout, Setting, WriteError};

use crate::server::{Server, eventually};
use crate::stores::{Manner, Shelf};
use crate::writes::rollout;

const KEYS: u64 = 24;
const WRITERS: u64 = 4;
const FLIPS: u64 = 40;

struct Process {
    data: DataRoute,
    _client: Client,
    _spool: tempfile::TempDir,
}

struct World {
    server: Server,
    old: Shelf,
    new: Shelf,
    processes: Vec<Process>,
    /// What was last acknowledged of each key, held while it is written: so there is a last.
    last: Vec<Mutex<Option<String>>>,
    written: AtomicU64,
    waited_in_vain: AtomicU64,
    longest: Mutex<Duration>,
}

fn at(percent: u32, generation: u64) -> Rollout {
    Rollout {
        setting: ramp(percent),
        generation,
        ..rollout(switchover::Path::Old, 100)
    }
}

fn ramp(percent: u32) -> Setting {
    Setting::Ramp {
        percent: Percent::from_thousandths(percent * 1_000).unwrap(),
    }
}

impl World {
    fn new() -> World {
        let server = Server::start();
        let (old, new) = (Shelf::default(), Shelf::default());
        let world = World {
            processes: Vec::new(),
            last: (0..KEYS).map(|_| Mutex::default()).collect(),
            written: AtomicU64::new(0),
            waited_in_vain: AtomicU64::new(0),
            longest: Mutex::default(),
            server,
            old,
            new,
        };
        world.publish(&at(0, 1));
        let begin = |_| {
            let spool = tempfile::tempdir().unwrap();
            let client = world.server.builder().spool_dir(spool.path());
            let client = client.start().unwrap();
            let stores = (world.old.clone(), world.new.clone());
            let data = client.route("gear").stores(stores.0, stores.1).unwrap();
            assert!(data.wait_ready(crate::PATIENCE));
            Process {
                data,
                _client: client,
                _spool: spool,
            }
        };
        let processes = (0..2).map(begin).collect();
        World { processes, ..world }
    }

    fn publish(&self, rollout: &Rollout) {
        let json = serde_json::to_string(rollout).unwrap();
        self.server.set("gear", &json);
    }

    fn write(&self, data: &DataRoute, random: u64) {
        let n = random % KEYS;
        let key = format!("k{n}");
        let row = (!random.is_multiple_of(5)).then(|| format!("{random}"));
        let last = self.last.get(usize::try_from(n).unwrap());
        let mut last = last.unwrap().lock().unwrap();
        let put = |store: &Shelf| {
            match &row {
                Some(row) => store.set(&key, row),
                None => store.delete(&key),
            }
            Ok::<_, String>(())
        };
        let began = Instant::now();
        let write = data.write(&key).old(|_| put(&self.old));
        match write.new(|_| put(&self.new)).run() {
            Ok(()) => *last = row,
            Err(WriteError::Moving) => {
                self.waited_in_vain.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
        self.written.fetch_add(1, Ordering::Relaxed);
        let mut longest = self.longest.lock().unwrap();
        *longest = longest.max(began.elapsed());
    }

    /// As the server does it. Whether the flip was made.
    fn flip(&self, from: u32, to: u32, generation: u64) -> bool {
        let next = Next {
            stage: switchover::Stage::OptIn,
            setting: ramp(to),
            halted: false,
            include: [].into(),
            exclude: [].into(),
        };
        self.publish(&Rollout {
            hold: Some(Box::new(next)),
            ..at(from, generation)
        });
        let deadline = Instant::now() + Duration::from_millis(1_500);
        loop {
            let mut drained = BTreeMap::new();
            for (told, _) in self.server.told() {
                let said = told.routes.first().unwrap().drained;
                drained
                    .entry(told.instance)
                    .and_modify(|drained| *drained = said.or(*drained))
                    .or_insert(said);
            }
            if drained.len() == 2 && drained.values().all(|said| *said == Some(generation)) {
                self.publish(&at(to, generation));
                return true;
            }
            if Instant::now() >= deadline {
                self.publish(&at(from, generation));
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn nothing_is_lost_while_keys_move() {
    let world = World::new();
    let is_over = AtomicBool::new(false);
    let mut made = 0;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (world, is_over) = (&world, &is_over);
            scope.spawn(move || {
                let mut random = 77 + writer;
                let process = world
                    .processes
                    .iter()
                    .cycle()
                    .nth(usize::try_from(writer).unwrap());
                let data = &process.unwrap().data;
                while !is_over.load(Ordering::Relaxed) {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let drawn = random >> 33;
                    world.write(data, drawn);
                    if drawn % 7 == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
            });
        }
        let mut share = 0;
        for flip in 0..FLIPS {
            let to = u32::try_from((flip * 37 + 30) % 101).unwrap();
            // The new store is away at times: then there are repairs, and flips that wait for them.
            if flip % 8 == 5 {
                world.new.behave(Manner::Fails);
                std::thread::sleep(Duration::from_millis(10));
                world.new.behave(Manner::Well);
            }
            if world.flip(share, to, flip + 2) {
                share = to;
                made += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    for process in &world.processes {
        eventually("all is copied", || {
            process.data.status().under_way == 0 && process.data.repairs().is_empty()
        });
    }
    for (n, last) in world.last.iter().enumerate() {
        let last = last.lock().unwrap().clone();
        let key = format!("k{n}");
        assert_eq!(world.old.get(&key), last, "old {key}");
        assert_eq!(world.new.get(&key), last, "new {key}");
    }
    println!(
        "{} writes, {made} of {FLIPS} flips made, {} writes failed as moving, the longest took {:?}",
        world.written.load(Ordering::Relaxed),
        world.waited_in_vain.load(Ordering::Relaxed),
        world.longest.lock().unwrap(),
    );
    assert!(made > FLIPS / 2, "{made} flips were made");
}
