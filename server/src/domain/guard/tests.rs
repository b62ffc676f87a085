//! Guards before fleets of instances: what is too little, what breaks in, and who lies.

mod epochs;
mod fleet;
mod liars;
mod measures;
mod properties;

use fleet::{Fleet, error_rate, guard};
use serde_json::json;

use super::*;
use crate::domain::policy::Measure;

#[test]
fn too_little_is_insufficient() {
    let guards = [error_rate(0.01)];
    let mut fleet = Fleet::of(1, &guards);
    assert_eq!(fleet.state(), GuardState::Insufficient, "nothing reported");
    fleet.seconds(20, |report| report.calls(0, 0));
    assert_eq!(fleet.state(), GuardState::Insufficient, "no calls");
    fleet.second(|report| report.calls(3, 1));
    assert_eq!(
        fleet.state(),
        GuardState::Insufficient,
        "1 error in 3 calls"
    );
    fleet.second(|report| report.calls(96, 0));
    assert_eq!(fleet.state(), GuardState::Insufficient, "1/p0 are needed");
    fleet.second(|report| report.calls(1, 0));
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.silence(10);
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.silence(1);
    assert_eq!(fleet.state(), GuardState::Insufficient, "silent for 11 s");
    assert_eq!(fleet.due(), []);
}

#[test]
fn the_policy_may_ask_for_more() {
    let mut guards = [error_rate(0.01)];
    guards[0].min_calls = Some(1_000);
    let mut fleet = Fleet::of(1, &guards);
    fleet.seconds(9, |report| report.calls(100, 100));
    assert_eq!(fleet.state(), GuardState::Insufficient);
    assert_eq!(fleet.due(), []);
    fleet.seconds(9, |report| report.calls(100, 100));
    assert_eq!(fleet.state(), GuardState::Breach);
}

#[test]
fn a_breach_is_due_once_with_its_numbers() {
    let guards = [error_rate(0.01)];
    let mut fleet = Fleet::of(4, &guards);
    fleet.seconds(60, |report| report.calls(100, 0));
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.seconds(5, |report| report.calls(100, 10));
    let due = fleet.due();
    let [due] = due.as_slice() else {
        panic!("{due:?}");
    };
    assert_eq!((due.epoch, due.published), (1, 7));
    assert_eq!(due.instance, None);
    for name in [
        "trials",
        "violations",
        "rate",
        "log10_e",
        "log10_bound",
        "instances",
    ] {
        assert!(due.numbers.contains_key(name), "{name}: {:?}", due.numbers);
    }
    assert_eq!(due.numbers["instances"], json!(4));
    let due = due.clone();
    fleet.watched.done(&due);
    fleet.seconds(60, |report| report.calls(100, 10));
    assert_eq!(fleet.due(), [], "once in an epoch");
    assert_eq!(fleet.state(), GuardState::Breach, "for the rest of it");
}

#[test]
fn two_instances_are_believed() {
    let guards = [error_rate(0.01)];
    let mut fleet = Fleet::of(2, &guards);
    fleet.seconds(11, |report| report.calls(100, 0));
    fleet.second(|report| report.calls(100, if report.id == 0 { 50 } else { 0 }));
    assert_eq!(fleet.state(), GuardState::Breach);
}

#[test]
fn a_state_survives_its_keeping() {
    let guards = [
        error_rate(0.01),
        guard(Measure::MismatchesPerHour, 5.0),
        guard(Measure::ErrorRatio, 2.0),
    ];
    let mut fleet = Fleet::of(10, &guards);
    fleet.seconds(30, |report| {
        report.calls(100, 1);
        report.compared(10, 0);
    });
    let kept = serde_json::to_string(&fleet.watched).unwrap();
    assert!(kept.len() < 20_000, "{} bytes", kept.len());
    let mut other = fleet.clone();
    other.watched = serde_json::from_str(&kept).unwrap();
    for fleet in [&mut fleet, &mut other] {
        fleet.seconds(3, |report| report.calls(100, 10));
    }
    assert_eq!(fleet.due(), other.due());
    assert_eq!(fleet.due().len(), 1);
}

#[test]
fn the_state_of_a_great_fleet_is_bounded() {
    let guards = [error_rate(0.01), guard(Measure::MismatchesPerHour, 5.0)];
    let mut fleet = Fleet::of(2_000, &guards);
    fleet.seconds(10, |report| {
        report.calls(100, 0);
        report.compared(1, 0);
    });
    let kept = serde_json::to_string(&fleet.watched).unwrap();
    assert!(kept.len() < 64 * 1024, "{} bytes", kept.len());
    assert_eq!(fleet.state(), GuardState::Pass);
}
