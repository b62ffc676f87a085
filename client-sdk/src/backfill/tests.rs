use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Backfill, BackfillError};
use crate::authority::Form;
use crate::doubled::world::{Disk, Process, Server};
use crate::progress::BackfillStatus;
use crate::writers::BackfillState;

fn server() -> Arc<Mutex<Server>> {
    Arc::default()
}

fn backfill(process: &Process) -> Backfill<'_> {
    Backfill::new(Box::new(process)).batch(250)
}

#[test]
fn every_key_of_both_stores_is_copied_once() {
    for workers in [1, 3, 8] {
        let (disk, server) = (Disk::with(1_003), server());
        // What only the new store has is not there by its authority.
        disk.new.rows.lock().unwrap().insert("k0005x".to_owned(), 1);
        let process = Process::new("a", &disk, Some(&server));
        let mut lines = Vec::new();
        let report = backfill(&process)
            .workers(workers)
            .total(1_004)
            .progress(|status: &BackfillStatus| {
                lines.push(status.to_string());
            })
            .run()
            .unwrap();
        assert!(disk.are_equal());
        assert_eq!(
            (report.keys, report.copied, report.failed),
            (1_004, 1_004, 0)
        );
        assert!(!report.resumed);
        let mut copies = process.copies.lock().unwrap().clone();
        copies.sort();
        copies.dedup();
        assert_eq!(copies.len(), 1_004);
        assert_eq!(process.copies.lock().unwrap().len(), 1_004);
        assert_eq!(*process.waited.lock().unwrap(), Duration::from_secs(4));
        assert_eq!(process.most_keys.load(Ordering::Relaxed), 251);
        assert!(
            lines
                .last()
                .unwrap()
                .ends_with("1004 of 1004 keys, 100 %, complete")
        );
        // Once more: there is nothing to do.
        let again = backfill(&process).run().unwrap();
        assert_eq!((again.keys, again.resumed), (1_004, true));
        assert_eq!(process.copies.lock().unwrap().len(), 1_004);
        let anew = backfill(&process).anew().run().unwrap();
        assert_eq!((anew.keys, anew.copied, anew.resumed), (1_003, 0, false));
    }
}

#[test]
fn stores_without_rows_and_batches_that_come_out_even() {
    for rows in [0, 1, 249, 250, 251, 500] {
        let (disk, server) = (Disk::with(rows), server());
        let process = Process::new("a", &disk, Some(&server));
        let report = backfill(&process).run().unwrap();
        assert_eq!((report.keys, report.copied), (rows, rows));
        assert!(disk.are_equal());
    }
}

#[test]
fn a_process_that_dies_anywhere_leaves_at_most_a_batch_to_do_again() {
    const ROWS: u64 = 60;
    const BATCH: u32 = 10;
    // Each thing that a process does: ROWS copies, and a message for the start and for each batch.
    for lives in 0..70 {
        for dies_after in [false, true] {
            let (disk, server) = (Disk::with(ROWS), server());
            let mut dying = Process::new("a", &disk, Some(&server));
            dying.lives = lives.into();
            dying.dies_after = dies_after;
            let died = Backfill::new(Box::new(&dying)).batch(BATCH).run();
            match died {
                Err(BackfillError::Ended) => {}
                Ok(_) => assert!(lives > 66, "{lives}"),
                other => panic!("{lives}: {other:?}"),
            }
            let next = Process::new("b", &disk, Some(&server));
            let report = Backfill::new(Box::new(&next)).batch(BATCH).run().unwrap();
            assert!(disk.are_equal(), "{lives}");
            assert_eq!((report.keys, report.failed), (ROWS, 0), "{lives}");
            let mut times: BTreeMap<String, u32> = BTreeMap::new();
            let first = dying.copies.lock().unwrap();
            for key in first.iter().chain(next.copies.lock().unwrap().iter()) {
                *times.entry(key.clone()).or_default() += 1;
            }
            assert_eq!(times.len(), usize::try_from(ROWS).unwrap());
            let twice = times.values().filter(|times| **times > 1).count();
            assert!(twice <= usize::try_from(BATCH).unwrap(), "{lives}: {twice}");
        }
    }
}

#[test]
fn lost_requests_and_lost_answers_count_nothing_twice() {
    for lost in [(1, 0), (0, 1), (3, 4)] {
        let (disk, server) = (Disk::with(777), server());
        server.lock().unwrap().lost = lost;
        let process = Process::new("a", &disk, Some(&server));
        let report = backfill(&process).run().unwrap();
        assert_eq!((report.keys, report.copied), (777, 777), "{lost:?}");
        assert_eq!(process.copies.lock().unwrap().len(), 777);
    }
}

#[test]
fn failures_are_told_and_do_not_hold_it_up() {
    let (disk, server) = (Disk::with(2_000), server());
    let broken: Vec<_> = (0..1_500).map(|n| format!("k{n:06}")).collect();
    disk.new
        .broken
        .lock()
        .unwrap()
        .extend(broken.iter().cloned());
    let process = Process::new("a", &disk, Some(&server));
    let report = Backfill::new(Box::new(&process)).workers(4).run().unwrap();
    assert_eq!(
        (report.keys, report.copied, report.failed),
        (2_000, 500, 1_500)
    );
    let server = server.lock().unwrap();
    assert!(server.failed.iter().eq(broken.iter()));
    let most = server.parts.iter().map(|part| part.failed.len()).max();
    assert_eq!(most, Some(200));
}

