//! When what was gathered says nothing any more.

use super::fleet::{Fleet, error_rate};
use crate::domain::guard::GuardState;
use crate::domain::guard::sequential::bound;

fn in_breach() -> Fleet {
    let mut fleet = Fleet::of(5, &[error_rate(0.01)]);
    fleet.seconds(20, |report| report.calls(100, 20));
    assert_eq!(fleet.state(), GuardState::Breach);
    fleet
}

#[test]
fn a_breach_belongs_to_the_form_of_its_rollout() {
    let mut fleet = in_breach();
    fleet.published += 1;
    assert_eq!(fleet.state(), GuardState::Insufficient);
    // What is still on its way from before is left out.
    fleet.seconds(5, |report| {
        report.revision = 7;
        report.calls(100, 20);
    });
    assert_eq!(fleet.state(), GuardState::Insufficient);
    fleet.seconds(5, |report| report.calls(100, 0));
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.seconds(20, |report| report.calls(100, 20));
    assert_eq!(fleet.due()[0].epoch, 2);
}

#[test]
fn another_limit_begins_anew() {
    let mut fleet = in_breach();
    fleet.guards[0].limit = 0.3;
    assert_eq!(fleet.state(), GuardState::Insufficient);
    assert_eq!(fleet.due(), []);
    fleet.seconds(20, |report| report.calls(100, 20));
    assert_eq!(fleet.state(), GuardState::Pass);
}

#[test]
fn another_action_does_not() {
    let mut fleet = in_breach();
    fleet.guards[0].action = crate::domain::policy::GuardAction::Notify;
    assert_eq!(fleet.state(), GuardState::Breach);
}

#[test]
fn a_deployment_begins_anew() {
    let mut fleet = in_breach();
    fleet.deploy("1.1");
    fleet.seconds(5, |report| report.calls(100, 0));
    assert_eq!(fleet.state(), GuardState::Pass);
}

#[test]
fn the_bounds_of_all_epochs_add_up() {
    let all: f64 = (1..100_000).map(|epoch| (-bound(epoch)).exp()).sum();
    assert!((0.000_99..=0.001).contains(&all), "{all}");
}
