//! From the report that tips a guard to the old path in every application: 200 SDKs, each with its
//! own connection and its own threads, calling all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use switchover::{Client, Path};

use crate::server::Filled;
use crate::{headline, quantile, row};

const SDKS: usize = 200;
const ROUNDS: usize = 7;
const ROLLOUT: &str = "/routes/route_7/environments/dev";

/// An application.
struct App {
    client: Client,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    broken: Arc<AtomicBool>,
}

pub(crate) fn run() {
    headline("guards: 200 SDKs on the new path, of which some report that it fails");
    let filled = Filled::with_routes(20);
    let policy = json!({
        "name": "guarded",
        "guards": [{"name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt"}],
    });
    filled.post("/policies", &json!({"policy": policy, "reason": "bench"}));
    filled.patch(
        "/routes/route_7",
        &json!({"policy": "guarded", "reason": "bench"}),
    );
    filled.put(
        &format!("{ROLLOUT}/setting"),
        &json!({"mode": "on", "reason": "bench"}),
    );
    let apps: Vec<App> = (0..SDKS)
        .map(|number| App::start(&filled, number))
        .collect();
    wait(&apps, Path::New);

    // A batch made by hand is sent at a moment that is known.
    let mut from_report: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let began = report_failures(&filled, round);
            seconds_until(&apps, Path::Old, began, &filled)
        })
        .collect();
    let mut from_fault: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            apps.iter()
                .for_each(|app| app.broken.store(true, Ordering::Relaxed));
            seconds_until(&apps, Path::Old, began, &filled)
        })
        .collect();
    from_report.sort_by(f64::total_cmp);
    from_fault.sort_by(f64::total_cmp);
    let shown = |sorted: &[f64]| {
        format!(
            "{:.2} / {:.2} s",
            quantile(sorted, 0.5),
            quantile(sorted, 1.0)
        )
    };
    row(
        "report that tips a guard → 200 SDKs on the old path, typical / worst",
        &shown(&from_report),
        "5 s",
    );
    row(
        "first call that fails → the same (the SDKs report by themselves)",
        &shown(&from_fault),
        "none",
    );
}

/// Waits for the path, then mends what was broken and resumes.
fn seconds_until(apps: &[App], path: Path, began: Instant, filled: &Filled) -> f64 {
    wait(apps, path);
    let seconds = began.elapsed().as_secs_f64();
    apps.iter()
        .for_each(|app| app.broken.store(false, Ordering::Relaxed));
    filled.post(
        &format!("{ROLLOUT}/resume"),
        &json!({"reason": "bench: the next round"}),
    );
    wait(apps, Path::New);
    // What was reported of the last round is not this one's.
    thread::sleep(Duration::from_secs(2));
    seconds
}

/// Ten instances report, one after the other, that a tenth of their calls fail.
fn report_failures(filled: &Filled, round: usize) -> Instant {
    let version = filled.version();
    let mut began = Instant::now();
    for instance in 0..10 {
        let batch = json!({
            "sequence": 1,
            "instance": {
                "id": format!("bench-{round}-{instance}"),
                "name": format!("bench-{instance}"),
                "application": "bench",
                "version": "1",
                "sdk": "bench/1",
                "snapshot": version.to_string(),
            },
            "counts": [{
                "route": "route_7",
                "path": "new",
                "role": "authoritative",
                "revision": version.revision,
                "calls": 500,
                "errors": 50,
                "latency": [[600, 500]],
            }],
        });
        began = Instant::now();
        filled.report(&batch);
    }
    began
}

fn wait(apps: &[App], path: Path) {
    let started = Instant::now();
    let is_there = |app: &App| app.client.route("route_7").path(1_u64) == path;
    while !apps.iter().all(is_there) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "not all SDKs are on the {path} path"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

impl App {
    /// Each as if on a host of its own: many processes of one host are one voice.
    fn start(filled: &Filled, number: usize) -> App {
        let client = Client::builder()
            .server(&filled.process.url, &filled.sdk_key)
            .application("bench", "1")
            .instance_name(format!("host-{number}"))
            .start()
            .unwrap();
        assert!(client.wait_ready(Duration::from_secs(30)));
        let (stop, broken) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = {
            let route = client.route("route_7");
            let (stop, broken) = (Arc::clone(&stop), Arc::clone(&broken));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let failed: Result<(), ()> = route
                        .call(1_u64)
                        .old(|| Ok(()))
                        .new(|| match broken.load(Ordering::Relaxed) {
                            true => Err(()),
                            false => Ok(()),
                        })
                        .run();
                    // The caller's own affair; the SDK has counted it.
                    let _ = failed;
                    thread::sleep(Duration::from_millis(20));
                }
            })
        };
        App {
            client,
            stop,
            thread: Some(thread),
            broken,
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
