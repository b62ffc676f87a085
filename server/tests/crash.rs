//! T22: kill -9 at any moment. Every change that was acknowledged is on record with its audit
//! entry, and no other is half there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{App, Engine, Remote, TestDatabase, Who, at};

const CLIENTS: usize = 3;

#[test]
fn sqlite() {
    crash_again_and_again(Engine::Sqlite, 50);
}

#[test]
fn postgres() {
    crash_again_and_again(Engine::Postgres, 15);
}

/// The product's own program.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) remote: Remote,
}

impl Server {
    fn start(data: &Path, database: &TestDatabase) -> Server {
        Server::start_with(data, database, &[])
    }

    pub(crate) fn start_with(data: &Path, database: &TestDatabase, more: &[&str]) -> Server {
        // A file that may not grow any more is then an error, as on a full disk, and not the end.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_switchover"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database",
                database.url(),
            ])
            .arg("--data-dir")
            .arg(data)
            .args(more)
            .env("SWITCHOVER_SIGNING_KEY", App::signing_key())
            .env_remove("SWITCHOVER_DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = None;
        loop {
            let line = lines
                .next()
                .expect("the server says that it is ready")
                .unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                address = address.or(rest.split('/').next().map(str::to_owned));
            }
            if line.trim() == "ready" {
                break;
            }
        }
        let remote = Remote::at(&address.expect("the server says where it listens"));
        Server { child, remote }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A backfill goes on where it was: no batch that was acknowledged is lost, and none counts twice.
fn a_backfill_survives(engine: Engine) {
    let data: TempDir = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(engine);
    let mut server = Server::start(data.path(), &database);
    let remote = &server.remote;
    let route = json!({
        "endpoint": "gear.Items/Save", "key": "save", "operation": "write", "owner": "test",
        "policy": "open",
    });
    remote.post(Who::OPERATOR, "routes", &route).expect(201);
    let mirror = json!({ "read_percent": 0, "write_percent": 100, "reason": "test" });
    let path = at("save", "dev", "mirror");
    remote.put(Who::OPERATOR, &path, &mirror).expect(200);
    let made = json!({ "environment": "dev", "name": "test" });
    let made = remote.post(Who::MAINTAINER, "sdk-keys", &made).expect(201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let say = |server: &Server, path: &str, body: &Value| {
        let request = server.remote.request("POST", &format!("/sdk/v1/{path}"));
        request.bearer(&key).json(body).send().expect(200).json()
    };
    let start = json!({ "instance": "a", "route": "save", "batch": 10 });
    let begun = say(&server, "backfills", &start);
    let path = format!("backfills/{}", begun["id"].as_str().unwrap());
    let batch = |number: u64| {
        let cursor = format!("k{number:03}");
        json!({ "instance": "a", "cursor": cursor, "keys": 10, "copied": 9, "failed": [cursor] })
    };
    for number in 1..=12 {
        let done = say(&server, &path, &batch(number));
        assert_eq!(done["keys"], number * 10);
        if number % 3 != 0 {
            continue;
        }
        server.kill();
        server = Server::start(data.path(), &database);
        let asked = say(&server, &path, &json!({ "instance": "a", "cursor": null }));
        assert_eq!(asked["cursor"], format!("k{number:03}"));
        // Its answer may have been lost with the server.
        let again = say(&server, &path, &batch(number));
        let counts = ["keys", "copied", "failed"].map(|name| again[name].as_u64().unwrap());
        assert_eq!(counts, [number * 10, number * 9, number]);
    }
    let repairs = server.remote.get(&at("save", "dev", "repairs")).expect(200);
    assert_eq!(repairs.json()["items"].as_array().unwrap().len(), 12);
    server.kill();
}

#[test]
fn a_backfill_survives_on_sqlite() {
    a_backfill_survives(Engine::Sqlite);
}

#[test]
fn a_backfill_survives_on_postgres() {
    a_backfill_survives(Engine::Postgres);
}

/// T31: no room left. Nothing is half done, what is known is served, and it recovers by itself.
#[test]
fn a_full_disk() {
    let data: TempDir = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(Engine::Sqlite);
    let mut server = Server::start(data.path(), &database);
    let remote = &server.remote;
    let route = json!({
        "endpoint": "gitaly.Service/A", "key": "a", "operation": "read", "owner": "test",
        "policy": "open",
    });
    remote.post(Who::OPERATOR, "routes", &route).expect(201);
    let made = json!({ "environment": "dev", "name": "test" });
    let made = remote.post(Who::MAINTAINER, "sdk-keys", &made).expect(201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    // Files may not become larger than this; a signal that nobody handles would say so first.
    let limit = |bytes: &str| {
        let limited = Command::new("prlimit")
            .args(["--pid", &server.child.id().to_string()])
            .arg(format!("--fsize={bytes}:unlimited"))
            .status()
            .expect("this test needs prlimit: apt-get install util-linux");
        assert!(limited.success());
    };
    let change = |number: usize| {
        let mode = if number.is_multiple_of(2) {
            "on"
        } else {
            "off"
        };
        let body = json!({ "mode": mode, "reason": "x".repeat(900) });
        remote.put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
    };
    limit("600000");
    let mut changes = 0;
    let refused = loop {
        let reply = change(changes);
        if reply.status != 200 {
            break reply;
        }
        changes += 1;
        assert!(changes < 2_000, "the disk is never full");
    };
    assert_eq!(refused.code(503), "unavailable");
    assert!(refused.header("retry-after").is_some());
    let served = remote
        .request("GET", "/sdk/v1/snapshot")
        .bearer(&key)
        .send();
    assert_eq!(served.expect(200).json()["environment"], "dev");
    let revision = |remote: &Remote| {
        let rollout = remote.get(&at("a", "dev", "")).expect(200).json();
        usize::try_from(rollout["revision"].as_u64().unwrap()).unwrap()
    };
    assert_eq!(revision(remote), changes + 1);
    limit("unlimited");
    change(changes).expect(200);
    assert_eq!(revision(remote), changes + 2);
    let verified = remote.post(Who::VIEWER, "audit/verify", &json!({})).json();
    // One for the route, one for the key.
    assert_eq!(verified["intact"], true, "{verified}");
    assert_eq!(verified["entries"], changes + 3);
    server.kill();
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn crash_again_and_again(engine: Engine, kills: u64) {
    let data: TempDir = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(engine);
    let acknowledged = Mutex::new(Vec::new());
    let (mut checked, mut kept, mut lost) = (0, 0, Vec::new());
    let counter = AtomicU64::new(0);
    let mut server = Server::start(data.path(), &database);
    for client in 0..CLIENTS {
        let body = json!({
            "endpoint": "gitaly.Service/X", "key": format!("route_{client}"),
            "flag": format!("GITALY_ROUTE_{client}"), "operation": "read", "owner": "test",
            "policy": "open",
        });
        server
            .remote
            .post(Who::OPERATOR, "routes", &body)
            .expect(201);
    }
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..kills {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (remote, acknowledged, counter) = (&server.remote, &acknowledged, &counter);
                scope.spawn(move || {
                    change_until_it_breaks(remote, client, acknowledged, counter);
                });
            }
            // Every other time while something has been done for certain, else at any moment.
            let asked = Instant::now();
            while round % 2 == 0
                && acknowledged.lock().unwrap().is_empty()
                && asked.elapsed() < Duration::from_secs(10)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            std::thread::sleep(Duration::from_micros((chance >> 40) % 120_000));
            server.child.kill().unwrap();
        });
        server.kill();
        server = Server::start(data.path(), &database);
        let entries = record_since(&server.remote, checked);
        checked = entries.keys().next_back().copied().unwrap_or(checked);
        for reason in acknowledged.lock().unwrap().drain(..) {
            if entries.values().any(|entry| entry["reason"] == reason) {
                kept += 1;
            } else {
                lost.push(reason);
            }
        }
        assert_whole(&server.remote);
    }
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(kept >= kills / 2, "only {kept} changes were acknowledged");
    server.kill();
}

