//! The SDK itself: several processes' worth of clients write the same keys while these move.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use switchover::{Client, DataRoute, Saved, Store, StoreError};

use super::*;

on_both_engines!(no_write_is_lost_while_keys_move);

const CLIENTS: usize = 3;
const KEYS: usize = 12;

/// A store in memory, which all clients share.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<BTreeMap<String, u64>>>);

impl Store for Rows {
    type Row = u64;

    fn load(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).copied())
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&u64>,
        row: Option<&u64>,
        _: u64,
    ) -> Result<Saved, StoreError> {
        let mut rows = self.0.lock().unwrap();
        if rows.get(key) != expected {
            return Ok(Saved::Changed);
        }
        match row {
            Some(row) => rows.insert(key.to_owned(), *row),
            None => rows.remove(key),
        };
        Ok(Saved::Stored)
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let rows = self.0.lock().unwrap();
        let after = rows
            .keys()
            .filter(|it| key.is_none_or(|key| it.as_str() > key));
        Ok(after.take(limit).cloned().collect())
    }
}

struct Process {
    client: Client,
    data: DataRoute,
    _spool: tempfile::TempDir,
}

impl Process {
    fn start(app: &App, key: &str, number: usize, (old, new): (&Rows, &Rows)) -> Process {
        let spool = tempfile::tempdir().unwrap();
        let client = Client::builder()
            .server(format!("http://{}", app.address()), key)
            .instance_name(format!("web-{number}"))
            .spool_dir(spool.path())
            .start()
            .unwrap();
        assert!(client.wait_ready(Wait::from_secs(20)));
        let data = client
            .route("save")
            .stores(old.clone(), new.clone())
            .unwrap();
        eventually("it is in contact", Wait::from_secs(20), || {
            data.status().is_in_contact.then_some(())
        });
        Process {
            client,
            data,
            _spool: spool,
        }
    }
}

/// Every write counts its key up, whichever store is the authority: a write that were lost, or went to
/// the wrong side, would be missing in the count.
fn no_write_is_lost_while_keys_move(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    let (old, new) = (Rows::default(), Rows::default());
    let processes: Vec<Process> = (0..CLIENTS)
        .map(|number| Process::start(&app, &key, number, (&old, &new)))
        .collect();
    let acknowledged: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let running = AtomicBool::new(true);
    let flips = [10, 60, 30, 100, 0, 80];
    std::thread::scope(|scope| {
        for process in &processes {
            let (running, acknowledged, old, new) = (&running, &acknowledged, &old, &new);
            scope.spawn(move || {
                let mut number = 0;
                while running.load(Ordering::Relaxed) {
                    number = (number + 1) % KEYS;
                    let name = format!("k{number}");
                    let raise = |rows: &Rows| {
                        let mut rows = rows.0.lock().unwrap();
                        *rows.entry(name.clone()).or_insert(0) += 1;
                        Ok::<(), StoreError>(())
                    };
                    let write = process.data.write(name.as_str());
                    write.old(|_| raise(old)).new(|_| raise(new)).run().unwrap();
                    acknowledged[number].fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Wait::from_millis(1));
                }
            });
        }
        for percent in flips {
            std::thread::sleep(Wait::from_millis(100));
            ramp(&app, percent).expect(202);
            let after = ended(&app);
            assert_eq!(after["exposure_percent"], percent, "{}", after["last_flip"]);
        }
        running.store(false, Ordering::Relaxed);
    });
    eventually("all is copied", Wait::from_secs(20), || {
        let is_done = |process: &Process| {
            let status = process.data.status();
            status.under_way == 0 && status.open_repairs == 0
        };
        processes.iter().all(is_done).then_some(())
    });
    let counted: BTreeMap<String, u64> = (0..KEYS)
        .map(|number| {
            (
                format!("k{number}"),
                acknowledged[number].load(Ordering::Relaxed),
            )
        })
        .collect();
    assert!(counted.values().all(|count| *count > 0));
    assert_eq!(*old.0.lock().unwrap(), counted);
    assert_eq!(*new.0.lock().unwrap(), counted);
    assert_eq!(rollout(&app)["generation"], flips.len());
    // Who says goodbye is not waited for.
    for process in processes {
        process.client.shutdown();
    }
    ramp(&app, 50).expect(200);
}
