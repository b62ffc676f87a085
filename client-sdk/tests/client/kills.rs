//! A process that is killed amid its writes, again and again, leaves nothing that the next one does not
//! know of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchover::{Cause, Client, Path, Saved, Store, StoreError};

use crate::server::{Server, builder, eventually};
use crate::writes::rollout;

/// Tells the process that is to be killed where its stores and its spool are, and where the server is.
const PLACE: &str = "SWITCHOVER_TEST_KILLED_PLACE";
const URL: &str = "SWITCHOVER_TEST_KILLED_URL";
/// How often a process is killed: 20 times unless this says otherwise.
const KILLS: &str = "SWITCHOVER_TEST_KILLS";
const KEYS: u32 = 40;
const WRITERS: u32 = 4;

/// One file per row. Its processes come one after the other.
#[derive(Clone)]
struct Directory {
    path: PathBuf,
    /// How long a write takes.
    pause: Duration,
    lock: Arc<Mutex<()>>,
}

impl Directory {
    fn new(place: &FilePath, name: &str, pause: Duration) -> Directory {
        let path = place.join(name);
        fs::create_dir_all(&path).unwrap();
        Directory {
            path,
            pause,
            lock: Arc::default(),
        }
    }

    fn get(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.path.join(key)).ok()
    }

    fn put(&self, key: &str, row: Option<&String>) -> std::io::Result<()> {
        let Some(row) = row else {
            return match fs::remove_file(self.path.join(key)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let making = self.path.join(format!(".{key}"));
        fs::write(&making, row)?;
        fs::rename(making, self.path.join(key))
    }

    fn set(&self, key: &str, row: Option<&String>) -> std::io::Result<()> {
        let _lock = self.lock.lock().unwrap();
        self.put(key, row)
    }

    fn all(&self) -> BTreeMap<String, String> {
        let names = fs::read_dir(&self.path).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| !name.starts_with('.'));
        let row = |name: String| Some((name.clone(), self.get(&name)?));
        names.filter_map(row).collect()
    }
}

impl Store for Directory {
    type Row = String;

    fn load(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.get(key))
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&String>,
        row: Option<&String>,
        _generation: u64,
    ) -> Result<Saved, StoreError> {
        thread::sleep(self.pause);
        let _lock = self.lock.lock().unwrap();
        if self.get(key).as_ref() != expected {
            return Ok(Saved::Changed);
        }
        self.put(key, row)?;
        Ok(Saved::Stored)
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let after = |name: &String| key.is_none_or(|key| name.as_str() > key);
        Ok(self.all().into_keys().filter(after).take(limit).collect())
    }
}

fn stores(place: &FilePath) -> (Directory, Directory) {
    (
        Directory::new(place, "old", Duration::ZERO),
        Directory::new(place, "new", Duration::from_millis(2)),
    )
}

fn client(place: &FilePath, url: &str) -> Client {
    let client = builder(url).spool_dir(place.join("spool"));
    client.start().unwrap()
}

/// Not a test by itself: what is killed.
#[test]
fn is_killed() {
    let (Ok(place), Ok(url)) = (std::env::var(PLACE), std::env::var(URL)) else {
        return;
    };
    let place = PathBuf::from(place);
    let (old, new) = stores(&place);
    let client = client(&place, &url);
    let route = client.route("gear");
    let data = route.stores(old.clone(), new).unwrap();
    assert!(data.wait_ready(crate::PATIENCE));
    fs::write(place.join("writes"), "").unwrap();
    let writer = |n: u32| {
        let mut random = n + std::process::id();
        loop {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = format!("k{}", (random >> 8) % KEYS);
            let row = (!random.is_multiple_of(5)).then(|| format!("{n} {random}"));
            let write = data.write(&key).old(|_| old.set(&key, row.as_ref()));
            let written = write.new(|_| Err(std::io::Error::other("nothing is new")));
            written.run().unwrap();
        }
    };
    thread::scope(|scope| {
        for n in 0..WRITERS {
            scope.spawn(move || writer(n));
        }
    });
}

fn spawn(place: &FilePath, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kills::is_killed", "--nocapture"]);
    command.env(PLACE, place).env(URL, url);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn what_a_killed_process_leaves_is_made_equal() {
    let server = Server::start();
    let rollout = rollout(Path::Old, 100);
    server.set("gear", &serde_json::to_string(&rollout).unwrap());
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let (old, new) = stores(place);
    let kills = std::env::var(KILLS).map_or(20, |kills| kills.parse::<u64>().unwrap());
    let mut differed = 0;
    for n in 0..kills {
        let _ = fs::remove_file(place.join("writes"));
        let mut child = spawn(place, &server.url());
        eventually("it writes", || place.join("writes").exists());
        thread::sleep(Duration::from_millis(7 * (n % 8)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (old, new) = (old.all(), new.all());
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key));
        differed += differ.count();
    }
    println!("{kills} kills left {differed} rows that differed");
    assert!(differed > 0, "nothing was interrupted: this proves nothing");
    let client = client(place, &server.url());
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    eventually("all is repaired", || {
        data.status().is_in_contact && data.repairs().is_empty()
    });
    assert_eq!(old.all(), new.all());
    assert_eq!(data.status().unverified, None);
    let told = server.told();
    let mut repairs = told.iter().flat_map(|(told, _)| &told.routes[0].repairs);
    assert!(repairs.any(|repair| repair.cause == Cause::Interrupted));
}
