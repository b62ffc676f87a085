//! Double writes: what is written to the store that is the authority is copied to the other one, also
//! after that was down for a while, and while keys move from the one to the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use switchover::{
    DataRoute, Mirror, Percent, Rollout, Saved, Setting, Stage, Store, StoreError, testing,
};

/// A store, which may be down. An application has two databases in its place.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<(bool, BTreeMap<String, String>)>>);

impl Shelf {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<String, String>) -> R) -> Result<R, StoreError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shelf.0 {
            true => Err("the store is down".into()),
            false => Ok(f(&mut shelf.1)),
        }
    }

    fn put(&self, key: &str, row: &str) -> Result<(), StoreError> {
        self.with(|rows| drop(rows.insert(key.to_owned(), row.to_owned())))
    }

    fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = is_down;
    }
}

impl Store for Shelf {
    type Row = String;

    fn load(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.with(|rows| rows.get(key).cloned())
    }

    /// SQL: UPDATE … SET … WHERE id = $1 AND row = $2, and look at how many rows that were.
    fn save(
        &self,
        key: &str,
        expected: Option<&String>,
        row: Option<&String>,
        _generation: u64,
    ) -> Result<Saved, StoreError> {
        self.with(|rows| {
            if rows.get(key) != expected {
                return Saved::Changed;
            }
            match row {
                Some(row) => drop(rows.insert(key.to_owned(), row.clone())),
                None => drop(rows.remove(key)),
            }
            Saved::Stored
        })
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.with(|rows| {
            let after = rows
                .keys()
                .filter(|row| key.is_none_or(|key| row.as_str() > key));
            after.take(limit).cloned().collect()
        })
    }
}

fn main() -> Result<(), StoreError> {
    // In an application a server says this: `switchover mirror set save_gear production --write 100`.
    let switchover = testing::client();
    let mut rollout = Rollout::at("SAVE_GEAR".parse()?, Stage::OptIn);
    rollout.setting = Setting::Off;
    rollout.mirror = Mirror {
        read: Percent::ZERO,
        write: Percent::HUNDRED,
    };
    switchover.set_rollout("save_gear", rollout.clone());

    let (old, new) = (Shelf::default(), Shelf::default());
    let gear = switchover
        .route("save_gear")
        .stores(old.clone(), new.clone())?;
    let save = |key: &str, row: &str| {
        let written = gear.write(key);
        let written = written
            .old(|_| old.put(key, row))
            .new(|_| new.put(key, row));
        written.run().map_err(|error| error.to_string())
    };

    save("rope", "60 m")?;
    settle(&gear);
    println!(
        "written to the old store; the new one has {:?}",
        new.load("rope")?
    );

    new.set_down(true);
    save("rope", "70 m")?;
    settle(&gear);
    println!(
        "the new store is down: {} repair is open",
        gear.status().open_repairs
    );
    new.set_down(false);
    while gear.status().open_repairs > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    println!("it is up again, and has {:?}", new.load("rope")?);

    // With a server this is a flip with a hold: no write that began before it ends after it.
    rollout.setting = Setting::On;
    rollout.generation = 1;
    switchover.set_rollout("save_gear", rollout);
    save("rope", "80 m")?;
    settle(&gear);
    println!(
        "written to the new store; the old one has {:?}",
        old.load("rope")?
    );
    Ok(())
}

/// Waits until every copy has ended, well or not. Applications do not.
fn settle(gear: &DataRoute) {
    while gear.status().under_way > 0 {
        thread::sleep(Duration::from_millis(5));
    }
}