/// Promotes, sets and demotes one route, over and over. What is acknowledged is noted by its
/// reason, which no other change has.
fn change_until_it_breaks(
    remote: &Remote,
    client: usize,
    acknowledged: &Mutex<Vec<String>>,
    counter: &AtomicU64,
) {
    let route = format!("route_{client}");
    let steps = [
        ("POST", "demotions", json!({ "to": "ready_for_testing" })),
        ("POST", "promotions", json!({ "to": "opt_in" })),
        ("PUT", "setting", json!({ "mode": "ramp", "percent": 12.5 })),
        ("POST", "halt", json!({})),
        ("POST", "resume", json!({})),
        ("PUT", "setting", json!({ "mode": "stage_default" })),
    ];
    loop {
        for (method, what, body) in &steps {
            let reason = format!("change {}", counter.fetch_add(1, Ordering::Relaxed));
            let mut body = body.clone();
            body["reason"] = json!(reason);
            let request = remote.request(method, &at(&route, "dev", what));
            match request.by(Who::OPERATOR).json(&body).try_send() {
                // Nothing may have changed, such as when the first demotion finds nothing to do.
                Ok(reply) if reply.status < 300 => {
                    if reply.json()["changed"] == true {
                        acknowledged.lock().unwrap().push(reason);
                    }
                }
                Ok(reply) => assert_eq!(reply.status, 409, "{}", reply.body),
                Err(_) => return,
            }
        }
    }
}

/// The entries of the record after a place, by place.
fn record_since(remote: &Remote, after: u64) -> BTreeMap<u64, Value> {
    let mut entries = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = remote
            .get(&format!("audit?limit=500{cursor}"))
            .expect(200)
            .json();
        for entry in page["items"].as_array().unwrap() {
            let place = entry["seq"].as_u64().unwrap();
            if place <= after {
                return entries;
            }
            entries.insert(place, entry.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return entries,
        }
    }
}

/// Each rollout is as the last entry about it says, and the record vouches for itself.
fn assert_whole(remote: &Remote) {
    let verified = remote
        .post(Who::VIEWER, "audit/verify", &json!({}))
        .expect(200)
        .json();
    assert_eq!(verified["intact"], true, "{verified}");
    for client in 0..CLIENTS {
        let route = format!("route_{client}");
        let rollout = remote.get(&at(&route, "dev", "")).expect(200).json();
        let history = remote.get(&format!("routes/{route}/history?environment=dev&limit=1"));
        let history = history.expect(200).json();
        let Some(last) = history["items"].get(0) else {
            assert_eq!(rollout["revision"], 1);
            continue;
        };
        for fact in ["revision", "stage", "setting", "halt"] {
            let same = match (&last["after"][fact], &rollout[fact]) {
                // The same moment may be written with more or fewer digits.
                (Value::Object(a), Value::Object(b)) => a.get("reason") == b.get("reason"),
                (a, b) => a == b,
            };
            assert!(same, "{fact}: {last} but {rollout}");
        }
    }
}
