use super::*;
use crate::domain::policy::GuardAction;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn run(kind: ConsistencyKind) -> Run {
    Run {
        id: "1".to_owned(),
        route: "save".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        kind,
        sample: 100,
        origin: Origin::Person,
        by: "otto".to_owned(),
        reason: "test".to_owned(),
        asked_at: at(0),
        state: RunState::Waiting,
    }
}

fn found(kind: ConsistencyKind, compared: u64, differing: u64) -> ConsistencyResult {
    ConsistencyResult {
        instance: "a".to_owned(),
        route: "save".parse().unwrap(),
        order: None,
        kind,
        generation: 1,
        duration_ms: 10_000,
        compared,
        differing,
        keys: (0..100).map(|key| key.to_string()).collect(),
        failed: 0,
        checksums: None,
    }
}

fn compared(kind: ConsistencyKind, all: u64, differing: u64, second: i64) -> Compared {
    let mut run = run(kind);
    assert!(run.take(
        &found(kind, all, differing),
        (0.01, Some(at(0))),
        at(second)
    ));
    run.findings().unwrap().compared
}

fn guard() -> Guard {
    Guard {
        query: None,
        name: "inconsistency".to_owned(),
        measure: Measure::Inconsistency,
        limit: 0.01,
        action: GuardAction::Halt,
        min_calls: None,
    }
}

#[test]
fn a_run_is_handed_to_one_and_then_to_another() {
    let mut run = run(ConsistencyKind::Sample);
    assert_eq!(run.hand_to("a", at(0)).unwrap().sample, 100);
    assert_eq!(run.hand_to("b", at(59)), None);
    assert!(run.hand_to("b", at(60)).is_some());
    assert!(!run.give_up(at(119)));
    assert_eq!(run.hand_to("c", at(120)), None);
    assert!(run.give_up(at(120)));
    assert!(!run.is_open());
    // It was only slow.
    let result = found(ConsistencyKind::Sample, 100, 0);
    assert!(run.take(&result, (0.01, None), at(200)));
    assert!(!run.take(&result, (0.01, None), at(201)));
    assert_eq!(run.findings().unwrap().keys.len(), MOST_KEPT);
}

#[test]
fn nobody_to_take_it() {
    let mut run = run(ConsistencyKind::Checksum);
    assert!(!run.give_up(at(3_599)));
    assert!(run.give_up(at(3_600)));
}

#[test]
fn a_verdict_is_by_the_limit_and_clean_is_without_any() {
    let verdict = |all, differing| {
        let mut run = run(ConsistencyKind::Sample);
        run.take(
            &found(run.kind, all, differing),
            (0.01, Some(at(0))),
            at(20),
        );
        let findings = run.findings().unwrap();
        (findings.verdict, findings.compared.is_clean())
    };
    assert_eq!(verdict(100, 0), (Verdict::Pass, true));
    assert_eq!(verdict(100, 1), (Verdict::Pass, false));
    assert_eq!(verdict(100, 2), (Verdict::Fail, false));
    // Two empty stores are equal; a sample of nothing that was asked for says so.
    assert_eq!(verdict(0, 0), (Verdict::Pass, true));
}

#[test]
fn a_guard_answers_by_the_latest_run() {
    let window = (Some(at(0)), Duration::hours(48));
    let ask = |latest: Option<Compared>, second| {
        answer(&guard(), latest.as_ref(), window, at(second)).state
    };
    let sample = ConsistencyKind::Sample;
    assert_eq!(ask(None, 0), GuardState::Insufficient);
    assert_eq!(
        ask(Some(compared(sample, 100, 0, 20)), 30),
        GuardState::Pass
    );
    assert_eq!(
        ask(Some(compared(sample, 100, 1, 20)), 30),
        GuardState::Pass
    );
    assert_eq!(
        ask(Some(compared(sample, 100, 2, 20)), 30),
        GuardState::Breach
    );
    let old = 20 + 48 * 3_600 + 1;
    assert_eq!(
        ask(Some(compared(sample, 100, 0, 20)), old),
        GuardState::Insufficient
    );
    assert_eq!(
        ask(Some(compared(sample, 100, 2, 20)), old),
        GuardState::Breach
    );
    // All of fifty rows say more than a sample of fifty.
    let mut few = compared(sample, 50, 25, 20);
    assert_eq!(ask(Some(few), 30), GuardState::Breach);
    few.whole = false;
    assert_eq!(ask(Some(few), 30), GuardState::Insufficient);
    // It began before writes were copied as they are now, or before the backfill was complete.
    let early = compared(sample, 100, 50, 5);
    assert!(!early.counts);
    assert_eq!(ask(Some(early), 30), GuardState::Insufficient);
    let all = compared(ConsistencyKind::Checksum, 3, 1, 20);
    assert_eq!(ask(Some(all), 30), GuardState::Breach);
}