#[test]
fn a_pause_waits_a_reset_begins_anew_and_a_take_over_ends() {
    let (disk, paused) = (Disk::with(1_000), server());
    paused
        .lock()
        .unwrap()
        .script
        .insert(2, BackfillState::Paused);
    let process = Process::new("a", &disk, Some(&paused));
    backfill(&process).pause(Duration::ZERO).run().unwrap();
    assert_eq!(*process.waited.lock().unwrap(), Duration::from_secs(3));
    assert_eq!(process.copies.lock().unwrap().len(), 1_000);

    let (disk, reset) = (Disk::with(1_000), server());
    reset.lock().unwrap().script.insert(2, BackfillState::Reset);
    let process = Process::new("a", &disk, Some(&reset));
    let report = backfill(&process).run().unwrap();
    assert_eq!((report.id.as_str(), report.keys), ("b2", 1_000));
    assert_eq!(process.copies.lock().unwrap().len(), 1_500);

    let (disk, taken) = (Disk::with(1_000), server());
    let process = Process::new("a", &disk, Some(&taken));
    let other = Process::new("b", &disk, Some(&taken));
    *process.meanwhile.lock().unwrap() = Box::new(move |_| {
        backfill(&other).run().unwrap();
    });
    let ended = backfill(&process).run();
    assert!(matches!(ended, Err(BackfillError::TakenOver)), "{ended:?}");
    assert_eq!(process.copies.lock().unwrap().len(), 500);
}

#[test]
fn keys_that_move_are_copied_after_they_have_from_where_they_are_then() {
    let (disk, server) = (Disk::with(500), server());
    let process = Process::new("a", &disk, Some(&server));
    let held = Form {
        generation: 2,
        held: true,
    };
    process.authority.lock().unwrap().apply(held);
    process.moving.lock().unwrap().insert("k000123".to_owned());
    let mut waits = 0;
    *process.meanwhile.lock().unwrap() = Box::new(move |process| {
        waits += 1;
        if waits == 3 {
            // The flip is made, and a write reaches the new authority.
            assert_eq!(process.copies.lock().unwrap().len(), 123);
            process.moved.lock().unwrap().insert("k000123".to_owned());
            let new = &process.stores().new;
            new.rows.lock().unwrap().insert("k000123".to_owned(), -1);
            let flipped = Form {
                held: false,
                ..held
            };
            process.authority.lock().unwrap().apply(flipped);
        }
    });
    let report = backfill(&process).run().unwrap();
    assert_eq!((report.keys, report.failed), (500, 0));
    assert!(disk.are_equal());
    assert_eq!(disk.old.rows.lock().unwrap().get("k000123"), Some(&-1));
}

#[test]
fn what_cannot_be_is_said() {
    let disk = Disk::with(10);
    let alone = Process::new("a", &disk, None);
    let error = backfill(&alone).run().unwrap_err();
    assert!(matches!(error, BackfillError::NoServer));
    assert!(error.to_string().contains("builder"), "{error}");

    let refusing = server();
    refusing.lock().unwrap().refuses = Some("409 not doubled".to_owned());
    let error = backfill(&Process::new("a", &disk, Some(&refusing))).run();
    assert!(error.unwrap_err().to_string().contains("409 not doubled"));

    let deaf = Process::new("a", &disk, Some(&server()));
    deaf.is_ready.store(false, Ordering::Relaxed);
    assert!(matches!(
        backfill(&deaf).run(),
        Err(BackfillError::NotReady)
    ));

    let mut rows = disk.old.rows.lock().unwrap();
    rows.insert("x".repeat(257), 1);
    drop(rows);
    let error = backfill(&Process::new("a", &disk, Some(&server()))).run();
    assert!(matches!(error, Err(BackfillError::Key)));
}

#[test]
fn what_authority_moved_away_from_without_waiting_is_to_be_looked_at_again() {
    let (disk, server) = (Disk::with(10), server());
    let process = Process::new("a", &disk, Some(&server));
    *process.during_copies.lock().unwrap() = Box::new(|process, key| {
        if key == "k000004" {
            let halted = Form {
                generation: 2,
                held: false,
            };
            process.authority.lock().unwrap().apply(halted);
        }
    });
    let report = backfill(&process).run().unwrap();
    assert_eq!((report.keys, report.failed), (10, 1));
    assert!(disk.are_equal());
    assert!(server.lock().unwrap().failed.iter().eq(["k000004"]));
    assert_eq!(process.authority.lock().unwrap().under_way(), 0);
}

#[test]
fn a_store_that_panics_fails_its_keys_and_ends_their_copies() {
    let (disk, server) = (Disk::with(10), server());
    let process = Process::new("a", &disk, Some(&server));
    *process.during_copies.lock().unwrap() = Box::new(|_, key| assert_ne!(key, "k000004"));
    let report = backfill(&process).run().unwrap();
    assert_eq!((report.keys, report.copied, report.failed), (10, 9, 1));
    assert_eq!(process.authority.lock().unwrap().under_way(), 0);
}
