//! Which counts a guard looks at, and which not.

use switchover::{Path, Role};

use super::fleet::{Fleet, Report, guard};
use crate::domain::guard::GuardState;
use crate::domain::policy::Measure;

/// What a guard answers after twenty seconds of this from two instances.
fn after(measure: Measure, limit: f64, says: impl Fn(&mut Report)) -> GuardState {
    let mut fleet = Fleet::of(2, &[guard(measure, limit)]);
    fleet.seconds(20, says);
    fleet.state()
}

#[test]
fn errors_are_those_of_the_new_path_for_the_caller() {
    use GuardState::{Breach, Insufficient};
    for (path, role, state) in [
        (Path::New, Role::Authoritative, Breach),
        (Path::Old, Role::Authoritative, Insufficient),
        (Path::New, Role::Mirror, Insufficient),
        (Path::Old, Role::Mirror, Insufficient),
    ] {
        let answer = after(Measure::ErrorRate, 0.01, |report| {
            let row = report.row(path, role);
            (row.calls, row.panics) = (100, 50);
        });
        assert_eq!(answer, state, "{path:?} {role:?}");
        let mirror = after(Measure::MirrorFailureRate, 0.05, |report| {
            let row = report.row(path, role);
            (row.calls, row.errors) = (100, 50);
        });
        let state = if role == Role::Mirror {
            Breach
        } else {
            Insufficient
        };
        assert_eq!(mirror, state, "{path:?} {role:?}");
    }
}

#[test]
fn slow_calls_are_those_by_the_guards_own_limit() {
    use GuardState::{Breach, Insufficient, Pass};
    for (role, limit, slow, state) in [
        (Role::Authoritative, 500, 10, Breach),
        (Role::Authoritative, 500, 0, Pass),
        (Role::Authoritative, 400, 10, Insufficient),
        (Role::Mirror, 500, 10, Insufficient),
    ] {
        let answer = after(Measure::P99Ms, 500.0, |report| {
            report.slow(role, limit, 100, slow)
        });
        assert_eq!(answer, state, "{role:?} {limit}");
    }
    let mirror = |role| {
        after(Measure::MirrorP99Ms, 1_000.0, |report| {
            report.slow(role, 1_000, 100, 10)
        })
    };
    assert_eq!(mirror(Role::Mirror), Breach);
    assert_eq!(mirror(Role::Authoritative), Insufficient);
}

#[test]
fn ratios_compare_what_the_ramp_assigned() {
    let ratio = |old: u64, new: u64| {
        after(Measure::ErrorRatio, 2.0, |report| {
            report.ramp(Path::Old, 900, old);
            report.ramp(Path::New, 100, new);
            // What a cohort sent there does not count, however bad.
            report.calls(1_000, 900);
        })
    };
    assert_eq!(
        ratio(0, 0),
        GuardState::Pass,
        "no errors need no comparison"
    );
    assert_eq!(ratio(9, 1), GuardState::Pass, "the same rate");
    assert_eq!(ratio(9, 2), GuardState::Pass, "twice the rate");
    assert_eq!(ratio(9, 10), GuardState::Breach, "ten times the rate");
    let alone = after(Measure::ErrorRatio, 2.0, |report| {
        report.ramp(Path::New, 100, 50)
    });
    assert_eq!(alone, GuardState::Insufficient, "nothing to compare with");
}

#[test]
fn what_nobody_reports_is_insufficient_and_says_so() {
    let mut fleet = Fleet::of(2, &[guard(Measure::Inconsistency, 0.01)]);
    fleet.seconds(20, |report| report.calls(100, 100));
    let answer = fleet.answer();
    assert_eq!(answer.state, GuardState::Insufficient);
    assert!(answer.detail.contains("compared"), "{}", answer.detail);
}
