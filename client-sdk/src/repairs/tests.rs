//! Repairs by a clock of their own.

use super::*;

fn kept(key: &str) -> Kept {
    Kept::new(key, Path::Old, 1, Cause::Failed)
}

/// What the server hears, and takes.
fn hears(repairs: &mut Repairs, now: Instant) -> Vec<(String, RepairState)> {
    let untold = repairs.tell((200, 10_000));
    repairs.told(&untold, now);
    let told = untold.into_iter();
    told.map(|(_, kept)| (kept.key, kept.state)).collect()
}

#[test]
fn a_repair_is_tried_less_and_less_often_and_given_up_after_twenty_times() {
    let began = Instant::now();
    let mut repairs = Repairs::new(true);
    repairs.add(kept("a"), began);
    let mut waits = Vec::new();
    let mut now = began;
    while let Some(due) = repairs.next_due() {
        waits.push(due - now);
        now = due;
        assert!(repairs.begin_next(now - Duration::from_millis(1)).is_none());
        let attempt = repairs.begin_next(now).unwrap();
        assert_eq!(repairs.begin_next(now), None, "one at a time");
        repairs.tried(&attempt, Tried::Failed(Some(Step::SaveNew)), now, 1.0);
    }
    assert_eq!(waits.len(), 20);
    let seconds: Vec<f64> = waits.iter().map(Duration::as_secs_f64).collect();
    assert_eq!(seconds[..5], [0.5, 0.5, 1.0, 2.0, 4.0]);
    assert_eq!(seconds[10..], [60.0; 10]);
    assert_eq!(
        hears(&mut repairs, now),
        [("a".to_owned(), RepairState::Failed)]
    );
    assert_eq!(repairs.unequal().count(), 1);
    // On order it is tried again.
    repairs.retry("a", now);
    let attempt = repairs.begin_next(now).unwrap();
    repairs.tried(&attempt, Tried::Equal, now, 0.0);
    assert_eq!(repairs.unequal().count(), 0);
    assert_eq!(
        hears(&mut repairs, now),
        [("a".to_owned(), RepairState::Resolved)]
    );
    assert_eq!((repairs.len(), repairs.untold_since()), (0, None));
}

#[test]
fn an_older_copy_says_nothing_about_a_younger_write() {
    let now = Instant::now();
    let mut repairs = Repairs::new(true);
    repairs.add(kept("a"), now);
    let attempt = repairs.begin_next(now + FIRST_RETRY).unwrap();
    let began = repairs.now();
    repairs.add(kept("a"), now);
    assert!(!repairs.resolve("a", began, now));
    repairs.tried(&attempt, Tried::Equal, now, 0.0);
    assert_eq!(repairs.unequal().count(), 1);
    assert!(repairs.resolve("a", repairs.now(), now));
    assert_eq!(repairs.unequal().count(), 0);
}

#[test]
fn rows_that_differ_are_looked_at_again_before_they_are_a_persons_matter() {
    let mut now = Instant::now();
    let mut repairs = Repairs::new(true);
    repairs.adopt(kept("a"), now);
    for look in 1..=MOST_LOOKS {
        now = repairs.next_due().unwrap();
        let attempt = repairs.begin_next(now).unwrap();
        let kept = repairs.tried(&attempt, Tried::Differ, now, 0.0).unwrap();
        assert_eq!(kept.state == RepairState::Conflict, look == MOST_LOOKS);
    }
    assert_eq!(repairs.next_due(), None);
    // Whatever is written or copied since.
    repairs.add(kept("a"), now);
    assert!(!repairs.resolve("a", repairs.now(), now));
    assert_eq!(
        hears(&mut repairs, now),
        [("a".to_owned(), RepairState::Conflict)]
    );
    assert!(repairs.settle("a"));
    assert_eq!(repairs.len(), 0);
}

#[test]
fn what_nobody_was_told_of_is_not_told_when_it_is_well() {
    let now = Instant::now();
    let mut repairs = Repairs::new(true);
    repairs.add(kept("a"), now);
    assert!(repairs.resolve("a", repairs.now(), now));
    assert_eq!(hears(&mut repairs, now), []);
    // Nobody ever is without a server.
    let mut alone = Repairs::new(false);
    alone.adopt(kept("a"), now);
    assert!(alone.resolve("a", alone.now(), now));
    assert_eq!(alone.len(), 0);
}

#[test]
fn a_change_after_the_report_is_told_by_the_next() {
    let now = Instant::now();
    let mut repairs = Repairs::new(true);
    repairs.add(kept("a"), now);
    let sent = repairs.tell((200, 10_000));
    repairs.resolve("a", repairs.now(), now);
    repairs.add(kept("a"), now);
    repairs.told(&sent, now);
    assert!(repairs.untold_since().is_some());
    assert_eq!(
        hears(&mut repairs, now),
        [("a".to_owned(), RepairState::Open)]
    );
}

#[test]
fn a_report_has_room_for_so_many_keys_and_so_many_bytes() {
    let now = Instant::now();
    let mut repairs = Repairs::new(true);
    for n in 10..40 {
        repairs.add(kept(&n.to_string()), now);
    }
    assert_eq!(repairs.tell((7, 1_000)).len(), 7);
    assert_eq!(repairs.tell((200, 11)).len(), 5);
}
