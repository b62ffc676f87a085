use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Consistency, ConsistencyError, draw, run_order};
use crate::doubled::world::{Disk, Process, Server};
use crate::store::Checksum;
use crate::writers::{ConsistencyKind, ConsistencyOrder};

/// Both tables with the same rows.
fn equal(rows: u64) -> Disk {
    let disk = Disk::with(rows);
    let rows = disk.old.rows.lock().unwrap().clone();
    *disk.new.rows.lock().unwrap() = rows;
    disk
}

fn has_checksums(disk: &Disk) {
    for table in [&disk.old, &disk.new] {
        table.has_checksums.store(true, Ordering::Relaxed);
    }
}

fn spoil(disk: &Disk, key: &str, row: Option<i64>) {
    let mut rows = disk.new.rows.lock().unwrap();
    match row {
        Some(row) => drop(rows.insert(key.to_owned(), row)),
        None => drop(rows.remove(key)),
    }
}

#[test]
fn equal_stores_are_clean_and_the_server_is_told() {
    let (disk, server) = (equal(2_500), Arc::<Mutex<Server>>::default());
    let process = Process::new("a", &disk, Some(&server));
    for (rows, checksums) in [(5_000, false), (0, true)] {
        if checksums {
            has_checksums(&disk);
        }
        disk.new.loads.store(0, Ordering::Relaxed);
        let report = Consistency::new(Box::new(&process))
            .checksum()
            .run()
            .unwrap();
        assert!(report.is_clean() && report.is_recorded);
        assert_eq!(
            (report.compared, report.checksums.is_some()),
            (2_500, checksums)
        );
        // Rows are not looked at where checksums say it all.
        assert_eq!(disk.new.loads.load(Ordering::Relaxed) * 2, rows);
    }
    let report = Consistency::new(Box::new(&process)).run().unwrap();
    assert_eq!((report.compared, report.differing), (100, 0));
    assert_eq!(*process.waited.lock().unwrap(), Duration::ZERO);
    let server = server.lock().unwrap();
    assert_eq!(server.results.len(), 3);
    let [old, new] = server.results[1].checksums.clone().unwrap();
    assert_eq!(old, new);
    assert!(old.starts_with("2500 rows, "), "{old}");
}

#[test]
fn what_differs_is_found_whatever_way_it_differs() {
    for checksums in [false, true] {
        let disk = equal(2_500);
        if checksums {
            has_checksums(&disk);
        }
        spoil(&disk, "k000007", Some(-1));
        spoil(&disk, "k001007", None);
        spoil(&disk, "k001007b", Some(3));
        let process = Process::new("a", &disk, None);
        let report = Consistency::new(Box::new(&process))
            .checksum()
            .run()
            .unwrap();
        assert!(!report.is_clean() && !report.is_recorded);
        assert_eq!(
            (report.compared, report.differing, report.failed),
            (2_501, 3, 0)
        );
        assert_eq!(report.keys, ["k000007", "k001007", "k001007b"]);
        if let Some([old, new]) = report.checksums {
            assert_eq!((old.rows, new.rows), (2_500, 2_500));
            assert_ne!(old, new);
        }
        assert_eq!(report.checksums.is_some(), checksums);
        assert!(
            report.to_string().contains("\"k001007b\" differs"),
            "{report}"
        );
    }
}

#[test]
fn a_copy_that_is_under_way_is_no_difference() {
    for checksums in [false, true] {
        let disk = equal(2_500);
        if checksums {
            has_checksums(&disk);
        }
        spoil(&disk, "k000007", Some(-1));
        let process = Process::new("a", &disk, None);
        let mut waits = 0;
        *process.meanwhile.lock().unwrap() = Box::new(move |process| {
            waits += 1;
            if waits == 3 {
                let new = &process.stores().new;
                new.rows.lock().unwrap().insert("k000007".to_owned(), 7);
            }
        });
        let report = Consistency::new(Box::new(&process))
            .checksum()
            .run()
            .unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.checksums.is_some(), checksums);
        assert!(*process.waited.lock().unwrap() <= Duration::from_secs(2));
    }
}

