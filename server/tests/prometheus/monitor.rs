//! A Prometheus, and its tool.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Remote, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

/// A Prometheus that scrapes twice a second, on a port of its own.
pub(crate) struct Monitor {
    child: Child,
    remote: Remote,
    _directory: TempDir,
}

impl Monitor {
    /// One that scrapes a server, with a file of rules.
    pub(crate) fn start(target: &str, rules: Option<&str>) -> Monitor {
        let directory = TempDir::new().unwrap();
        let rules = rules.map_or_else(String::new, |file| format!("rule_files: [{file:?}]\n"));
        let config = format!(
            "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  \
             evaluation_interval: 500ms\n{rules}\
             scrape_configs:\n  - job_name: switchover\n    static_configs:\n      \
             - targets: [{target:?}]\n"
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Somebody else may take the port in between: then it ends, and another is tried.
        for _ in 0..5 {
            if let Some(monitor) = Monitor::try_start(&file, &directory) {
                let (child, remote) = monitor;
                return Monitor {
                    child,
                    remote,
                    _directory: directory,
                };
            }
        }
        panic!("Prometheus does not start");
    }

    fn try_start(config: &Path, directory: &TempDir) -> Option<(Child, Remote)> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package prometheus is installed");
        let remote = Remote::at(&address);
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            let reply = remote.request("GET", "/-/ready").try_send();
            if reply.is_ok_and(|reply| reply.status == 200) {
                return Some((child, remote));
            }
            assert!(began.elapsed() < PATIENCE, "Prometheus is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.remote.address())
    }

    /// The samples that a query has now.
    fn samples(&self, query: &str) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query?query={query}");
        let answer = self.remote.request("GET", &path).send().expect(200).json();
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The value of the first sample.
    #[track_caller]
    pub(crate) fn value(&self, query: &str) -> f64 {
        let samples = self.samples(query);
        let first = samples
            .first()
            .unwrap_or_else(|| panic!("{query}: nothing"));
        first["value"][1].as_str().unwrap().parse().unwrap()
    }

    /// Waits until a query has a sample.
    pub(crate) fn until_known(&self, query: &str) {
        eventually(query, PATIENCE, || {
            (!self.samples(query).is_empty()).then_some(())
        });
    }

    /// The labels of the alerts that fire.
    pub(crate) fn firing(&self) -> Vec<Value> {
        let answer = self
            .remote
            .request("GET", "/api/v1/alerts")
            .send()
            .expect(200)
            .json();
        let alerts = answer["data"]["alerts"].as_array().unwrap().clone();
        let firing = alerts
            .into_iter()
            .filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"].clone()).collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the tool, which must be satisfied.
#[track_caller]
pub(crate) fn promtool(arguments: &[&str]) -> String {
    let done = Command::new("promtool").args(arguments).output();
    let done = done.expect("the package prometheus is installed");
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(done.status.success(), "{arguments:?}: {text}");
    text
}

/// Writes a file beside another.
pub(crate) fn beside(file: &str, name: &str, text: &str) -> PathBuf {
    let path = Path::new(file).with_file_name(name);
    std::fs::write(&path, text).unwrap();
    path
}
