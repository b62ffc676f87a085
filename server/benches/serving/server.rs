//! A real server in a process of its own: started, filled, measured from outside.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{headline, millis, quantile, row};

const SERVER: &str = env!("CARGO_BIN_EXE_switchover");

/// A child that is killed when it is no longer needed.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
}

impl Process {
    /// A Switchover server over this data directory.
    pub(crate) fn switchover(data_dir: &Path) -> Process {
        let mut command = Command::new(SERVER);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .env("RUST_LOG", "warn");
        Process::start(command)
    }

    /// One of the limits, served by this very program.
    pub(crate) fn limit(mode: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(mode);
        Process::start(command)
    }

    fn start(mut command: Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| {
                let line = line.unwrap();
                let url = line
                    .split_whitespace()
                    .find(|word| word.starts_with("http://127.0.0.1:"))?;
                Some(url.trim_end_matches('/').to_owned())
            })
            .expect("the server says where it listens");
        // What it says later is read too, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let process = Process { child, url };
        process.wait_until_ready();
        process
    }

    fn wait_until_ready(&self) {
        let address = self.url.trim_start_matches("http://");
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1_024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with data, and who may change it.
pub(crate) struct Filled {
    pub(crate) process: Process,
    token: String,
    pub(crate) sdk_key: String,
    _directory: tempfile::TempDir,
}

impl Filled {
    /// A server with this many routes under the policy `open`, and an SDK key for dev.
    pub(crate) fn with_routes(count: usize) -> Filled {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::switchover(directory.path());
        let token = Command::new(SERVER)
            .args([
                "token",
                "create",
                "--role",
                "admin",
                "--subject",
                "bench",
                "--ttl",
                "1h",
            ])
            .arg("--data-dir")
            .arg(directory.path())
            .output()
            .unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let mut filled = Filled {
            process,
            token,
            sdk_key: String::new(),
            _directory: directory,
        };
        let routes: Vec<Value> = (0..count)
            .map(|n| {
                json!({
                    "endpoint": format!("bench.Service/Route{n}"),
                    "key": format!("route_{n}"),
                    "flag": format!("BENCH_ROUTE_{n}"),
                    "operation": "read",
                    "owner": "bench",
                    "policy": "open",
                })
            })
            .collect();
        filled.post("/routes:import", &Value::Array(routes));
        let key = filled.post("/sdk-keys", &json!({"environment": "dev", "name": "bench"}));
        filled.sdk_key = key["key"].as_str().unwrap().to_owned();
        filled
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self._directory.path()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.send(ureq::post(self.address(path)), body)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Value {
        self.send(ureq::put(self.address(path)), body)
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Value {
        self.send(ureq::patch(self.address(path)), body)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let request = ureq::get(self.address(path));
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        request.call().unwrap().body_mut().read_json().unwrap()
    }

    /// Sends a batch of telemetry as an SDK does.
    pub(crate) fn report(&self, batch: &Value) {
        ureq::post(format!("{}/sdk/v1/telemetry", self.process.url))
            .header("Authorization", format!("Bearer {}", self.sdk_key))
            .send_json(batch)
            .unwrap();
    }

    /// A page, as somebody who has signed in gets it.
    pub(crate) fn page(&self, path: &str) -> String {
        ureq::get(format!("{}{path}", self.process.url))
            .header("Cookie", format!("switchover_session={}", self.token))
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap()
    }

    /// The version that dev is published at.
    pub(crate) fn version(&self) -> switchover::Version {
        let mut answer = ureq::get(format!("{}/sdk/v1/snapshot", self.process.url))
            .header("Authorization", format!("Bearer {}", self.sdk_key))
            .call()
            .unwrap();
        let snapshot: Value = answer.body_mut().read_json().unwrap();
        snapshot["version"].as_str().unwrap().parse().unwrap()
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.process.url)
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Value {
        request
            .header("Authorization", format!("Bearer {}", self.token))
            .send_json(body)
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap()
    }
}

pub(crate) fn run() {
    headline("the process: start and memory");
    let filled = Filled::with_routes(1_000);
    let directory = filled.data_dir().to_owned();
    let Filled {
        process,
        _directory,
        ..
    } = filled;
    drop(process);
    let mut starts: Vec<f64> = (0..7)
        .map(|_| {
            let started = Instant::now();
            let process = Process::switchover(&directory);
            let elapsed = millis(started.elapsed());
            drop(process);
            elapsed
        })
        .collect();
    starts.sort_by(f64::total_cmp);
    row(
        "cold start with 1,000 routes, median of 7 (min-max)",
        &format!(
            "{:.0} ({:.0}-{:.0}) ms",
            quantile(&starts, 0.5),
            starts[0],
            starts[6]
        ),
        "100 ms",
    );
    let idle = tempfile::tempdir().unwrap();
    let process = Process::switchover(idle.path());
    std::thread::sleep(Duration::from_secs(2));
    row(
        "resident memory, idle",
        &format!("{:.1} MiB", process.resident()),
        "20 MiB",
    );
}
