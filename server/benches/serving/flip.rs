//! How long writes wait while keys move between two stores: 50 SDKs, each with its own connection and
//! its own threads, writing keys that move all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use switchover::{Client, DataRoute, Saved, Store, StoreError};

use crate::server::Filled;
use crate::{headline, millis, quantile, row};

const SDKS: usize = 50;
const FLIPS: usize = 24;
const ROLLOUT: &str = "/routes/save/environments/dev";

/// A store in memory: what it costs to write is not measured.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<std::collections::BTreeMap<String, u64>>>);

impl Store for Rows {
    type Row = u64;

    fn load(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).copied())
    }

    fn save(
        &self,
        key: &str,
        _: Option<&u64>,
        row: Option<&u64>,
        _: u64,
    ) -> Result<Saved, StoreError> {
        let mut rows = self.0.lock().unwrap();
        match row {
            Some(row) => rows.insert(key.to_owned(), *row),
            None => rows.remove(key),
        };
        Ok(Saved::Stored)
    }

    fn keys_after(&self, _: Option<&str>, _: usize) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// An application that writes one key all the time.
struct App {
    data: DataRoute,
    _client: Client,
    _spool: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    /// The longest write since it was last looked at, in microseconds.
    worst: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn run() {
    headline("flips: 50 SDKs that write keys which move between two stores");
    let filled = Filled::with_routes(20);
    filled.post(
        "/routes",
        &json!({
            "endpoint": "bench.Store/Save", "key": "save", "operation": "write", "owner": "bench",
            "policy": "open",
        }),
    );
    filled.put(
        &format!("{ROLLOUT}/mirror"),
        &json!({"read_percent": 0, "write_percent": 100, "reason": "bench"}),
    );
    let apps: Vec<App> = (0..SDKS)
        .map(|number| App::start(&filled, number))
        .collect();
    let mut pauses = Vec::new();
    let mut whole = Vec::new();
    for flip in 0..FLIPS {
        apps.iter()
            .for_each(|app| app.worst.store(0, Ordering::Relaxed));
        thread::sleep(Duration::from_millis(250));
        let usual = apps.iter().map(|app| app.worst.swap(0, Ordering::Relaxed));
        assert!(usual.max() > Some(0), "nobody writes");
        let mode = if flip % 2 == 0 { "on" } else { "off" };
        let began = Instant::now();
        let body = json!({"mode": mode, "reason": "bench"});
        let announced = filled.put(&format!("{ROLLOUT}/setting"), &body);
        assert_eq!(announced["action"], "flip_hold", "{announced}");
        let generation = announced["rollout"]["generation"].as_u64().unwrap();
        let is_past = |app: &App| {
            let status = app.data.status();
            status.generation >= generation && !status.is_held
        };
        while !apps.iter().all(is_past) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "the flip does not end"
            );
            thread::sleep(Duration::from_millis(1));
        }
        whole.push(millis(began.elapsed()));
        thread::sleep(Duration::from_millis(250));
        let ended = filled.get(ROLLOUT);
        assert_eq!(
            ended["last_flip"]["outcome"], "made",
            "{}",
            ended["last_flip"]
        );
        let worst = apps.iter().map(|app| app.worst.load(Ordering::Relaxed));
        pauses.extend(worst.map(|micros| micros as f64 / 1_000.0));
    }
    pauses.sort_by(f64::total_cmp);
    whole.sort_by(f64::total_cmp);
    let shown = |sorted: &[f64]| {
        format!(
            "{:.0} / {:.0} ms",
            quantile(sorted, 0.5),
            quantile(sorted, 0.99)
        )
    };
    row(
        "flip: longest write in each of 50 SDKs, p50 / p99",
        &shown(&pauses),
        "p99 250 ms",
    );
    row(
        "flip ordered → all 50 SDKs past it, p50 / p99",
        &shown(&whole),
        "none",
    );
}

impl App {
    fn start(filled: &Filled, number: usize) -> App {
        let spool = tempfile::tempdir().unwrap();
        let client = Client::builder()
            .server(&filled.process.url, &filled.sdk_key)
            .application("bench", "1")
            .instance_name(format!("host-{number}"))
            .spool_dir(spool.path())
            .start()
            .unwrap();
        assert!(client.wait_ready(Duration::from_secs(30)));
        let rows = (Rows::default(), Rows::default());
        let (old, new) = (rows.0.clone(), rows.1.clone());
        let data = client.route("save").stores(old, new).unwrap();
        let started = Instant::now();
        while !data.status().is_in_contact {
            assert!(started.elapsed() < Duration::from_secs(30), "no contact");
            thread::sleep(Duration::from_millis(5));
        }
        let (stop, worst) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let thread = {
            let (data, stop, worst) = (data.clone(), Arc::clone(&stop), Arc::clone(&worst));
            thread::spawn(move || write(&data, number, &rows, (&stop, &worst)))
        };
        App {
            data,
            _client: client,
            _spool: spool,
            stop,
            worst,
            thread: Some(thread),
        }
    }
}

fn write(
    data: &DataRoute,
    number: usize,
    (old, new): &(Rows, Rows),
    (stop, worst): (&AtomicBool, &AtomicU64),
) {
    let key = format!("key-{number}");
    let mut value = 0;
    while !stop.load(Ordering::Relaxed) {
        value += 1;
        let put = |rows: &Rows| {
            rows.0.lock().unwrap().insert(key.clone(), value);
            Ok::<(), StoreError>(())
        };
        let began = Instant::now();
        let write = data.write(key.as_str());
        write.old(|_| put(old)).new(|_| put(new)).run().unwrap();
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap();
        worst.fetch_max(micros.max(1), Ordering::Relaxed);
        thread::sleep(Duration::from_millis(5));
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
