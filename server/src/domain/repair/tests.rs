use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn told(state: RepairState, attempts: u32, age_seconds: u64) -> Repair {
    Repair {
        key: "k".to_owned(),
        written: Path::Old,
        generation: 3,
        cause: Cause::Failed,
        state,
        attempts,
        failed_at: Some(Step::SaveNew),
        age_ms: age_seconds * 1_000,
    }
}

fn first(repair: &Repair) -> KeptRepair {
    KeptRepair::told(None, "a", repair, at(100)).unwrap()
}

#[test]
fn what_is_told_again_changes_nothing() {
    let kept = first(&told(RepairState::Open, 1, 5));
    assert_eq!(kept.first_at, at(95));
    let again = KeptRepair::told(Some(&kept), "a", &told(RepairState::Open, 1, 9), at(104));
    assert_eq!(again, None);
    let more = KeptRepair::told(Some(&kept), "a", &told(RepairState::Open, 2, 2), at(110));
    let more = more.unwrap();
    assert_eq!((more.attempts, more.first_at), (2, at(95)));
    assert_eq!(more.last_at, at(110));
    let done = KeptRepair::told(
        Some(&more),
        "a",
        &told(RepairState::Resolved, 3, 20),
        at(120),
    );
    let done = done.unwrap();
    assert_eq!(done.settled.as_ref().unwrap().by, "a");
    let again = KeptRepair::told(
        Some(&done),
        "a",
        &told(RepairState::Resolved, 3, 30),
        at(130),
    );
    assert_eq!(again, None);
}

#[test]
fn the_next_write_of_a_key_is_another_repair() {
    let done = first(&told(RepairState::Resolved, 2, 5));
    let next = KeptRepair::told(Some(&done), "a", &told(RepairState::Open, 1, 0), at(200));
    let next = next.unwrap();
    assert_eq!((next.state, next.first_at), (RepairState::Open, at(200)));
    assert_eq!(next.settled, None);
}

#[test]
fn what_a_person_has_settled_stays_so_until_its_process_knows() {
    let mut kept = first(&told(RepairState::Failed, 20, 60));
    assert!(kept.settle(Settlement::Resolve, "otto", "copied by hand", at(150)));
    assert!(!kept.settle(Settlement::Retry, "otto", "again", at(151)));
    let late = KeptRepair::told(
        Some(&kept),
        "a",
        &told(RepairState::Failed, 21, 115),
        at(155),
    );
    assert_eq!(late, None);
    let knows = KeptRepair::told(
        Some(&kept),
        "a",
        &told(RepairState::Resolved, 20, 116),
        at(156),
    );
    let knows = knows.unwrap();
    assert_eq!(knows.order, None);
    assert_eq!(knows.settled.as_ref().unwrap().by, "otto");
    // A write of after that is no business of theirs.
    let fresh = KeptRepair::told(Some(&kept), "a", &told(RepairState::Open, 1, 1), at(160));
    assert!(fresh.unwrap().is_unresolved());
}

#[test]
fn who_is_gone_is_stood_in_for_by_one_at_a_time() {
    let mut kept = first(&told(RepairState::Open, 4, 5));
    assert!(!kept.is_orphan(true, at(100)));
    assert!(kept.is_orphan(false, at(100)));
    kept.hand_to("b", at(100));
    assert!(!kept.is_orphan(false, at(129)) && kept.is_leased_to("b"));
    assert!(kept.is_orphan(false, at(130)));
    let mut failed = first(&told(RepairState::Failed, 20, 5));
    assert!(!failed.is_orphan(false, at(100)));
    assert!(failed.settle(Settlement::Retry, "otto", "the store is back", at(101)));
    assert!(failed.is_orphan(false, at(101)));
}

#[test]
fn ages_beyond_reason_are_cut() {
    let kept = first(&told(RepairState::Open, 1, u64::MAX / 1_000));
    assert_eq!(kept.first_at, at(100) - Duration::days(OLDEST_DAYS));
    assert!(is_key("a") && !is_key("") && !is_key(&"x".repeat(257)));
}
