use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn begun() -> Backfill {
    let place = ("save".parse().unwrap(), "dev".parse().unwrap());
    Backfill::begin("1".to_owned(), place, ("a", 100, Some(1_000)), at(0))
}

fn batch(instance: &str, cursor: &str, keys: u64) -> BackfillProgress {
    BackfillProgress {
        instance: instance.to_owned(),
        cursor: Some(cursor.to_owned()),
        keys,
        copied: keys / 2,
        failed: Vec::new(),
        complete: false,
    }
}

fn said(second: i64) -> Said {
    Said {
        at: at(second),
        by: "otto".to_owned(),
        reason: "test".to_owned(),
    }
}

#[test]
fn a_batch_counts_once_in_whatever_order_answers_are_lost() {
    let mut backfill = begun();
    assert_eq!(backfill.take(&batch("a", "k1", 100), at(1)), Taken::Counted);
    assert_eq!(backfill.take(&batch("a", "k1", 100), at(2)), Taken::Nothing);
    assert_eq!(backfill.take(&batch("a", "k2", 100), at(3)), Taken::Counted);
    assert_eq!(backfill.take(&batch("a", "k1", 100), at(4)), Taken::Nothing);
    let order = backfill.order_for("a");
    assert_eq!((order.keys, order.copied), (200, 100));
    assert_eq!(order.cursor.as_deref(), Some("k2"));
    assert_eq!(order.state, BackfillState::Running);
}

#[test]
fn one_process_runs_it_and_another_takes_over() {
    let mut backfill = begun();
    assert!(!backfill.is_held_against("a", at(1)));
    assert!(backfill.is_held_against("b", at(29)));
    assert!(!backfill.is_held_against("b", at(30)));
    backfill.join(("b", 50, None), at(40));
    assert_eq!(
        backfill.take(&batch("a", "k1", 100), at(41)),
        Taken::Nothing
    );
    assert_eq!(backfill.order_for("a").state, BackfillState::TakenOver);
    assert_eq!(backfill.order_for("b").state, BackfillState::Running);
    assert_eq!((backfill.batch, backfill.total), (50, Some(1_000)));
}

#[test]
fn people_pause_resume_and_reset() {
    let mut backfill = begun();
    assert_eq!(backfill.act(Act::Resume, said(1)), Ok(false));
    assert_eq!(backfill.act(Act::Pause, said(2)), Ok(true));
    // The batch that was under way counts.
    assert_eq!(backfill.take(&batch("a", "k1", 100), at(3)), Taken::Counted);
    assert_eq!(backfill.order_for("a").state, BackfillState::Paused);
    assert_eq!(backfill.act(Act::Resume, said(4)), Ok(true));
    let last = BackfillProgress {
        complete: true,
        ..batch("a", "k1", 0)
    };
    assert_eq!(backfill.take(&last, at(5)), Taken::Counted);
    assert_eq!(backfill.order_for("b").state, BackfillState::Complete);
    assert!(backfill.act(Act::Pause, said(6)).is_err());
    assert_eq!(backfill.act(Act::Reset, said(7)), Ok(true));
    assert_eq!(backfill.order_for("a").state, BackfillState::Reset);
    assert_eq!(backfill.ended_at, Some(at(7)));
    assert_eq!(backfill.act(Act::Reset, said(8)), Ok(false));
    assert!(backfill.act(Act::Resume, said(9)).is_err());
}

#[test]
fn the_rate_is_of_the_last_minute() {
    let mut backfill = begun();
    assert_eq!(backfill.rate(at(0)), None);
    for second in 1..=300 {
        let keys = if second <= 200 { 100 } else { 10 };
        let _ = backfill.take(&batch("a", &format!("k{second:04}"), keys), at(second));
        assert!(backfill.marks.len() <= 15);
    }
    let rate = backfill.rate(at(300)).unwrap();
    assert!((rate - 10.0).abs() < 1.0, "{rate}");
    backfill.total = Some(backfill.keys + 100);
    let left = backfill.seconds_left(at(300)).unwrap();
    assert!((left - 10.0).abs() < 1.0, "{left}");
}

#[test]
fn what_was_written_without_a_copy_is_not_covered() {
    let copying = |all, since: Option<i64>| Copying {
        all,
        since: since.map(at),
    };
    assert!(copying(true, Some(5)).covers(at(5)));
    assert!(!copying(true, Some(6)).covers(at(5)));
    assert!(!copying(false, Some(1)).covers(at(5)));
    assert!(!copying(true, None).covers(at(5)));
}