#[test]
fn rows_that_never_stand_still_give_no_checksums_and_no_false_alarm() {
    let disk = equal(10);
    has_checksums(&disk);
    // Between the two sums there is a write each time.
    let process = Process::new("a", &disk, None);
    *process.between_checksums.lock().unwrap() = Box::new(|process| {
        for table in [&process.stores().old, &process.stores().new] {
            *table.rows.lock().unwrap().get_mut("k000003").unwrap() += 1;
        }
    });
    let report = Consistency::new(Box::new(&process))
        .checksum()
        .run()
        .unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.compared, report.checksums), (10, None));
}

#[test]
fn a_store_wholly_wrong_does_not_take_hours_and_names_few() {
    let disk = Disk::with(5_000);
    let process = Process::new("a", &disk, None);
    let report = Consistency::new(Box::new(&process))
        .checksum()
        .run()
        .unwrap();
    assert_eq!((report.differing, report.keys.len()), (5_000, 20));
    assert!(*process.waited.lock().unwrap() <= Duration::from_secs(2));
}

#[test]
fn every_key_is_as_likely_to_be_drawn() {
    let process = Process::new("a", &equal(2_300), None);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..300 {
        let drawn = draw::draw(&&process, 230).unwrap();
        assert_eq!(drawn.len(), 230);
        for key in drawn {
            *times.entry(key).or_default() += 1;
        }
    }
    // 30 times on average, with a standard deviation of 5.2; a hundred keys on the two ends of the
    // order and in the middle of it are drawn 3,000 times each, with one of 52.
    let keys: Vec<_> = (0..2_300).map(|n| format!("k{n:06}")).collect();
    for part in [0..100, 200..300, 1_000..1_100, 2_200..2_300] {
        let drawn = keys[part.clone()]
            .iter()
            .map(|key| times.get(key).unwrap_or(&0));
        let drawn: u32 = drawn.sum();
        assert!((2_600..3_400).contains(&drawn), "{part:?}: {drawn}");
    }
    let few = draw::draw(&&Process::new("a", &equal(7), None), 230).unwrap();
    assert_eq!(few.len(), 7);
}

#[test]
fn orders_are_answered_by_their_names() {
    let (disk, server) = (equal(500), Arc::<Mutex<Server>>::default());
    let process = Process::new("a", &disk, Some(&server));
    for (kind, sample, compared) in [
        (ConsistencyKind::Sample, 0, 100),
        (ConsistencyKind::Sample, 30, 30),
        (ConsistencyKind::Checksum, 0, 500),
    ] {
        let order = ConsistencyOrder {
            id: "c7".to_owned(),
            kind,
            sample,
        };
        let report = run_order(Box::new(&process), &order).unwrap();
        assert_eq!((report.compared, report.kind), (compared, kind));
    }
    let results = &server.lock().unwrap().results;
    assert!(
        results
            .iter()
            .all(|result| result.order.as_deref() == Some("c7"))
    );
    assert_eq!((results.len(), results[0].generation), (3, 1));
}

#[test]
fn stores_without_rows_and_stores_that_are_shut() {
    let process = Process::new("a", &Disk::default(), None);
    let report = Consistency::new(Box::new(&process))
        .checksum()
        .run()
        .unwrap();
    assert_eq!((report.compared, report.checksums), (0, None));
    let ending = Process::new("a", &Disk::with(3), None);
    ending.lives.store(0, Ordering::Relaxed);
    let ended = Consistency::new(Box::new(&ending)).run();
    assert!(matches!(ended, Err(ConsistencyError::Ended)));
    assert_eq!(
        Checksum { rows: 3, sum: -1 }.to_string(),
        "3 rows, ffffffffffffffff"
    );
}
